package hoststest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// conformUpload: a file is there as a whole or not at all.
func conformUpload(t *testing.T, newConn NewConn) {
	conn := newConn(t)
	dir := scratch(t, conn)
	parts := func() string { return must(t, conn, shell(`find "$1" -name '*.part'`, dir)) }
	t.Run("content, mode, folders", func(t *testing.T) {
		for mode, want := range map[fs.FileMode]string{0o755: "755", 0o600: "600", 0o644: "644"} {
			path := dir + "/a b/$(id)/it's\n" + want
			require.NoError(t, conn.Upload(t.Context(), strings.NewReader("x\x00y\n"), path, mode))
			require.Equal(t, "x\x00y\n", content(t, conn, path))
			require.Equal(t, want, must(t, conn, shell(`stat -c %a "$1"`, path)))
		}
	})
	t.Run("large and empty", func(t *testing.T) {
		data := bytes.Repeat([]byte("0123456789\xff\x00\r\n"), 50_000)
		require.NoError(t, conn.Upload(t.Context(), bytes.NewReader(data), dir+"/large", 0o600))
		require.True(t, bytes.Equal(data, []byte(content(t, conn, dir+"/large"))))
		require.NoError(t, conn.Upload(t.Context(), bytes.NewReader(nil), dir+"/large", 0o600))
		require.Empty(t, content(t, conn, dir+"/large"))
	})
	t.Run("home", func(t *testing.T) {
		name := ".sotaloop-test-" + must(t, conn, shell(`basename "$1"`, dir)) + "-up"
		require.NoError(t, conn.Upload(t.Context(), strings.NewReader("home"), "~/"+name, 0o600))
		require.Equal(t, "home", content(t, conn, "~/"+name))
		require.Equal(t, "home", must(t, conn, shell(`cat "$HOME/$1" && rm "$HOME/$1"`, name)))
	})
	t.Run("old until complete", func(t *testing.T) {
		path := dir + "/changing"
		require.NoError(t, conn.Upload(t.Context(), strings.NewReader("old"), path, 0o600))
		r, w := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- conn.Upload(t.Context(), r, path, 0o600) }()
		_, err := w.Write([]byte("new, first half; "))
		require.NoError(t, err)
		require.Equal(t, "old", content(t, conn, path))
		_, err = w.Write([]byte("second half"))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.NoError(t, <-done)
		require.Equal(t, "new, first half; second half", content(t, conn, path))
	})
	t.Run("a source that fails", func(t *testing.T) {
		path := dir + "/kept"
		require.NoError(t, conn.Upload(t.Context(), strings.NewReader("old"), path, 0o600))
		broken := errors.New("disk on fire")
		err := conn.Upload(t.Context(), io.MultiReader(strings.NewReader("new"), failing{broken}), path, 0o600)
		require.ErrorIs(t, err, broken)
		require.Equal(t, "old", content(t, conn, path))
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := conn.Upload(ctx, io.MultiReader(strings.NewReader("new"), calling{cancel}, endless{}), dir+"/kept", 0o600)
		require.Equal(t, fault.Canceled, fault.CodeOf(err), "%v", err)
		require.Equal(t, "old", content(t, conn, dir+"/kept"))
	})
	t.Run("refused", func(t *testing.T) {
		for path, code := range map[string]fault.Code{
			"relative": fault.InvalidInput, "": fault.InvalidInput, dir + "/": fault.InvalidInput, "~": fault.InvalidInput,
			dir: fault.InvalidInput, "/etc/passwd/below": fault.Denied, "/proc/sotaloop": fault.Denied, "a\x00b": fault.InvalidInput,
		} {
			err := conn.Upload(t.Context(), strings.NewReader("x"), path, 0o600)
			require.Equal(t, code, fault.CodeOf(err), "%q: %v", path, err)
		}
	})
	require.Empty(t, parts(), "parts are left")
}

// conformDownload: bytes arrive as they are, and what is not a file is told from what is not there.
func conformDownload(t *testing.T, newConn NewConn) {
	conn := newConn(t)
	dir := scratch(t, conn)
	t.Run("missing", func(t *testing.T) {
		for _, path := range []string{dir + "/missing", dir + "/no/such/folder/file", "~/sotaloop no such file"} {
			err := conn.Download(t.Context(), path, io.Discard)
			require.ErrorIs(t, err, fs.ErrNotExist)
			require.Equal(t, fault.NotFound, fault.CodeOf(err))
			require.ErrorContains(t, err, path)
		}
	})
	t.Run("not a file", func(t *testing.T) {
		must(t, conn, shell(`mkfifo "$1/pipe" && ln -s missing "$1/dangling"`, dir))
		require.Equal(t, fault.InvalidInput, fault.CodeOf(conn.Download(t.Context(), dir, io.Discard)))
		require.Equal(t, fault.InvalidInput, fault.CodeOf(conn.Download(t.Context(), dir+"/pipe", io.Discard)))
		require.Equal(t, fault.NotFound, fault.CodeOf(conn.Download(t.Context(), dir+"/dangling", io.Discard)))
		require.Equal(t, fault.InvalidInput, fault.CodeOf(conn.Download(t.Context(), "relative", io.Discard)))
	})
	t.Run("a receiver that fails", func(t *testing.T) {
		must(t, conn, shell(`head -c 5000000 /dev/zero >"$1/zeros"`, dir))
		full := errors.New("no space here")
		require.ErrorIs(t, conn.Download(t.Context(), dir+"/zeros", failing{full}), full)
	})
	t.Run("names", func(t *testing.T) {
		for _, name := range []string{"it's $(id)", "line\nend\\\n", "-dash *", "\xff"} {
			require.NoError(t, conn.Upload(t.Context(), strings.NewReader(name), dir+"/names/"+name, 0o600))
			require.Equal(t, name, content(t, conn, dir+"/names/"+name))
		}
	})
}

// failing fails to be read and to be written.
type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Write implements io.Writer.
func (f failing) Write([]byte) (int, error) { return 0, f.err }

// calling is empty input that calls a function when it is reached.
type calling struct{ call func() }

// Read implements io.Reader.
func (c calling) Read([]byte) (int, error) {
	c.call()
	return 0, io.EOF
}
