package hoststest

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh/agent"
)

// ServeAgent lets an ssh-agent listen at a socket until the test ends. A nil agent takes connections and says nothing.
func ServeAgent(t testing.TB, a agent.Agent) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "ag") // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if a != nil {
				go func() { _ = agent.ServeAgent(a, conn) }()
			}
		}
	}()
	return socket
}
