package gitops_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/stretchr/testify/require"
)

func TestProposeLeavesNoTrace(t *testing.T) {
	t.Parallel()
	dir, commit, r := fresh(t)
	before := files(t, dir)
	p, err := r.Propose(commit, parse(t, goodDiff))
	require.NoError(t, err)
	require.Equal(t, before, files(t, dir))

	text, err := r.Blob(p.ResultTree, "python/sglang/srt/scheduler.py")
	require.NoError(t, err, "the proposed tree is readable through this Repo")
	sum := sha256.Sum256(text)
	require.Len(t, p.Files, 1)
	f := p.Files[0]
	require.Equal(t, hex.EncodeToString(sum[:]), f.NewSHA256)
	require.Equal(t, git(t, dir, text, "hash-object", "--stdin"), f.NewBlob)
	require.Equal(t, git(t, dir, nil, "rev-parse", "HEAD:"+f.Path), f.OldBlob)
	require.Equal(t, [2]int{2, 4}, [2]int{f.AddedLines, f.RemovedLines})
	require.Equal(t, []gitops.LineRange{{OldStart: 5, OldLines: 4, NewStart: 5, NewLines: 2}}, f.Touched)
	for line, want := range map[int]bool{0: true, 4: false, 5: true, 8: true, 9: false} {
		require.Equal(t, want, p.Touches(f.Path, line), line)
	}
	require.False(t, p.Touches("LICENSE", 0))
	_, err = gitops.Open(dir)
	require.NoError(t, err)
	other, err := gitops.Open(dir)
	require.NoError(t, err)
	_, err = other.Blob(p.ResultTree, f.Path)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}

// What we render is what git renders, and git applies it to the same tree.
func TestProposedAgreesWithGit(t *testing.T) {
	t.Parallel()
	cases := map[string]string{
		"modify":              goodDiff,
		"create":              "--- /dev/null\n+++ b/new/deep/x.py\n@@ -0,0 +1,2 @@\n+a\n+b\n",
		"create executable":   "diff --git a/run.sh b/run.sh\nnew file mode 100755\n--- /dev/null\n+++ b/run.sh\n@@ -0,0 +1 @@\n+echo\n",
		"create empty":        "diff --git a/new.py b/new.py\nnew file mode 100644\n",
		"create no newline":   "--- /dev/null\n+++ b/n\n@@ -0,0 +1 @@\n+a\n\\ No newline at end of file\n",
		"delete":              "--- a/LICENSE\n+++ /dev/null\n@@ -1 +0,0 @@\n-free\n",
		"delete empty":        "diff --git a/python/sglang/__init__.py b/python/sglang/__init__.py\ndeleted file mode 100644\nindex e69de29..0000000\n",
		"delete no newline":   "--- a/python/sglang/tail.py\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-x = 1\n-y = 2\n\\ No newline at end of file\n",
		"fill empty":          "--- a/python/sglang/__init__.py\n+++ b/python/sglang/__init__.py\n@@ -0,0 +1 @@\n+x = 1\n",
		"empty a file":        "--- a/LICENSE\n+++ b/LICENSE\n@@ -1 +0,0 @@\n-free\n",
		"CRLF":                "--- a/python/sglang/crlf.py\n+++ b/python/sglang/crlf.py\n@@ -1,3 +1,3 @@\n a = 1\r\n-b = 2\r\n+b = 4\r\n c = 3\r\n",
		"CRLF to LF":          "--- a/python/sglang/crlf.py\n+++ b/python/sglang/crlf.py\n@@ -2 +2 @@\n-b = 2\r\n+b = 2\n",
		"keep no newline":     "--- a/python/sglang/tail.py\n+++ b/python/sglang/tail.py\n@@ -1,2 +1,2 @@\n-x = 1\n+x = 3\n y = 2\n\\ No newline at end of file\n",
		"change last line":    "--- a/python/sglang/tail.py\n+++ b/python/sglang/tail.py\n@@ -1,2 +1,2 @@\n x = 1\n-y = 2\n\\ No newline at end of file\n+y = 3\n\\ No newline at end of file\n",
		"add newline":         "--- a/python/sglang/tail.py\n+++ b/python/sglang/tail.py\n@@ -2 +2 @@\n-y = 2\n\\ No newline at end of file\n+y = 2\n",
		"drop newline":        "--- a/LICENSE\n+++ b/LICENSE\n@@ -1 +1 @@\n-free\n+free\n\\ No newline at end of file\n",
		"plus before minus":   "--- a/python/sglang/tail.py\n+++ b/python/sglang/tail.py\n@@ -2 +2,2 @@\n+new\n-y = 2\n\\ No newline at end of file\n+y = 2\n\\ No newline at end of file\n",
		"no context":          "--- a/docs/two words.md\n+++ b/docs/two words.md\n@@ -1,0 +2 @@\n+one and a half\n",
		"unicode name":        "--- a/docs/übersicht.md\n+++ b/docs/übersicht.md\n@@ -1,2 +1,2 @@\n eins\n-zwei\n+drei\n",
		"name with space":     "--- a/docs/two words.md\n+++ b/docs/two words.md\n@@ -1,2 +1,2 @@\n one\n-two\n+three\n",
		"file becomes dir":    "--- a/LICENSE\n+++ /dev/null\n@@ -1 +0,0 @@\n-free\n--- /dev/null\n+++ b/LICENSE/MIT\n@@ -0,0 +1 @@\n+free\n",
		"dir becomes file":    "--- a/docs/two words.md\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-one\n-two\n--- a/docs/übersicht.md\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-eins\n-zwei\n--- /dev/null\n+++ b/docs\n@@ -0,0 +1 @@\n+moved\n",
		"two far hunks":       "--- a/python/sglang/srt/scheduler.py\n+++ b/python/sglang/srt/scheduler.py\n@@ -1 +1,2 @@\n import os\n+import sys\n@@ -12 +13 @@\n-    return None\n+    return 0\n",
		"rename by two":       "--- a/LICENSE\n+++ /dev/null\n@@ -1 +0,0 @@\n-free\n--- /dev/null\n+++ b/COPYING\n@@ -0,0 +1 @@\n+free\n",
		"several files":       goodDiff + "--- a/LICENSE\n+++ b/LICENSE\n@@ -1 +1,2 @@\n free\n+as in beer\n",
		"quote in name":       "--- /dev/null\n+++ \"b/say \\\"hi\\\".py\"\n@@ -0,0 +1 @@\n+a\n",
		"invisible and Latin": "--- a/LICENSE\n+++ b/LICENSE\n@@ -1 +1,2 @@\n free\n+caf\xe9 \u202e\n",
	}
	for name, diff := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, commit, r := fresh(t)
			patch := parse(t, diff)
			p, err := r.Propose(commit, patch)
			require.NoError(t, err)

			git(t, dir, p.Diff, "apply", "--cached", "--whitespace=nowarn", "-")
			require.Equal(t, p.ResultTree, git(t, dir, nil, "write-tree"))
			want := git(t, dir, nil, "diff-tree", "-r", "-p", "--full-index", "--no-renames", p.BaseTree, p.ResultTree) + "\n"
			require.Equal(t, want, string(p.Diff))

			again, err := r.Propose(commit, parse(t, string(p.Diff)))
			require.NoError(t, err)
			require.Equal(t, p, again, "our diff proposes itself")
			branch, err := r.CreateBranch("sotaloop/c/p", commit, p.ResultTree, patch, meta())
			require.NoError(t, err)
			require.Equal(t, p.ResultTree, git(t, dir, nil, "rev-parse", branch+"^{tree}"))
			require.Empty(t, git(t, dir, nil, "fsck", "--strict"))
		})
	}
}

func TestProposeRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ diff, says string }{
		"wrong line":         {"--- a/LICENSE\n+++ b/LICENSE\n@@ -1 +1 @@\n-fee\n+b\n", "line 1 of the base file"},
		"off by one":         {strings.Replace(strings.Replace(goodDiff, "-2,9", "-1,9", 1), "+2,7", "+1,7", 1), `write "@@ -2,9 +2,7 @@"`},
		"past the end":       {"--- a/LICENSE\n+++ b/LICENSE\n@@ -99 +99 @@\n-free\n+b\n", `write "@@ -1 +1 @@"`},
		"insert past":        {"--- a/LICENSE\n+++ b/LICENSE\n@@ -5,0 +6 @@\n+b\n", "end of the file"},
		"white space":        {"--- a/python/sglang/srt/scheduler.py\n+++ b/python/sglang/srt/scheduler.py\n@@ -5 +5 @@\n-\ttotal = 0\n+    total = 1\n", "white space"},
		"line end":           {"--- a/python/sglang/crlf.py\n+++ b/python/sglang/crlf.py\n@@ -2 +2 @@\n-b = 2\n+b = 3\n", `base "\r\n"`},
		"missing marker":     {"--- a/python/sglang/tail.py\n+++ b/python/sglang/tail.py\n@@ -2 +2 @@\n-y = 2\n+y = 3\n", "line end"},
		"marker inside":      {"--- a/LICENSE\n+++ b/LICENSE\n@@ -1 +1,2 @@\n+x\n\\ No newline at end of file\n free\n", "without newline"},
		"marker before rest": {"--- a/docs/two words.md\n+++ b/docs/two words.md\n@@ -1 +1 @@\n-one\n+x\n\\ No newline at end of file\n", "without newline"},
		"absent file":        {"--- a/srt/scheduler.py\n+++ b/srt/scheduler.py\n@@ -1 +1 @@\n-a\n+b\n", "python/sglang/srt/scheduler.py"},
		"absent, unlike":     {"--- a/q/zzz.py\n+++ b/q/zzz.py\n@@ -1 +1 @@\n-a\n+b\n", "/dev/null"},
		"a folder":           {"--- a/docs\n+++ b/docs\n@@ -1 +1 @@\n-a\n+b\n", "folder"},
		"exists":             {"--- /dev/null\n+++ b/LICENSE\n@@ -0,0 +1 @@\n+b\n", "exists already"},
		"below a file":       {"--- /dev/null\n+++ b/LICENSE/x\n@@ -0,0 +1 @@\n+b\n", "nothing can lie below"},
		"over a folder":      {"--- /dev/null\n+++ b/docs\n@@ -0,0 +1 @@\n+b\n", "is a folder"},
		"twin of file":       {"--- /dev/null\n+++ b/license\n@@ -0,0 +1 @@\n+b\n", "letter case"},
		"twin of folder":     {"--- /dev/null\n+++ b/DOCS/x.md\n@@ -0,0 +1 @@\n+b\n", "letter case"},
		"twin by form":       {"--- /dev/null\n+++ b/docs/u\u0308bersicht.md\n@@ -0,0 +1 @@\n+b\n", "Unicode form"},
		"delete but more":    {"--- a/docs/two words.md\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n", "leaves 1 lines"},
		"delete not empty":   {"diff --git a/LICENSE b/LICENSE\ndeleted file mode 100644\nindex 1..0\n", "leaves 1 lines"},
		"no change":          {"--- a/LICENSE\n+++ b/LICENSE\n@@ -1 +1 @@\n-free\n+free\n", "as it is"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, commit, r := fresh(t)
			_, err := r.Propose(commit, parse(t, c.diff))
			f, ok := fault.As(err)
			require.True(t, ok, "%v", err)
			require.Equal(t, fault.InvalidInput, f.Code)
			require.Equal(t, gitops.RulePaths, f.Rule)
			require.NotEmpty(t, f.Hints)
			require.Contains(t, f.Error()+strings.Join(f.Hints, " "), c.says)
		})
	}
}

