//go:build unix

package hosts_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/hosts/hoststest"
)

// FuzzParseForced takes nothing that the transport could not have sent.
func FuzzParseForced(f *testing.F) {
	for _, line := range []string{"", "exec ", "exec 'a'", "exec '/bin/sh' '-c' 'id' 'sh' 'sotaloop:AAAAAAAAAAAAAAAAAAAAAAAAAA'", "rsync --server", "exec 'a' 'b'\\''c'"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		got, err := hosts.ParseForced(line)
		if err != nil {
			require.ErrorIs(t, err, hosts.ErrForeign)
			return
		}
		require.Equal(t, line, "exec "+quoted(got.Argv), "what is run is what was sent")
	})
}

func quoted(argv []string) string {
	words := make([]string, len(argv))
	for i, a := range argv {
		words[i] = "'" + strings.NewReplacer("'", `'\''`, `\`, `'\\'`).Replace(a) + "'"
	}
	return strings.Join(words, " ")
}

// TestForcedIsWhatTheTransportSends records every command line of a real conversation and reads it.
func TestForcedIsWhatTheTransportSends(t *testing.T) {
	t.Parallel()
	conn, recorded := dialRecorded(t)
	ctx := t.Context()
	dir := t.TempDir()
	_, _ = conn.Run(ctx, hosts.Cmd{Argv: []string{"echo", "it's", `a\b`, "$(id)"}})
	_, _ = conn.Start(ctx, hosts.Cmd{Argv: []string{"/bin/true"}})
	require.NoError(t, conn.Upload(ctx, strings.NewReader("x"), dir+"/f", 0o600))
	require.NoError(t, conn.Download(ctx, dir+"/f", io.Discard))
	var kinds []hosts.ForcedKind
	for _, line := range recorded() {
		got, err := hosts.ParseForced(line)
		require.NoError(t, err, line)
		kinds = append(kinds, got.Kind)
		for _, changed := range []string{line + " ", line + " ';id'", line + ";id", "x=1 " + line, strings.Replace(line, "exec", "exec -a x", 1), strings.Replace(line, "env", "env PATH=/tmp", 1), strings.Replace(line, "/bin/sh", "/tmp/sh", 1), strings.Replace(line, "umask 077", "umask 000", 1)} {
			if changed == line || changed == line+" ';id'" && got.Kind == hosts.ForcedRun || got.Kind == hosts.ForcedStart && changed == line+" ';id'" {
				continue // a further argument of a command is its own to judge
			}
			_, err := hosts.ParseForced(changed)
			require.ErrorIs(t, err, hosts.ErrForeign, changed)
		}
	}
	require.Equal(t, []hosts.ForcedKind{hosts.ForcedRun, hosts.ForcedStart, hosts.ForcedReceive, hosts.ForcedPlace, hosts.ForcedSend}, kinds)
}

// dialRecorded connects to a real sshd whose forced command writes down what was asked for, and then does it.
func dialRecorded(t *testing.T) (conn hosts.Conn, recorded func() []string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "lines")
	script := filepath.Join(filepath.Dir(log), "record")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\nprintf '%s\\000' \"$SSH_ORIGINAL_COMMAND\" >>'"+log+"'\nexec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"\n"), 0o700))
	client := hoststest.NewClient(t)
	server := hoststest.NewOpenSSH(t, client.Public, "ForceCommand "+script)
	client.Alias("host", server.Addr)
	client.Know(server.Addr, server.Key)
	conn, err := client.Dial(t, "host")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn, func() []string {
		raw, err := os.ReadFile(log)
		require.NoError(t, err)
		return strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
	}
}
