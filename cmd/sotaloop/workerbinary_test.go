package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
)

func TestWorkerBinary(t *testing.T) {
	t.Parallel()
	modules := t.TempDir()
	put := func(rel, text string) string {
		path := filepath.Join(modules, rel)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	digest := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	self := put("sotaloop-darwin-arm64/bin/sotaloop", "client")
	put("sotaloop-worker-linux-x64/bin/sotaloop", "worker")
	elsewhere := put("elsewhere", "worker")
	foreign := put("foreign", "something else")
	put("dir/sotaloop-linux-arm64", "of the folder")
	env := map[string]string{}
	release := workerFiles{
		pinned: map[string]string{"amd64": digest("worker"), "arm64": digest("worker for arm")}, goos: "darwin", goarch: "arm64",
		getenv: func(name string) string { return env[name] }, self: func() (string, error) { return self, nil },
	}
	source := release
	source.pinned = nil
	linux := source
	linux.goos = "linux"
	given := release
	given.dir = filepath.Join(modules, "dir")
	moved := release
	moved.getenv = func(string) string { return elsewhere }
	swapped := release
	swapped.getenv = func(string) string { return foreign }
	for name, c := range map[string]struct {
		files workerFiles
		arch  string
		want  string // what is uploaded, or what the refusal says
		code  fault.Code
	}{
		"a release's, beside it":         {release, "amd64", "worker", ""},
		"a release's, by the launcher":   {moved, "amd64", "worker", ""},
		"a release's, not installed":     {release, "arm64", "install package sotaloop-worker-linux-arm64", fault.NotFound},
		"another than the release's":     {swapped, "amd64", "in one version", fault.Corrupt},
		"a folder's, on purpose":         {given, "arm64", "of the folder", ""},
		"a folder's, not there":          {given, "amd64", "--worker-dir", fault.NotFound},
		"from source, another system":    {source, "amd64", "GOOS=linux GOARCH=amd64", fault.NotFound},
		"from source, the same machine":  {linux, "arm64", "client", ""},
		"from source, another processor": {linux, "amd64", "--worker-dir", fault.NotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := c.files.binary()
			got, err := b.Digest(c.arch)
			if c.code != "" {
				f, ok := fault.As(err)
				require.True(t, ok, "%v", err)
				require.Equal(t, c.code, f.Code)
				require.Contains(t, f.Hints[0], c.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, digest(c.want), got)
			r, err := b.Open(c.arch)
			require.NoError(t, err)
			raw, err := io.ReadAll(r)
			require.NoError(t, err)
			require.NoError(t, r.Close())
			require.Equal(t, c.want, string(raw))
		})
	}
}
