package policy_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/policy"
)

func TestRead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		mode os.FileMode
		want string // part of the error, empty = reads
	}{
		"flags":             {"flags:\n  vllm: [async-scheduling-mode]\nrequire_independent: true\n", 0o600, ""},
		"empty":             {"", 0o600, ""},
		"unknown key":       {"flag:\n  vllm: [x]\n", 0o600, "flag"},
		"wrong type":        {"read_only: perhaps\n", 0o600, "read_only"},
		"writable by all":   {"read_only: true\n", 0o666, "chmod"},
		"writable by group": {"read_only: true\n", 0o664, "chmod"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "policy.yaml")
			require.NoError(t, os.WriteFile(path, []byte(tc.text), 0o600))
			require.NoError(t, os.Chmod(path, tc.mode))
			p, err := policy.Read(path)
			if tc.want == "" {
				require.NoError(t, err)
				require.Len(t, p.Digest(), 64)
				return
			}
			f, ok := fault.As(err)
			require.True(t, ok)
			require.Contains(t, f.Error()+" "+fmtHints(f), tc.want)
		})
	}
}

func fmtHints(f *fault.Error) string {
	out := ""
	for _, h := range f.Hints {
		out += h + " "
	}
	return out
}

func TestMissingFileAllowsTheLeast(t *testing.T) {
	t.Parallel()
	p, err := policy.Read(filepath.Join(t.TempDir(), "none.yaml"))
	require.NoError(t, err)
	require.Equal(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", p.Digest())
	require.False(t, p.ReadOnly)
	require.Empty(t, p.Flags)
}
