package hoststest

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// conformStart: a detached command is on its own.
func conformStart(t *testing.T, newConn NewConn) {
	conn := newConn(t)
	dir := scratch(t, conn)
	start := func(t *testing.T, c hosts.Cmd) string {
		t.Helper()
		pid, err := conn.Start(t.Context(), c)
		require.NoError(t, err)
		require.Positive(t, pid)
		return strconv.Itoa(pid)
	}
	t.Run("own session, no descriptors, no ignored signals", func(t *testing.T) {
		// The shell moves descriptors about when it redirects a loop; so it redirects itself, once.
		const tell = `
streams=$(readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2)
{ echo "$$"; sed 's/.*) //' /proc/$$/stat; } >"$1/ids"
grep SigIgn /proc/$$/status >"$1/signals"
exec >"$1/fds.tmp"
echo "$streams"
ls /proc/$$/fd
mv "$1/fds.tmp" "$1/fds"`
		pid := start(t, hosts.Cmd{Argv: []string{"sh", "-c", tell, "sh", dir}})
		eventually(t, conn, `[ -e "$1/fds" ]`, dir)
		ids := strings.Fields(content(t, conn, dir+"/ids"))
		require.Equal(t, pid, ids[0])
		require.Equal(t, pid, ids[3], "process group")
		require.Equal(t, pid, ids[4], "session")
		require.Equal(t, []string{"/dev/null", "/dev/null", "/dev/null", "0", "1", "2"}, strings.Fields(content(t, conn, dir+"/fds")))
		ignored, err := strconv.ParseUint(strings.Fields(content(t, conn, dir+"/signals"))[1], 16, 64)
		require.NoError(t, err)
		require.Zero(t, ignored&0b110, "SIGINT or SIGQUIT is ignored")
	})
	t.Run("folder, environment, arguments", func(t *testing.T) {
		c := shell(`printf '%s\n' "$PWD" "$SOTALOOP_TEST" "$@" >said.tmp; mv said.tmp said`, nasty()...)
		c.Dir, c.Env = dir, map[string]string{"SOTALOOP_TEST": "it's $(id)"}
		start(t, c)
		eventually(t, conn, `[ -e "$1/said" ]`, dir)
		want := strings.Join(append([]string{must(t, conn, hosts.Cmd{Argv: []string{"pwd"}, Dir: dir}), "it's $(id)"}, nasty()...), "\n")
		require.Equal(t, want+"\n", content(t, conn, dir+"/said"))
	})
	t.Run("no program", func(t *testing.T) {
		for _, name := range []string{"sotaloop-no-such-program", "/nowhere/program", "/etc/passwd", "/tmp"} {
			_, err := conn.Start(t.Context(), hosts.Cmd{Argv: []string{name}})
			require.Equal(t, fault.NotFound, fault.CodeOf(err), "%s: %v", name, err)
		}
	})
	t.Run("streams are not taken", func(t *testing.T) {
		_, err := conn.Start(t.Context(), hosts.Cmd{Argv: []string{"cat"}, Stdin: strings.NewReader("x")})
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
		_, err = conn.Start(t.Context(), hosts.Cmd{Argv: []string{"cat"}, MaxOutput: 1})
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
	})
	t.Run("survives the connection", func(t *testing.T) {
		first := newConn(t)
		pid, err := first.Start(t.Context(), shell(`while [ ! -e "$1/go" ]; do sleep 0.02; done; echo late >"$1/late.tmp"; mv "$1/late.tmp" "$1/late"`, dir))
		require.NoError(t, err)
		require.NoError(t, first.Close())
		res, err := conn.Run(t.Context(), shell(isGone, strconv.Itoa(pid)))
		require.NoError(t, err)
		require.False(t, res.IsSuccess(), "it ended with the connection")
		must(t, conn, shell(`touch "$1/go"`, dir))
		eventually(t, conn, `[ -e "$1/late" ]`, dir)
		eventually(t, conn, isGone, strconv.Itoa(pid))
	})
}
