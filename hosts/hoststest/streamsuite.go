package hoststest

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
)

// conformStreams: input and output are bytes, the two outputs are apart, and the cap is kept.
func conformStreams(t *testing.T, newConn NewConn) {
	conn := newConn(t)
	every := make([]byte, 0, 512)
	for i := range 512 {
		every = append(every, byte(i))
	}
	run := func(t *testing.T, c hosts.Cmd) hosts.Result {
		t.Helper()
		res, err := conn.Run(t.Context(), c)
		require.NoError(t, err)
		require.True(t, res.IsSuccess(), "%q", res.Stderr)
		return res
	}
	t.Run("apart", func(t *testing.T) {
		res := run(t, shell(`echo out; echo err >&2; printf more; printf none >&2`))
		require.Equal(t, "out\nmore", string(res.Stdout))
		require.Equal(t, "err\nnone", string(res.Stderr))
		require.False(t, res.Truncated)
	})
	t.Run("silent", func(t *testing.T) {
		res := run(t, shell(`:`))
		require.Empty(t, res.Stdout)
		require.Empty(t, res.Stderr)
	})
	t.Run("bytes", func(t *testing.T) {
		c := hosts.Cmd{Argv: []string{"cat"}, Stdin: bytes.NewReader(every)}
		require.Equal(t, every, run(t, c).Stdout)
	})
	t.Run("no input", func(t *testing.T) {
		require.Empty(t, run(t, hosts.Cmd{Argv: []string{"cat"}}).Stdout)
	})
	t.Run("large input", func(t *testing.T) {
		data := bytes.Repeat(every, 5000) // more than SSH takes without a pause
		res := run(t, hosts.Cmd{Argv: []string{"cat"}, Stdin: bytes.NewReader(data), MaxOutput: len(data)})
		require.Equal(t, len(data), len(res.Stdout))
		require.True(t, bytes.Equal(data, res.Stdout))
		require.False(t, res.Truncated)
	})
	t.Run("input left unread", func(t *testing.T) {
		res := run(t, hosts.Cmd{Argv: []string{"head", "-c", "3"}, Stdin: endless{}})
		require.Equal(t, "aaa", string(res.Stdout))
	})
	t.Run("input that never comes", func(t *testing.T) {
		silent, hold := io.Pipe()
		defer func() { _ = hold.Close() }()
		require.Equal(t, "done\n", string(run(t, hosts.Cmd{Argv: []string{"echo", "done"}, Stdin: silent}).Stdout))
	})
	t.Run("capped", func(t *testing.T) {
		c := shell(`printf begin; head -c 2500000 /dev/zero; printf begin >&2; head -c 100000 /dev/zero >&2`)
		c.MaxOutput = 1000
		res := run(t, c)
		require.True(t, res.Truncated)
		require.Len(t, res.Stdout, 1000)
		require.Len(t, res.Stderr, 1000)
		require.True(t, strings.HasPrefix(string(res.Stdout), "begin"))
		require.True(t, strings.HasPrefix(string(res.Stderr), "begin"))
	})
	t.Run("exactly the cap", func(t *testing.T) {
		c := shell(`head -c 1000 /dev/zero`)
		c.MaxOutput = 1000
		res := run(t, c)
		require.Len(t, res.Stdout, 1000)
		require.False(t, res.Truncated)
	})
	t.Run("default cap", func(t *testing.T) {
		res := run(t, shell(`head -c 1100000 /dev/zero`))
		require.Len(t, res.Stdout, hosts.DefaultMaxOutput)
		require.True(t, res.Truncated)
	})
}

// endless is input without end.
type endless struct{}

// Read implements io.Reader.
func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}
