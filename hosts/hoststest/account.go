//go:build unix

package hoststest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// Account is an account on a host of its own: a home folder behind an SSH server in this process. Programs in its bin are
// found first, so that a host has the driver, the container engine or the scheduler that a test gives it.
type Account struct {
	Home   string
	Server *Server

	t testing.TB
}

// NewAccount makes an account that the client knows by an alias.
func (c *Client) NewAccount(alias string) *Account {
	c.t.Helper()
	home, err := filepath.EvalSymlinks(c.t.TempDir())
	require.NoError(c.t, err)
	a := &Account{t: c.t, Home: home}
	require.NoError(c.t, os.Mkdir(filepath.Join(home, "bin"), 0o755))
	a.Server = NewServer(c.t, ServerOptions{
		Accept: []ssh.PublicKey{c.Public}, Home: home,
		Greeting: `PATH="$HOME/bin:/usr/bin:/bin"; export PATH; `,
	})
	c.Alias(alias, a.Server.Addr, "  User bench")
	c.Know(a.Server.Addr, a.Server.Keys()...)
	return a
}

// File writes a file of the account and gives its path.
func (a *Account) File(name, text string, mode fs.FileMode) string {
	a.t.Helper()
	path := filepath.Join(a.Home, filepath.FromSlash(name))
	require.NoError(a.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(a.t, os.WriteFile(path, []byte(text), mode))
	return path
}

// Program writes a shell script into the account's bin.
func (a *Account) Program(name, script string) {
	a.t.Helper()
	a.File("bin/"+name, "#!/bin/sh\n"+script, 0o755)
}

// Driver gives the host nvidia-smi with GPUs of one name; apps is what it prints of processes on them, whose GPUs are
// GPU-0000, GPU-0001 and so on.
func (a *Account) Driver(gpus int, name, apps string) {
	a.t.Helper()
	var list, clocks strings.Builder
	for i := range gpus {
		fmt.Fprintf(&list, "%d, GPU-%04d, %s, 550.54.15, 0, 4, 81559, 345\n", i, i, name)
		fmt.Fprintf(&clocks, "%d, 1980, 2619, 700.00\n", i)
	}
	a.File("driver/gpus", list.String(), 0o644)
	a.File("driver/clocks", clocks.String(), 0o644)
	a.File("driver/apps", apps, 0o644)
	a.Program("nvidia-smi", `case "$1" in
*clocks.applications*) cat "$HOME/driver/clocks" ;;
--query-gpu=*) cat "$HOME/driver/gpus" ;;
--query-compute-apps=*) cat "$HOME/driver/apps" ;;
*) exit 2 ;;
esac
`)
}

// started is made by every interpreter of [Account.Engine]: nothing that only looks may start one.
const started = "an-interpreter-was-started"

// Engine writes the metadata of an installed distribution into a virtual environment, with programs that leave a trace when
// they are started. more is direct_url.json, "" for none.
func (a *Account) Engine(venv, dist, version, more string) {
	a.t.Helper()
	site := venv + "/lib/python3.12/site-packages/"
	info := site + strings.ReplaceAll(dist, "-", "_") + "-" + version + ".dist-info/"
	a.File(venv+"/pyvenv.cfg", "home = /usr/bin\n", 0o644)
	for _, name := range []string{"python", dist} {
		a.File(venv+"/bin/"+name, "#!/bin/sh\n: >\"$HOME/"+started+"\"\nexit 1\n", 0o755)
	}
	a.File(info+"METADATA", "Name: "+dist+"\nVersion: "+version+"\n", 0o644)
	a.File(info+"RECORD", dist+"/__init__.py,,\n", 0o644)
	a.File(site+dist+"/__init__.py", "", 0o644)
	if more != "" {
		a.File(info+"direct_url.json", more, 0o644)
	}
}

// Tree lists everything in the home but the worker, with sizes and times.
func (a *Account) Tree() []string {
	a.t.Helper()
	var all []string
	require.NoError(a.t, filepath.WalkDir(a.Home, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(a.Home, path)
		if err != nil || rel == "." || rel == "sotaloop" || strings.HasPrefix(rel, "sotaloop/bin") {
			return err
		}
		info, err := d.Info()
		if err == nil && d.IsDir() {
			all = append(all, rel+"/")
		} else if err == nil {
			all = append(all, fmt.Sprint(rel, info.Size(), info.ModTime()))
		}
		return err
	}))
	return all
}
