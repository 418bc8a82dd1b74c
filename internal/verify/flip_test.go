package verify_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/verify"
)

// flips gives the bytes of a file of n whose bits are flipped: every one of a small file, some of a large one.
func flips(n, every, most int) []int {
	var at []int
	step := 1
	if n > every {
		step = max(n/most, 1)
	}
	for i := 0; i < n; i += step {
		at = append(at, i)
	}
	if at[len(at)-1] != n-1 {
		at = append(at, n-1)
	}
	return at
}

// TestEveryFlippedBitIsFound flips a bit of every byte of small files and of some bytes of large ones, in every file of a
// sealed directory, and in its bundle.
func TestEveryFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	dir, _ := campaign(t)
	tried, found := 0, 0
	try := func(path, of string, raw []byte, i int) {
		broken := bytes.Clone(raw)
		broken[i] ^= 1 << ((i + tried) % 8)
		require.NoError(t, os.WriteFile(path, broken, 0o600))
		res, err := verify.Path(t.Context(), of, verify.Options{StopAtFirst: true})
		tried++
		if err != nil || res.First != nil {
			found++
			return
		}
		t.Errorf("a flipped bit in byte %d of %s is not found", i, path)
	}
	bundle := bundled(t, dir)
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		for k, i := range flips(len(raw), 128, 3) {
			if (k+tried)%sample == 0 || k == 0 {
				try(path, dir, raw, i)
			}
		}
		return os.WriteFile(path, raw, 0o600)
	}))
	require.True(t, check(t, dir, verify.Options{}).OK, "restored")
	directory := tried
	raw, err := os.ReadFile(bundle)
	require.NoError(t, err)
	for k, i := range flips(len(raw), 0, 1000) {
		if k%sample == 0 {
			try(bundle, bundle, raw, i)
		}
	}
	require.Equal(t, tried, found)
	t.Logf("bits flipped: %d in the directory, %d in the bundle; detected: %d", directory, tried-directory, found)
}
