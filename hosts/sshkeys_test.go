package hosts_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
)

func TestSSHKeyPlaces(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(home, ".ssh", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	write("more/a.conf", "Match user nobody\n  IdentityAgent /run/other.sock\n  Include ../config\n")
	config := write("config", `Include more/*.conf
Host *
  IdentityAgent "~/.agent sock"
Host box
  IdentityFile ~/.ssh/work.pub
  IdentityFile %d/.ssh/home
  IdentityFile ~/.ssh/%h_key
  identityfile=/keys/x
  IdentityAgent none
  IdentityAgent $OTHER
  IdentityAgent SSH_AUTH_SOCK
  "unclosed
`)
	agents, keys := hosts.SSHKeyPlaces([]string{config, filepath.Join(home, "none")}, home)
	require.Contains(t, agents, "/run/other.sock", "whatever Match says")
	require.Contains(t, agents, filepath.Join(home, ".agent sock"))
	for _, k := range []string{filepath.Join(home, ".ssh", "work"), filepath.Join(home, ".ssh", "home"), "/keys/x"} {
		require.Contains(t, keys, k)
	}
	for _, p := range append(agents, keys...) {
		require.True(t, filepath.IsAbs(p), p)
		require.NotContains(t, p, "%")
	}
}
