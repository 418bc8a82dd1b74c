package verify_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/verify"
)

// damages are what hands, editors, disks and half-finished copies do to a ledger of many lines.
func damages() map[string]struct {
	change func(l [][]byte) [][]byte
	says   string // of the first difference
	keeps  int    // lines that recover saves; 0: all but what the change took, which it names itself
} {
	type d = struct {
		change func(l [][]byte) [][]byte
		says   string
		keeps  int
	}
	return map[string]d{
		"first line gone":    {func(l [][]byte) [][]byte { return l[1:] }, "line 1: seq is 2", -1},
		"a line gone":        {func(l [][]byte) [][]byte { return slices.Delete(l, 20, 21) }, "line 21: seq is 22", 20},
		"last line gone":     {func(l [][]byte) [][]byte { return l[:len(l)-1] }, "1 of", 0},
		"half of it gone":    {func(l [][]byte) [][]byte { return l[:len(l)/2] }, "are missing", 0},
		"cut inside a line":  {func(l [][]byte) [][]byte { l[30] = l[30][:50]; return l[:31] }, "are missing", 30},
		"lines reordered":    {func(l [][]byte) [][]byte { l[10], l[11] = l[11], l[10]; return l }, "line 11: seq is 12", 10},
		"a line twice":       {func(l [][]byte) [][]byte { return slices.Insert(l, 15, l[14]) }, "line 16: seq is 15", 15},
		"the file twice":     {func(l [][]byte) [][]byte { return append(l, l...) }, "seq is 1", 0},
		"a value edited":     {func(l [][]byte) [][]byte { l[25] = bytes.Replace(l[25], []byte(`:"`), []byte(`: "`), 1); return l }, "line 27: prev is", 26},
		"a torn line inside": {func(l [][]byte) [][]byte { l[12] = l[12][:70]; return l }, "line 13: a line that was torn off", 12},
		"zero bytes":         {func(l [][]byte) [][]byte { l[18] = append(make([]byte, 4096), '\n'); return l }, "line 19: the line holds 4096 zero bytes", 18},
		"an editor's mark":   {func(l [][]byte) [][]byte { l[0] = append([]byte("\xef\xbb\xbf"), l[0]...); return l }, "line 1: the line begins with a byte order mark", 0},
		"an editor's line ends": {func(l [][]byte) [][]byte {
			for i := range l {
				l[i] = append(bytes.TrimSuffix(l[i], []byte("\n")), "\r\n"...)
			}
			return l
		}, "line 1: the line ends in CR LF", 0},
		"an empty line": {func(l [][]byte) [][]byte { return slices.Insert(l, 8, []byte("\n")) }, "line 9: the line is empty", 8},
		"two writers at once": {func(l [][]byte) [][]byte {
			mixed := slices.Concat(l[5][:30], l[6][:30], l[5][30:], l[6][30:])
			return slices.Replace(l, 5, 7, mixed)
		}, "line 6: ", 5},
		"everything gone": {func([][]byte) [][]byte { return nil }, "no entry", -1},
	}
}

func TestDamagedLedgersAreRefusedByLineAndWhatIsIntactIsRecovered(t *testing.T) {
	t.Parallel()
	n := 0
	for name, c := range damages() {
		if n++; n%min(sample, 4) != 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _ := campaign(t)
			path := filepath.Join(dir, ledger.ChainFile)
			whole, err := os.ReadFile(path)
			require.NoError(t, err)
			lines := bytes.SplitAfter(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n"))
			lines[len(lines)-1] = append(bytes.Clone(lines[len(lines)-1]), '\n')
			for i := range lines {
				lines[i] = bytes.Clone(lines[i])
			}
			damaged := bytes.Join(c.change(slices.Clone(lines)), nil)
			require.NoError(t, os.WriteFile(path, damaged, 0o600))

			res := check(t, dir, verify.Options{})
			require.NotNil(t, res.First)
			require.Equal(t, "ledger", res.First.Check)
			require.Contains(t, res.First.What, c.says)
			refusedByAServer(t, dir)

			to := filepath.Join(t.TempDir(), "saved")
			rec, err := loop.Recover(t.Context(), dir, to)
			after, readErr := os.ReadFile(path)
			require.NoError(t, readErr)
			require.Equal(t, damaged, after, "the original is only read")
			if c.keeps < 0 {
				require.Error(t, err)
				require.NoDirExists(t, to)
				return
			}
			require.NoError(t, err)
			if c.keeps > 0 {
				require.Equal(t, c.keeps, rec.Lines)
			}
			require.NotEmpty(t, rec.Damage)
			saved := check(t, to, verify.Options{})
			for _, name := range rec.Missing { // a file that a lost line had replaced
				require.NotNil(t, saved.First, name)
			}
			if len(rec.Missing) == 0 {
				require.Nil(t, saved.First)
				require.Contains(t, strings.Join(saved.Levels, ", "), "recovered from a damaged ledger after its line")
			}
		})
	}
}