// Links, submodules and binary files of the base cannot be patched, but may lie beside what is.
func TestUnpatchableEntries(t *testing.T) {
	t.Parallel()
	dir, _, _ := fresh(t)
	blob := git(t, dir, []byte("LICENSE"), "hash-object", "-w", "--stdin")
	bin := git(t, dir, []byte("a\x00\n"), "hash-object", "-w", "--stdin")
	git(t, dir, nil, "update-index", "--add", "--cacheinfo", "120000,"+blob+",link")
	git(t, dir, nil, "update-index", "--add", "--cacheinfo", "100644,"+bin+",bin")
	git(t, dir, nil, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",module")
	git(t, dir, nil, "commit", "-q", "-m", "odd")
	base := git(t, dir, nil, "rev-parse", "HEAD")
	r, err := gitops.Open(dir)
	require.NoError(t, err)
	for _, path := range []string{"link", "bin", "module", "module/x", "link/x"} {
		_, err := r.Propose(base, parse(t, "--- a/"+path+"\n+++ b/"+path+"\n@@ -1 +1 @@\n-LICENSE\n+b\n"))
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), path)
		_, err = r.Propose(base, parse(t, "--- /dev/null\n+++ b/"+path+"\n@@ -0,0 +1 @@\n+b\n"))
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), path)
	}
	p, err := r.Propose(base, parse(t, goodDiff))
	require.NoError(t, err)
	git(t, dir, p.Diff, "apply", "--cached", "-")
	require.Equal(t, p.ResultTree, git(t, dir, nil, "write-tree"))
}

func TestFindings(t *testing.T) {
	t.Parallel()
	_, commit, r := fresh(t)
	p, err := r.Propose(commit, parse(t, "--- /dev/null\n+++ b/test/conftest.py\n@@ -0,0 +1 @@\n+import os\n"+
		"--- /dev/null\n+++ b/x.py\n@@ -0,0 +1,3 @@\n+a\n+if x: \u202e# ok\n+\x1b[2K\n"))
	require.NoError(t, err)
	require.Len(t, p.Findings, 3)
	require.Equal(t, gitops.Finding{Rule: gitops.RuleHarness, Path: "test/conftest.py", What: "pytest runs this file before the tests"}, p.Findings[0])
	require.Equal(t, gitops.Finding{Rule: gitops.RulePaths, Path: "x.py", Line: 2, What: "adds the invisible character U+202E"}, p.Findings[1])
	require.Equal(t, 3, p.Findings[2].Line)
	p, err = r.Propose(commit, parse(t, goodDiff))
	require.NoError(t, err)
	require.NotNil(t, p.Findings)
	require.Empty(t, p.Findings)
}
