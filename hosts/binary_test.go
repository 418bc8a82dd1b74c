package hosts_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
)

func TestEnsureBinary(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	conn, err := hosts.Dial(t.Context(), "here", hosts.HostEntry{Local: true}, hosts.DialOptions{HomeDir: home})
	require.NoError(t, err)
	program := []byte("#!/bin/sh\necho worker $1\n")
	sum := sha256.Sum256(program)
	digest := hex.EncodeToString(sum[:])
	opened := 0
	open := func() (io.ReadCloser, error) {
		opened++
		return io.NopCloser(bytes.NewReader(program)), nil
	}
	ensure := func() string {
		path, err := hosts.EnsureBinary(t.Context(), conn, "~/work dir/", digest, open)
		require.NoError(t, err)
		return path
	}
	path := ensure()
	require.Equal(t, 1, opened)
	require.Equal(t, "sotaloop-"+digest[:16], filepath.Base(path))
	require.True(t, filepath.IsAbs(path))
	res, err := conn.Run(t.Context(), hosts.Cmd{Argv: []string{path, "runs"}})
	require.NoError(t, err)
	require.Equal(t, "worker runs\n", string(res.Stdout))

	require.Equal(t, path, ensure())
	require.Equal(t, 1, opened, "uploaded although it was there")

	require.NoError(t, os.WriteFile(path, []byte("something else"), 0o755))
	require.Equal(t, path, ensure())
	require.Equal(t, 2, opened, "a changed program was taken")

	require.NoError(t, os.Chmod(path, 0o600))
	require.Equal(t, path, ensure())
	require.Equal(t, 3, opened, "a program that cannot be run was taken")
}

func TestEnsureBinaryRefuses(t *testing.T) {
	t.Parallel()
	conn := local(t)
	dir := t.TempDir()
	digest := hex.EncodeToString(make([]byte, 32))
	wrong := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte("other"))), nil }
	_, err := hosts.EnsureBinary(t.Context(), conn, dir, digest, wrong)
	require.Equal(t, fault.Corrupt, fault.CodeOf(err), "%v", err)
	entries, err := os.ReadDir(filepath.Join(dir, "bin"))
	require.NoError(t, err)
	require.Empty(t, entries, "wrong bytes were put in place")

	broken := errors.New("no such program")
	_, err = hosts.EnsureBinary(t.Context(), conn, dir, digest, func() (io.ReadCloser, error) { return nil, broken })
	require.ErrorIs(t, err, broken)

	for _, bad := range []string{"", "abc", digest + "0", "../../" + digest[6:], "A" + digest[1:]} {
		_, err := hosts.EnsureBinary(t.Context(), conn, dir, bad, wrong)
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), bad)
	}
	_, err = hosts.EnsureBinary(t.Context(), conn, "relative", digest, wrong)
	require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
	_, err = hosts.EnsureBinary(t.Context(), conn, "/proc/nothing", digest, wrong)
	require.Equal(t, fault.Denied, fault.CodeOf(err))
}
