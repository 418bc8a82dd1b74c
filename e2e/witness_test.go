//go:build linux

package e2e_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// witnessUser is the account of the witness: it exists on every Linux and owns nothing.
const (
	witnessUser = "nobody"
	witnessUID  = 65534
)

// witnessDoor is an OpenSSH server whose only key runs `sotaloop witness` as another Unix user.
type witnessDoor struct {
	dir, memory, config string
}

// privateKey writes a key pair and gives the public line.
func privateKey(t *testing.T, path string) string {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	line, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line)))
}

// newWitnessDoor starts the server in a mount namespace of its own, in which the witness's account may log in: the
// machine's own accounts stay as they are.
func newWitnessDoor(t *testing.T) witnessDoor {
	t.Helper()
	p := needPrograms(t)
	sshd, err := exec.LookPath("/usr/sbin/sshd")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("another Unix account behind a real sshd takes root and OpenSSH's server; the witness itself is tested in internal/witness")
	}
	dir, err := os.MkdirTemp("/var/tmp", "sotaloop-witness-") // sshd wants no folder above that others may write
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // the witness's account has to reach its own folder
	d := witnessDoor{dir: dir, memory: filepath.Join(dir, "memory"), config: filepath.Join(dir, "ssh_config")}
	binary := filepath.Join(dir, "sotaloop")
	raw, err := os.ReadFile(p.plain)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(binary, raw, 0o755)) //nolint:gosec // another account runs it
	require.NoError(t, os.Mkdir(d.memory, 0o700))
	signing := filepath.Join(d.memory, "key")
	privateKey(t, signing)
	require.NoError(t, os.Chown(d.memory, witnessUID, witnessUID))
	require.NoError(t, os.Chown(signing, witnessUID, witnessUID))
	public := privateKey(t, filepath.Join(dir, "client"))
	hostKey := privateKey(t, filepath.Join(dir, "host"))
	d.write(t, "authorized", fmt.Sprintf("command=\"%s witness --dir %s --key %s\",restrict %s\n", binary, d.memory, signing, public), 0o644)
	passwd, err := os.ReadFile("/etc/passwd")
	require.NoError(t, err)
	var users bytes.Buffer
	for line := range strings.Lines(string(passwd)) {
		if strings.HasPrefix(line, witnessUser+":") {
			line = fmt.Sprintf("%s:x:%d:%d::%s:/bin/sh\n", witnessUser, witnessUID, witnessUID, dir)
		}
		users.WriteString(line)
	}
	d.write(t, "passwd", users.String(), 0o644)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())
	d.write(t, "sshd_config", fmt.Sprintf("ListenAddress 127.0.0.1:%d\nHostKey %s/host\nAuthorizedKeysFile %s/authorized\nPidFile none\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nStrictModes no\nLogLevel ERROR\n", port, dir, dir), 0o600)
	d.write(t, "known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s\n", port, hostKey), 0o600)
	d.write(t, "ssh_config", fmt.Sprintf("Host witness\n  HostName 127.0.0.1\n  Port %d\n  User %s\n  IdentityFile %s/client\n  IdentitiesOnly yes\n  UserKnownHostsFile %s/known_hosts\n  StrictHostKeyChecking yes\n", port, witnessUser, dir, dir), 0o600)
	d.serve(t, sshd, port)
	return d
}

func (d witnessDoor) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, name), []byte(text), mode))
}

// serve starts sshd and waits until it answers.
func (d witnessDoor) serve(t *testing.T, sshd string, port int) {
	t.Helper()
	script := `mount --make-rprivate / && mount --bind "$1/passwd" /etc/passwd && mkdir -p /run/sshd && exec "$2" -D -e -f "$1/sshd_config"`
	c := exec.Command("unshare", "--mount", "sh", "-c", script, "sh", d.dir, sshd) //nolint:noctx // the cleanup ends it
	var said bytes.Buffer
	c.Stderr, c.SysProcAttr = &said, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() { _ = c.Process.Kill() })
	for {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-ended:
			t.Skip("no sshd with an account of its own can run here: " + said.String())
		case <-t.Context().Done():
			require.NoError(t, t.Context().Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// ask shows bytes to the witness over SSH; command is what the caller asks for, which the forced command does not look at.
func (d witnessDoor) ask(t *testing.T, request io.Reader, command ...string) (answer map[string]any, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "ssh", append([]string{"-F", d.config, "-T", "witness"}, command...)...)
	var out, problem bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = request, &out, &problem
	require.NoError(t, c.Run(), problem.String())
	require.NoError(t, json.Unmarshal(out.Bytes(), &answer), out.String())
	return answer, problem.String()
}

// show is a request with the lines behind since.
func show(campaign string, since int, head string, lines []string) io.Reader {
	first := fmt.Sprintf(`{"kind":"sotaloop.witness.request","v":1,"campaign":%q,"since":%d,"head":%q}`+"\n", campaign, since, head)
	return strings.NewReader(first + strings.Join(lines[since:], ""))
}

func TestAWitnessUnderAnotherAccountBehindAForcedCommand(t *testing.T) {
	d := newWitnessDoor(t)
	const campaign = "20261123_tiny_sota_loop"
	lines, hashes := chained(campaign, 8, 0)
	fork, _ := chained(campaign, 12, 3)
	foreign, _ := chained("20261123_other_sota_loop", 8, 0)

	a, _ := d.ask(t, show(campaign, 0, "", lines[:5]), "rm", "-rf", "/", ";", "sh")
	require.Contains(t, a["signature"], "BEGIN SSH SIGNATURE")
	a, _ = d.ask(t, show(campaign, 5, hashes[4], lines))
	require.Contains(t, a["signature"], "BEGIN SSH SIGNATURE")
	for why, request := range map[string]io.Reader{
		"rollback":  show(campaign, 0, "", lines[:6]),
		"fork":      show(campaign, 0, "", fork),
		"name":      show(campaign, 0, "", foreign),
		"malformed": strings.NewReader("sign this\n"),
	} {
		a, _ = d.ask(t, request)
		require.Equal(t, why, a["refused"])
		require.NotContains(t, a, "signature")
	}
	info, err := os.Stat(filepath.Join(d.memory, campaign+".jsonl"))
	require.NoError(t, err)
	require.Equal(t, uint32(witnessUID), info.Sys().(*syscall.Stat_t).Uid, "what was seen is the other account's")
	require.Zero(t, info.Mode().Perm()&0o022)
}

// chained is a hash chain of n lines as a ledger has them, and the hash of each; from the line other on it differs.
func chained(campaign string, n, other int) (lines, hashes []string) {
	prev := strings.Repeat("0", 64)
	for i := 1; i <= n; i++ {
		payload := fmt.Sprintf(`{"n":%d}`, i)
		if i == 1 {
			payload = fmt.Sprintf(`{"contract":{"campaign":%q}}`, campaign)
		}
		if other > 0 && i >= other {
			payload = fmt.Sprintf(`{"n":%d}`, -i)
		}
		line := fmt.Sprintf(`{"kind":"some.thing","v":1,"seq":%d,"time":"2026-11-23T10:00:00Z","prev":"%s","payload":%s}`, i, prev, payload)
		sum := sha256.Sum256([]byte(line))
		prev = hex.EncodeToString(sum[:])
		lines, hashes = append(lines, line+"\n"), append(hashes, prev)
	}
	return lines, hashes
}
