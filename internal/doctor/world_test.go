//go:build linux

package doctor_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/hosts/hoststest"
	"github.com/sotaloop/sotaloop/internal/doctor"
	"github.com/sotaloop/sotaloop/internal/policy"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// world is a user with a home of sotaloop's and an SSH client.
type world struct {
	t      *testing.T
	client *hoststest.Client
	state  string
	opt    doctor.Options
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, client: hoststest.NewClient(t), state: t.TempDir()}
	file := func(name string) string { return filepath.Join(w.state, "config", name) }
	require.NoError(t, os.Mkdir(filepath.Join(w.state, "config"), 0o700))
	read := func(name string) []byte {
		raw, err := os.ReadFile(file(name))
		if !os.IsNotExist(err) {
			require.NoError(t, err)
		}
		return raw
	}
	w.opt = doctor.Options{
		Version: "0.0.0-test", Platform: "linux/amd64", State: w.state, UserHome: w.client.Home,
		File: file,
		Inventory: func() (*hosts.Inventory, error) {
			return hosts.ParseInventory(read(policy.HostsFile), file(policy.HostsFile))
		},
		Policy:  func() (policy.Policy, error) { return policy.Parse(read(policy.PolicyFile), file(policy.PolicyFile)) },
		Trust:   func() policy.Trust { return policy.Trust{Why: []string{}} },
		Signers: func() (*gitops.AllowedSigners, error) { return gitops.ParseAllowedSigners(read(policy.ApproversFile)) },
		InReach: func(context.Context) ([]string, error) { return nil, nil },
		Binary:  testWorker(t),
		SSH:     w.client.Options(),
		Load:    150 * time.Millisecond,
	}
	return w
}

// testWorker is a worker that is a few bytes long: it becomes this test's program.
func testWorker(t *testing.T, env ...string) worker.Binary {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	text := []byte(fmt.Sprintf("#!/bin/sh\nexport GORACE=atexit_sleep_ms=0 %s\nexec '%s' \"$@\"\n", strings.Join(env, " "), self))
	sum := sha256.Sum256(text)
	return worker.Binary{
		Digest: func(string) (string, error) { return hex.EncodeToString(sum[:]), nil },
		Open:   func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil },
	}
}

// write writes a configuration file.
func (w *world) write(name, text string) {
	w.t.Helper()
	require.NoError(w.t, os.WriteFile(w.opt.File(name), []byte(text), 0o600))
}

// signer allows a new key to approve.
func (w *world) signer() {
	w.t.Helper()
	key := w.client.WriteKey("elsewhere")
	w.write(policy.ApproversFile, fmt.Sprintf("alice@example.org namespaces=%q %s", gitops.NamespaceApproval, ssh.MarshalAuthorizedKey(key)))
}

// examine looks, and checks what every report must be.
func (w *world) examine() doctor.Report {
	w.t.Helper()
	r, err := doctor.Examine(w.t.Context(), w.opt)
	require.NoError(w.t, err)
	for _, s := range r.Sections {
		for _, c := range s.Checks {
			require.NotContains(w.t, c.Found+strings.Join(c.Fix, ""), "\x1b")
			require.NotContains(w.t, c.Found, "\n")
			if c.Level == doctor.Red {
				require.NotEmpty(w.t, c.Fix, "%s: %s", c.Name, c.Found)
			}
		}
	}
	return r
}

// check finds one line of a section; host "" is this machine.
func check(t *testing.T, r doctor.Report, host, name string) doctor.Check {
	t.Helper()
	for _, s := range r.Sections {
		for _, c := range s.Checks {
			if s.Host == host && c.Name == name {
				return c
			}
		}
	}
	require.FailNow(t, "no such line", "%s of %q in %+v", name, host, r.Sections)
	return doctor.Check{}
}

// golden compares a report's text with its file. What differs between machines and runs is written as what it is.
func (w *world) golden(name string, r doctor.Report, more ...string) {
	w.t.Helper()
	var b strings.Builder
	require.NoError(w.t, r.Text(&b, doctor.Style{Width: 1000}))
	got := strings.NewReplacer(append([]string{w.state, "STATE", w.client.Home, "HOME"}, more...)...).Replace(b.String())
	for _, x := range [][2]string{
		{`\d+\.\d+ s\b`, "N s"}, {`± N s`, "± N s"}, {`[+-]N s`, "N s"}, {`127\.0\.0\.1(\]?):\d+`, "127.0.0.1$1:PORT"}, {`SHA256:[\w+/=]+`, "SHA256:KEY"},
		{`\d+(\.\d+)? [GTM]iB free`, "SIZE free"}, {`kernel \S+`, "kernel KERNEL,"}, {`\d+ cores?, \d+(\.\d+)? [GT]iB`, "CORES, MEMORY"}, {`ok    machine          \S+`, "ok    machine          NAME,"},
		{`p99 [\d.]+ ms TTFT, [\d.]+ ms ITL`, "p99 N ms TTFT, N ms ITL"}, {`(?s)(ok  |warn)  load client     ([^\n;]*;[^\n;]*)[^\n]*(\n {25}→[^\n]*)?`, "LOAD  load client     $2"},
		{`(?m)^  (ok  |warn)  (disk|home)  ([^\n:]*)(:[^\n]*)?(\n {25}→[^\n]*)*`, "  SIZE  $2  $3"},
		{`\d+ ok, (\d+) to look at`, "N ok, N to look at"}, {`file \d+`, "file N"}, {`linux/(amd64|arm64)`, "linux/ARCH"},
	} {
		got = regexp.MustCompile(x[0]).ReplaceAllString(got, x[1])
	}
	file := filepath.Join("testdata", name+".txt")
	if os.Getenv("UPDATE") != "" {
		require.NoError(w.t, os.MkdirAll("testdata", 0o755))
		require.NoError(w.t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(w.t, err, "make it with UPDATE=1")
	require.Equal(w.t, string(want), got)
}
