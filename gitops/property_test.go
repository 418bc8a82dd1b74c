package gitops_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/stretchr/testify/require"
)

// roundTrip checks the promise on which approvals rest: the diff that is rendered from two trees, parsed and applied
// to the first, gives the second, and renders as itself again.
func roundTrip(t testing.TB, base, result map[string][]byte) (dir string, diff []byte) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "r")
	baseID, err := gitops.Create(dir, base, "base", when())
	require.NoError(t, err)
	other := filepath.Join(t.TempDir(), "o")
	resultID, err := gitops.Create(other, result, "result", when())
	require.NoError(t, err)
	// the other repository's objects join as an alternate, so that one Repo reads both trees
	both := filepath.Join(t.TempDir(), "b")
	_, err = gitops.Create(both, base, "base", when())
	require.NoError(t, err)
	writeFile(t, filepath.Join(both, ".git/objects/info/alternates"), other+"/.git/objects\n")
	r, err := gitops.Open(both)
	require.NoError(t, err)
	diff, changes, err := r.Diff(baseID, resultID)
	require.NoError(t, err)
	if len(diff) == 0 {
		require.Equal(t, base, result)
		return dir, nil
	}
	fresh, err := gitops.Open(dir)
	require.NoError(t, err)
	p, err := gitops.ParsePatch(diff)
	require.NoError(t, err, "%s", diff)
	got, err := fresh.Propose(baseID, p)
	require.NoError(t, err, "%s", diff)
	want, err := r.Commit(resultID)
	require.NoError(t, err)
	require.Equal(t, want.Tree, got.ResultTree, "%s", diff)
	require.Equal(t, string(diff), string(got.Diff))
	require.Equal(t, changes, got.Files)
	return dir, diff
}

func TestRandomEditsRoundTrip(t *testing.T) {
	t.Parallel()
	const rounds = 16
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 1))
		base := map[string][]byte{"keep": []byte("k\n")}
		for i := range 1 + rng.IntN(4) {
			base[randomPath(rng, i)] = randomText(rng, rng.IntN(60))
		}
		result := map[string][]byte{"keep": base["keep"]}
		for path, text := range base {
			switch {
			case path == "keep" || rng.IntN(8) == 0: // deleted
			default:
				result[path] = mutate(rng, text)
			}
		}
		if rng.IntN(2) == 0 {
			result["added/"+randomPath(rng, 9)] = randomText(rng, rng.IntN(5))
		}
		dir, diff := roundTrip(t, base, result)
		if diff != nil && seed%4 == 0 {
			git(t, dir, diff, "apply", "--check", "--whitespace=nowarn", "-")
		}
	}
}

// The same for one text at a time, many times.
func TestRandomTextsRoundTrip(t *testing.T) {
	t.Parallel()
	const rounds = 1500
	for seed := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, 2))
		from := randomText(rng, rng.IntN(40))
		to := mutate(rng, from)
		if seed%5 == 0 {
			to = randomText(rng, rng.IntN(40))
		}
		if bytes.Equal(from, to) {
			continue
		}
		diff := gitops.TextDiff(from, to)
		got, err := gitops.ApplyText(parse(t, string(diff)), from)
		require.NoError(t, err, "%s", diff)
		require.Equal(t, string(to), string(got), "%s", diff)
	}
}

func randomPath(rng *rand.Rand, i int) string {
	names := []string{"a b", "ü", "q\"uote", "deep/er/x", "plain", "tab'le", "漢字", "-dash"}
	return fmt.Sprintf("%s%d.py", names[rng.IntN(len(names))], i)
}

// randomText draws from few lines, so that repetitions make diffs ambiguous, with all line ends.
func randomText(rng *rand.Rand, lines int) []byte {
	var b bytes.Buffer
	for range lines {
		b.WriteString([]string{"x", "", "}", "def f():", "-- a", "++ b", "@@ -1 +1 @@", " lead", "caf\xe9", "\\ No newline at end of file"}[rng.IntN(10)])
		b.WriteString([]string{"\n", "\n", "\n", "\r\n"}[rng.IntN(4)])
	}
	if rng.IntN(3) == 0 {
		b.WriteString("tail")
	}
	return b.Bytes()
}

func mutate(rng *rand.Rand, text []byte) []byte {
	lines := strings.SplitAfter(string(text), "\n")
	for range rng.IntN(5) {
		at := rng.IntN(len(lines))
		switch rng.IntN(3) {
		case 0:
			lines = append(lines[:at:at], lines[min(at+1+rng.IntN(3), len(lines)):]...)
		case 1:
			lines = append(lines[:at:at], append([]string{string(randomText(rng, 1))}, lines[at:]...)...)
		default:
			lines[at] = "changed\n"
		}
		if len(lines) == 0 {
			lines = []string{""}
		}
	}
	return []byte(strings.Join(lines, ""))
}

// A rewrite beyond the search's bound still gives a right diff, in time.
func TestLargeRewrite(t *testing.T) {
	t.Parallel()
	var a, b, c bytes.Buffer
	for i := range 8000 {
		fmt.Fprintf(&a, "line %d\n", i)
		fmt.Fprintf(&b, "other %d\n", i)
		if i%3 == 0 {
			fmt.Fprintf(&c, "line %d\n", i)
		} else {
			fmt.Fprintf(&c, "new %d\nshared\n", i)
		}
	}
	roundTrip(t, map[string][]byte{"x": a.Bytes()}, map[string][]byte{"x": b.Bytes()})
	_, diff := roundTrip(t, map[string][]byte{"x": a.Bytes()}, map[string][]byte{"x": c.Bytes()})
	require.Less(t, bytes.Count(diff, []byte("\n-line")), 5600, "lines that stay are found")
	same := bytes.Repeat([]byte("}\n"), 5000)
	roundTrip(t, map[string][]byte{"x": same}, map[string][]byte{"x": append(bytes.Repeat([]byte("{\n"), 3000), same[:2000]...)})
}

// Diffs made to take long are answered in time.
func TestHostileDiffsAreCheap(t *testing.T) {
	t.Parallel()
	_, commit, r := fresh(t)
	blank := strings.Repeat("\n", 200_000)
	_, err := gitops.ParsePatch([]byte("--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n a\n" + blank + "+x\n"))
	require.Error(t, err)
	_, err = gitops.ParsePatch([]byte(strings.Repeat("--- a/x\n+++ b/x\n@@ -1 +1,9 @@\n-a\n+b\n", 3000)))
	require.Error(t, err)
	var many strings.Builder
	for i := range 600 {
		fmt.Fprintf(&many, "--- /dev/null\n+++ b/docs/f%d\n@@ -0,0 +1 @@\n+a\n", i)
	}
	_, err = r.Propose(commit, parse(t, many.String()))
	require.NoError(t, err)
}

// One Repo serves many callers at once.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	_, commit, r := fresh(t)
	var wg sync.WaitGroup
	errs := make([]error, 12)
	for i := range errs {
		wg.Go(func() {
			p, err := gitops.ParsePatch([]byte(fmt.Sprintf("--- /dev/null\n+++ b/n%d\n@@ -0,0 +1 @@\n+a\n", i)))
			if err != nil {
				errs[i] = err
				return
			}
			got, err := r.Propose(commit, p)
			if err != nil {
				errs[i] = err
				return
			}
			_, tarErr := r.Tar(got.ResultTree, "python", io.Discard)
			_, headErr := r.Head()
			_, err = r.CreateBranch(fmt.Sprintf("sotaloop/c/p%d", i), commit, got.ResultTree, p, meta())
			errs[i] = errors.Join(tarErr, headErr, err)
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
}
