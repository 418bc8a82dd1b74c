package hoststest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// conformFolder: the working folder is the one asked for, "~" is the account's home, and a missing one is an error.
func conformFolder(t *testing.T, newConn NewConn) {
	conn := newConn(t)
	pwd := func(dir string) string { return must(t, conn, hosts.Cmd{Argv: []string{"pwd", "-P"}, Dir: dir}) }
	home, err := hosts.Home(t.Context(), conn)
	require.NoError(t, err)
	require.Equal(t, home, must(t, conn, shell(`cd && pwd`)))
	require.Equal(t, pwd(home), pwd(""))
	require.Equal(t, pwd(home), pwd("~"))
	require.Equal(t, "/", pwd("/"))
	dir := scratch(t, conn)
	for _, name := range []string{"-it's $(id)", "line\nend\\"} {
		must(t, conn, shell(`mkdir "$1/$2"`, dir, name))
		require.Equal(t, pwd(dir)+"/"+name, pwd(dir+"/"+name))
	}
	below := ".sotaloop-test-" + must(t, conn, shell(`basename "$1"`, dir))
	must(t, conn, shell(`mkdir "$HOME/$1"`, below))
	defer must(t, conn, shell(`rmdir "$HOME/$1"`, below))
	require.Equal(t, pwd(home)+"/"+below, pwd("~/"+below))
	for _, missing := range []string{dir + "/missing", "~/sotaloop no such folder", "/etc/passwd"} {
		_, err := conn.Run(t.Context(), hosts.Cmd{Argv: []string{"true"}, Dir: missing})
		require.Equal(t, fault.NotFound, fault.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, missing)
		_, err = conn.Start(t.Context(), hosts.Cmd{Argv: []string{"true"}, Dir: missing})
		require.Equal(t, fault.NotFound, fault.CodeOf(err), "%v", err)
	}
}
