package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/hosts/hoststest"
	"github.com/sotaloop/sotaloop/internal/doctor"
)

// desk is a home whose SSH files are a test client's, and a worker that is a few bytes long.
type desk struct {
	t       *testing.T
	client  *hoststest.Client
	home    string
	program string // by which name this test's program is the command
	workers string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	if _, err := os.Stat(systemConfig); err == nil {
		t.Skip("this machine has " + systemConfig)
	}
	d := &desk{t: t, client: hoststest.NewClient(t), home: t.TempDir(), workers: t.TempDir()}
	self, err := os.Executable()
	require.NoError(t, err)
	d.program = filepath.Join(t.TempDir(), "sotaloop")
	require.NoError(t, os.Symlink(self, d.program))
	script := fmt.Sprintf("#!/bin/sh\nexport GORACE=atexit_sleep_ms=0\nexec '%s' \"$@\"\n", d.program)
	require.NoError(t, os.WriteFile(filepath.Join(d.workers, "sotaloop-linux-"+runtime.GOARCH), []byte(script), 0o755))
	return d
}

// trust puts the client's SSH files into the home; it knows the hosts that were made before.
func (d *desk) trust() {
	d.t.Helper()
	require.NoError(d.t, os.MkdirAll(filepath.Join(d.home, "config"), 0o700))
	d.client.Config("Host *", "  IdentityFile "+d.client.File("id_ed25519"))
	for from, to := range map[string]string{"config": "ssh_config", "known_hosts": "known_hosts"} {
		raw, err := os.ReadFile(d.client.File(from))
		require.NoError(d.t, err)
		require.NoError(d.t, os.WriteFile(filepath.Join(d.home, "config", to), raw, 0o600))
	}
}

func (d *desk) file() string { return filepath.Join(d.home, "config", "hosts.yaml") }

func (d *desk) read() string {
	raw, err := os.ReadFile(d.file())
	require.NoError(d.t, err)
	return string(raw)
}

// run runs a command without a terminal.
func (d *desk) run(args ...string) (out, errs string, code int) {
	d.t.Helper()
	var o, e bytes.Buffer
	code = dispatch(d.t.Context(), streams{In: strings.NewReader("y\n"), Out: &o, Err: &e}, append(args, "--home", d.home))
	return o.String(), e.String(), code
}

// TestHostsAdd: on each kind of host, what is written passes doctor unedited, and looking again changes nothing.
func TestHostsAdd(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(*hoststest.Client, string) *hoststest.Account{
		"bare": (*hoststest.Client).BareHost, "docker": (*hoststest.Client).DockerHost, "login": (*hoststest.Client).LoginNode,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			a := build(d.client, "gpu-"+name)
			d.trust()
			out, errs, code := d.run("hosts", "add", name, "--ssh", "gpu-"+name)
			require.Equal(t, 3, code, errs)
			require.Contains(t, out, "  "+name+":\n")
			require.Contains(t, errs, "nothing was written")
			require.NoFileExists(t, d.file())

			_, errs, code = d.run("hosts", "add", name, "--ssh", "gpu-"+name, "--yes")
			require.Zero(t, code, errs)
			written := d.read()
			require.Contains(t, written, strings.TrimSpace(out[:strings.Index(out, "\n\n")]))

			out, errs, code = d.run("doctor", "--host", name, "--json", "--worker-dir", d.workers)
			require.Zero(t, code, "%s%s", out, errs)
			var r doctor.Report
			require.NoError(t, json.Unmarshal([]byte(out), &r))
			require.Len(t, r.Sections, 2)
			for _, c := range r.Sections[1].Checks {
				require.NotEqual(t, doctor.Red, c.Level, c)
			}
			require.Equal(t, written, d.read())

			out, errs, code = d.run("hosts", "add", name)
			require.Zero(t, code, errs)
			require.Contains(t, out, "nothing to change")
			require.NotContains(t, strings.Join(a.Tree(), "\n"), "started")
			require.NotContains(t, strings.Join(a.Tree(), "\n"), "asked-for-more")
		})
	}
}

