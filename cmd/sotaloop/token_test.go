package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTokenFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "config", "http-token")
	made, err := tokenFile(path)
	require.NoError(t, err)
	require.Len(t, made, 43, "32 random bytes")
	again, err := tokenFile(path)
	require.NoError(t, err)
	require.Equal(t, made, again)
	other, err := tokenFile(filepath.Join(t.TempDir(), "http-token"))
	require.NoError(t, err)
	require.NotEqual(t, made, other)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestTokenFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"readable by the group": {strings.Repeat("x", 40), 0o640, "others can read"},
		"readable by all":       {strings.Repeat("x", 40), 0o604, "others can read"},
		"writable by all":       {strings.Repeat("x", 40), 0o602, "written by everybody"},
		"empty":                 {"", 0o600, "no token"},
		"short":                 {"hunter2", 0o600, "no token"},
		"two lines":             {strings.Repeat("x", 40) + "\n" + strings.Repeat("y", 40), 0o600, "no token"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "token")
			require.NoError(t, os.WriteFile(path, []byte(c.text), 0o600))
			require.NoError(t, os.Chmod(path, c.mode))
			_, err := tokenFile(path)
			require.ErrorContains(t, err, c.want)
		})
	}
}
