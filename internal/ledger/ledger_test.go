package ledger_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
)

func open(t *testing.T) *ledger.Ledger {
	t.Helper()
	home := t.TempDir()
	l, err := ledger.Open(filepath.Join(home, "runs", "c1"), filepath.Join(home, "locks"), nil)
	require.NoError(t, err)
	return l
}

func put(t *testing.T, l *ledger.Ledger, name, text string) ledger.Artifact {
	t.Helper()
	a, err := l.Put(name, strings.NewReader(text))
	require.NoError(t, err)
	return a
}

func TestPutReadsBack(t *testing.T) {
	t.Parallel()
	l := open(t)
	a := put(t, l, "help/sglang_serve.txt", "--tp-size N\n")
	require.Equal(t, int64(12), a.Size)
	raw, err := l.ReadAll(a)
	require.NoError(t, err)
	require.Equal(t, "--tp-size N\n", string(raw))
	require.NoError(t, l.Verify(a))
}

func TestRunDirectoryHoldsNoLockOrTemporaryFile(t *testing.T) {
	t.Parallel()
	l := open(t)
	put(t, l, "benchmark/a.json", "{}")
	_, err := l.Append(t.Context(), func([]chain.Entry) ([]chain.Pending, error) {
		return []chain.Pending{{Kind: "x", Payload: json.RawMessage(`{}`)}}, nil
	})
	require.NoError(t, err)
	var files []string
	require.NoError(t, filepath.WalkDir(l.Dir(), func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(l.Dir(), p)
			files = append(files, filepath.ToSlash(rel))
		}
		return err
	}))
	require.ElementsMatch(t, []string{"benchmark/a.json", "head.json", "ledger.jsonl"}, files)
}

func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(path string) error{
		"changed": func(p string) error { return os.WriteFile(p, []byte("other"), 0o644) },
		"missing": os.Remove,
		"cut":     func(p string) error { return os.Truncate(p, 2) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := open(t)
			a := put(t, l, "benchmark/rows.jsonl", "evidence")
			require.NoError(t, damage(l.Path(a.Name)))
			err := l.Verify(a)
			require.Error(t, err)
			require.Equal(t, fault.Corrupt, fault.CodeOf(err))
			require.Contains(t, err.Error(), "benchmark/rows.jsonl")
		})
	}
}

func TestNamesStayInside(t *testing.T) {
	t.Parallel()
	l := open(t)
	for _, name := range []string{"../x", "/etc/x", "a/../../x", "ledger.jsonl", "head.json", `a\..\..\x`, ""} {
		_, err := l.Put(name, strings.NewReader("x"))
		require.Error(t, err, name)
	}
}

func TestCorruptLedgerSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	l := open(t)
	for range 2 {
		_, err := l.Append(t.Context(), func([]chain.Entry) ([]chain.Pending, error) {
			return []chain.Pending{{Kind: "x", Payload: json.RawMessage(`{"a":1}`)}}, nil
		})
		require.NoError(t, err)
	}
	path := filepath.Join(l.Dir(), ledger.ChainFile)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(raw), `"a":1`, `"a":2`, 1)), 0o600))
	again, err := ledger.Open(l.Dir(), t.TempDir(), nil)
	require.NoError(t, err)
	_, err = again.Entries()
	f, ok := fault.As(err)
	require.True(t, ok)
	require.Equal(t, fault.Corrupt, f.Code)
	require.NotEmpty(t, f.Hints)
}