// refusedByAServer opens the ledger as a server does, to read or to append.
func refusedByAServer(t *testing.T, dir string) {
	t.Helper()
	l, err := ledger.Open(dir, filepath.Join(t.TempDir(), "locks"), loop.Kinds)
	require.NoError(t, err)
	_, err = l.Append(t.Context(), func(entries []chain.Entry) ([]chain.Pending, error) {
		return nil, os.ErrInvalid // never reached: a damaged ledger is not shown
	})
	f, ok := fault.As(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, fault.Corrupt, f.Code)
	require.Contains(t, strings.Join(f.Hints, " "), "sotaloop recover")
}

func TestHeadFilesThatDoNotFitAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ head, says string }{
		"ahead":       {`{"kind":"sotaloop.head","v":1,"seq":9999,"hash":"00"}` + "\n", "are missing: the head file names seq 9999"},
		"far behind":  {"", "the entries behind it are of more than one write"},
		"of another":  {`{"kind":"sotaloop.head","v":1,"seq":3,"hash":"00"}` + "\n", "the head file names"},
		"newer":       {`{"kind":"sotaloop.head","v":2,"seq":3,"hash":"00"}` + "\n", "version 2"},
		"two heads":   {`{"kind":"sotaloop.head","v":1,"seq":3,"hash":"00"}{}` + "\n", "more behind"},
		"not a head":  {"hello\n", "not JSON"},
		"zero bytes":  {strings.Repeat("\x00", 100), "not JSON"},
		"an editor's": {"\xef\xbb\xbf" + `{"kind":"sotaloop.head","v":1,"seq":3,"hash":"00"}`, "not JSON"},
	} {
		dir, _ := campaign(t)
		path := filepath.Join(dir, ledger.HeadFile)
		if c.head == "" {
			read, _, err := chain.Read(filepath.Join(dir, ledger.ChainFile), nil)
			require.NoError(t, err)
			c.head = string(headOf(read[4]))
		}
		require.NoError(t, os.WriteFile(path, []byte(c.head), 0o600))
		res := check(t, dir, verify.Options{})
		require.NotNil(t, res.First, name)
		require.Contains(t, res.First.What, c.says, name)
	}
	dir, _ := campaign(t)
	require.NoError(t, os.Remove(filepath.Join(dir, ledger.HeadFile)))
	require.Contains(t, check(t, dir, verify.Options{}).First.What, "head.json is missing")
}

func TestAnIntactLedgerIsNotRecoveredAndNothingIsRecoveredOver(t *testing.T) {
	t.Parallel()
	dir, _ := campaign(t)
	_, err := loop.Recover(t.Context(), dir, t.TempDir())
	require.ErrorContains(t, err, "is intact")
	path := filepath.Join(dir, ledger.ChainFile)
	require.NoError(t, os.Truncate(path, 5000))
	to := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(to, "mine.txt"), nil, 0o600))
	_, err = loop.Recover(t.Context(), dir, to)
	require.ErrorContains(t, err, "is not empty")
	_, err = loop.Recover(t.Context(), t.TempDir(), filepath.Join(to, "x"))
	require.ErrorContains(t, err, "is no run directory")
}
