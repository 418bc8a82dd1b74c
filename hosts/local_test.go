package hosts_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// local is this machine with a home folder of its own.
func local(t *testing.T) hosts.Conn {
	t.Helper()
	conn, err := hosts.Dial(t.Context(), "here", hosts.HostEntry{Local: true}, hosts.DialOptions{HomeDir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// withPath is a connection whose commands look up programs elsewhere.
type withPath struct {
	hosts.Conn
	path string
}

func (w withPath) Run(ctx context.Context, c hosts.Cmd) (hosts.Result, error) {
	c.Env = map[string]string{"PATH": w.path}
	return w.Conn.Run(ctx, c)
}

func TestLocalNeedsHome(t *testing.T) {
	t.Parallel()
	for _, home := range []string{"", "relative"} {
		conn, err := hosts.Dial(t.Context(), "here", hosts.HostEntry{Local: true}, hosts.DialOptions{HomeDir: home})
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
		require.Nil(t, conn)
	}
}
