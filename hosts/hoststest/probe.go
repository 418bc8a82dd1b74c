package hoststest

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
)

// patience bounds what has to happen soon.
const patience = 20 * time.Second

// shell makes a command of a fixed script and its arguments.
func shell(text string, args ...string) hosts.Cmd {
	return hosts.Cmd{Argv: append([]string{"sh", "-c", text, "sh"}, args...)}
}

// must runs a command that has to succeed and gives its output without the last line end.
func must(t *testing.T, conn hosts.Conn, c hosts.Cmd) string {
	t.Helper()
	res, err := conn.Run(t.Context(), c)
	require.NoError(t, err)
	require.True(t, res.IsSuccess(), "exit %d %s, stderr %q", res.ExitCode, res.Signal, res.Stderr)
	return strings.TrimSuffix(string(res.Stdout), "\n")
}

// scratch makes a folder on the host that goes with the test.
func scratch(t *testing.T, conn hosts.Conn) string {
	t.Helper()
	dir := must(t, conn, shell("mktemp -d"))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		_, _ = conn.Run(ctx, shell(`rm -rf "$1"`, dir))
	})
	return dir
}

// content reads a file of the host.
func content(t *testing.T, conn hosts.Conn, path string) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, conn.Download(t.Context(), path, &b))
	return b.String()
}

// eventually waits until a script succeeds on the host; the host does the waiting.
func eventually(t *testing.T, conn hosts.Conn, text string, args ...string) {
	t.Helper()
	loop := `for i in $(seq 400); do if ` + text + `; then exit 0; fi; sleep 0.05; done; exit 1`
	res, err := conn.Run(t.Context(), shell(loop, args...))
	require.NoError(t, err)
	require.True(t, res.IsSuccess(), "never became true on the host: %s %q", text, args)
}

// isGone is a script that holds when process $1 has ended; a zombie that nobody collects has ended too.
const isGone = `! [ -e "/proc/$1/stat" ] || [ "$(sed 's/.*) //' "/proc/$1/stat" | cut -c 1)" = Z ]`