// TestHostsAddAgain: an engine that came since is proposed, what a person wrote stays, and a word at a terminal decides.
func TestHostsAddAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	a := d.client.BareHost("h100a")
	d.trust()
	mine := "# my hosts\nhosts:\n  other: {local: true, device: cpu} # mine\n  h100a: # ours\n    ssh: h100a\n    env: {NCCL_DEBUG: 1}\n    engines:\n" +
		"      main: {type: sglang, venv: ~/venvs/sglang}\n      vllm: {type: vllm, venv: ~/venvs/vllm}\n      dev: {type: sglang, venv: ~/src/project/.venv}\n" +
		"    models: # here\n      Qwen/Qwen3-0.6B: ~/models/Qwen/Qwen3-0.6B\n"
	require.NoError(t, os.WriteFile(d.file(), []byte(mine), 0o640))
	out, _, code := d.run("hosts", "add", "h100a")
	require.Zero(t, code)
	require.Contains(t, out, "nothing to change")

	a.Engine("venvs/new", "vllm", "0.27.0", "")
	at := &office{t: t, at: t.TempDir(), env: append(os.Environ(), "HOME="+d.client.Home)}
	line := d.program + " hosts add h100a --home " + d.home
	shown, err := at.types(line, "n\n")
	require.Error(t, err)
	require.Contains(t, shown, "+      vllm-new:")
	require.Contains(t, shown, "nothing was written")
	require.Equal(t, mine, d.read())
	shown, err = at.types(line, "yes\n")
	require.NoError(t, err, shown)
	require.Contains(t, shown, "sotaloop doctor --host h100a")
	now := d.read()
	require.Equal(t, mine, strings.Replace(now, "      vllm-new:  # found: vllm 0.27.0, wheel\n        type: vllm\n        venv: ~/venvs/new\n", "", 1))
	info, err := os.Stat(d.file())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o640), info.Mode().Perm())
	inv, err := hosts.ReadInventory(d.file())
	require.NoError(t, err)
	require.Len(t, inv.Hosts["h100a"].Engines, 4)
	left, err := filepath.Glob(filepath.Join(d.home, "config", ".hosts*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestHostsAddRefuses changes nothing, and says what to do.
func TestHostsAddRefuses(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	stranger := hoststest.NewServer(t, hoststest.ServerOptions{})
	d.client.Alias("stranger", stranger.Addr)
	d.client.BareHost("braces")
	d.trust()
	for name, x := range map[string]struct {
		file string
		args []string
		code int
		says string
	}{
		"an unknown key":     {"", []string{"add", "stranger", "--yes"}, 4, "SHA256:"},
		"no such host":       {"", []string{"add", "nowhere", "--ssh", "127.0.0.1:1", "--yes"}, 4, "connection refused"},
		"a bad name":         {"", []string{"add", "a b", "--local", "--yes"}, 2, "is no name of a host"},
		"both":               {"", []string{"add", "a", "--local", "--ssh", "b"}, 2, "usage:"},
		"no verb":            {"", []string{"list"}, 2, "usage:"},
		"a file in braces":   {"hosts: {a: {local: true}}\n", []string{"add", "braces", "--yes"}, 2, "in one piece"},
		"a file that is bad": {"hosts:\n  a: {}\n", []string{"add", "braces", "--yes"}, 2, "hosts.yaml:2"},
	} {
		if x.file == "" {
			require.NoError(t, os.RemoveAll(d.file()))
		} else {
			require.NoError(t, os.WriteFile(d.file(), []byte(x.file), 0o600))
		}
		out, errs, code := d.run(append([]string{"hosts"}, x.args...)...)
		require.Equal(t, x.code, code, "%s: %s", name, errs)
		require.Contains(t, errs, x.says, name)
		if x.file == "" {
			require.NoFileExists(t, d.file(), name)
		} else {
			require.Equal(t, x.file, d.read(), name)
		}
		if name == "a file in braces" {
			require.Contains(t, out, "venv: ~/venvs/sglang", "what was found can be put there by hand")
		}
	}
}

// TestHostsAddHere needs no connection, and names the checkouts that patches would go to.
func TestHostsAddHere(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	commit, err := gitops.Create(filepath.Join(d.client.Home, "src", "sglang"), map[string][]byte{"python/sglang/__init__.py": nil}, "first", time.Now())
	require.NoError(t, err)
	a := d.client.NewAccount("unused")
	a.Engine("venv", "sglang", "0.5.16", `{"url":"file://`+d.client.Home+`/src/sglang/python","dir_info":{"editable":true}}`)
	require.NoError(t, os.Rename(filepath.Join(a.Home, "venv"), filepath.Join(d.client.Home, "venv")))
	at := &office{t: t, at: t.TempDir(), env: append(os.Environ(), "HOME="+d.client.Home, "CUDA_VISIBLE_DEVICES=")}
	out, err := at.pipes(d.program+" hosts add here --local --yes --home "+d.home, "")
	require.NoError(t, err, out)
	inv, err := hosts.ReadInventory(d.file())
	require.NoError(t, err)
	h := inv.Hosts["here"]
	require.True(t, h.Local)
	for name, x := range h.Engines {
		if x.Venv == "~/venv" {
			require.Equal(t, "~/src/sglang", x.Checkout)
			require.Equal(t, "python/sglang", x.PackageRoot)
			require.Contains(t, d.read(), "      "+name+":  # found: sglang 0.5.16, editable of ~/src/sglang at commit "+commit[:12])
			return
		}
	}
	require.FailNow(t, "the engine was not found", out)
}

func TestDoctorUsage(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, args := range [][]string{{"doctor", "x"}, {"doctor", "--timeout", "0s"}, {"doctor", "--hots", "x"}, {"doctor", "--host", "x"}} {
		_, errs, code := d.run(args...)
		require.Equal(t, 2, code, args)
		require.NotEmpty(t, errs)
	}
	out, errs, code := d.run("doctor", "--worker-dir", d.workers)
	require.Zero(t, code, errs)
	require.Contains(t, out, "hosts add NAME")
	require.NotContains(t, out, "\x1b", "no colours where nobody looks")
	require.NoError(t, os.MkdirAll(filepath.Dir(d.file()), 0o700))
	require.NoError(t, os.WriteFile(d.file(), []byte("hosts: 3\n"), 0o600))
	out, _, code = d.run("doctor", "--worker-dir", d.workers)
	require.Equal(t, 1, code)
	require.Contains(t, out, "hosts.yaml:1:8")
}
