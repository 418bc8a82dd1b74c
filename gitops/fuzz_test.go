package gitops_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/stretchr/testify/require"
)

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// FuzzParsePatch: whatever is accepted touches local paths only, and what applies renders as a diff that gives the
// same tree again.
func FuzzParsePatch(f *testing.F) {
	for _, seed := range []string{
		goodDiff, modify("x.py"), "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n\\ No newline at end of file\n",
		"--- a/LICENSE\n+++ b/LICENSE\n@@ -1 +1,2 @@\n free\n+x\r\n", "diff --git \"a/\\303\\274\" \"b/\\303\\274\"\nnew file mode 100755\n",
		"--- a/LICENSE\n+++ /dev/null\n@@ -1 +0,0 @@\n-free\n", "diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", "@@ -1 +1 @@\n",
	} {
		f.Add([]byte(seed))
	}
	_, commit, r := fresh(f)
	f.Fuzz(func(t *testing.T, diff []byte) {
		p, err := gitops.ParsePatch(diff)
		if err != nil {
			_, ok := fault.As(err)
			require.True(t, ok)
			return
		}
		require.NotEmpty(t, p.Paths())
		for _, path := range p.Paths() {
			require.True(t, filepath.IsLocal(path), path)
			require.NotContains(t, strings.ToLower(path), ".git/")
		}
		got, err := r.Propose(commit, p)
		if err != nil {
			return
		}
		again, err := gitops.ParsePatch(got.Diff)
		require.NoError(t, err, "%s", got.Diff)
		second, err := r.Propose(commit, again)
		require.NoError(t, err, "%s", got.Diff)
		require.Equal(t, got, second)
		require.NotContains(t, gitops.Printable(got.Diff), "\x1b")
	})
}

// FuzzRoundTrip: the rendered diff of any two texts gives the second from the first.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("a\nb\n"), []byte("a\nc"))
	f.Add([]byte(""), []byte("\r\n\r"))
	f.Add([]byte("-- a\n++ b\n@@ -1 +1 @@\n"), []byte("--- a\n+++ b\n\\ No newline at end of file"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if bytes.IndexByte(a, 0) >= 0 || bytes.IndexByte(b, 0) >= 0 || bytes.Equal(a, b) {
			return
		}
		diff := gitops.TextDiff(a, b)
		p, err := gitops.ParsePatch(diff)
		require.NoError(t, err, "%s", diff)
		got, err := gitops.ApplyText(p, a)
		require.NoError(t, err, "%s", diff)
		require.Equal(t, string(b), string(got), "%s", diff)
	})
}

// FuzzAllowedSigners: no panic, and an accepted file has a principal for every key.
func FuzzAllowedSigners(f *testing.F) {
	f.Add([]byte(allowText(`namespaces="a,b*" valid-before="20270101Z",touch-required`, newEd25519(f))))
	f.Add([]byte("# x\neve cert-authority ssh-ed25519 AAAA\n"))
	f.Add([]byte("\"a b\",c namespaces=\"\n"))
	s := newEd25519(f)
	sig, err := gitops.Sign(s, ns, []byte("m"))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := gitops.ParseAllowedSigners(text)
		if err != nil {
			require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
			return
		}
		_, err = gitops.VerifySignature(a, ns, []byte("m"), sig, when())
		require.Error(t, err, "the key is in no seed")
	})
}

// FuzzSignature: no foreign bytes verify but the signature itself.
func FuzzSignature(f *testing.F) {
	s := newEd25519(f)
	for _, signer := range []func() ([]byte, error){
		func() ([]byte, error) { return gitops.Sign(s, ns, []byte("other")) },
		func() ([]byte, error) { return gitops.Sign(token25519(f, 1), ns, []byte("m")) },
		func() ([]byte, error) { return gitops.Sign(tokenECDSA(f, 1), ns, []byte("m")) },
	} {
		sig, err := signer()
		require.NoError(f, err)
		f.Add(sig)
	}
	a := allow(f, "", s)
	f.Fuzz(func(t *testing.T, armored []byte) {
		_, err := gitops.VerifySignature(a, ns, []byte("m"), armored, when())
		require.Equal(t, fault.Denied, fault.CodeOf(err))
	})
}

// FuzzStatement: an accepted statement renders to bytes that say the same.
func FuzzStatement(f *testing.F) {
	raw, err := statement().Bytes()
	require.NoError(f, err)
	f.Add(raw)
	f.Add([]byte(`{"kind":"sotaloop.approval","v":1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := gitops.ParseStatement(raw)
		if err != nil {
			return
		}
		again, err := s.Bytes()
		require.NoError(t, err)
		back, err := gitops.ParseStatement(again)
		require.NoError(t, err)
		require.Equal(t, s.Decision, back.Decision)
		require.Equal(t, s.Diff, back.Diff)
		require.Equal(t, s.Permits, back.Permits)
	})
}
