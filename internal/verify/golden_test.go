package verify_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bundle"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/verify"
)

// golden is the folder of bundles, one a release: a tiny simulated campaign as that release wrote it. What was released is
// never rewritten, and every later release has to verify it. UPDATE=1 writes the one of the release that is being made.
const (
	golden       = "testdata/golden"
	goldenOfThis = "0.1.0"
)

func TestBundlesOfEveryReleaseVerify(t *testing.T) {
	t.Parallel()
	if os.Getenv("UPDATE") != "" {
		dir, _ := build(t, 2, protects(t))
		raw, err := os.ReadFile(bundled(t, dir))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(golden, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(golden, goldenOfThis+bundle.Ending), raw, 0o600))
	}
	files, err := filepath.Glob(filepath.Join(golden, "*"+bundle.Ending))
	require.NoError(t, err)
	require.Contains(t, files, filepath.Join(golden, goldenOfThis+bundle.Ending))
	for _, path := range files {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Less(t, info.Size(), int64(300<<10), "a golden bundle is small")
		res := check(t, path, verify.Options{Version: "of another release, whose wording may differ"})
		require.Nil(t, res.First, path)
		require.Contains(t, res.Levels, "sealed", path)
		require.Contains(t, res.Levels, "simulated", path)
		require.Contains(t, strings.Join(res.Levels, "\n"), "host: protected before the patch", path)
		require.Equal(t, campaignID, res.Campaign, path)
	}
}

// TestABundleOfALaterReleaseIsRefusedByItsVersion reads a stored file that begins as version 2 of the format would.
func TestABundleOfALaterReleaseIsRefusedByItsVersion(t *testing.T) {
	t.Parallel()
	_, err := verify.Path(t.Context(), "testdata/newer"+bundle.Ending, verify.Options{})
	f, ok := fault.As(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, fault.InvalidInput, f.Code)
	require.Contains(t, f.Message, "the bundle has version 2 of its format, this release knows up to 1")
	require.NotEmpty(t, f.Hints)
}
