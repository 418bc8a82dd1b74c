package gitops_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/stretchr/testify/require"
)

func when() time.Time { return time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC) }

// git runs the real git in dir with no configuration of this machine; the test is skipped where there is none.
func git(t testing.TB, dir string, stdin []byte, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(stdin)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=T", "GIT_AUTHOR_EMAIL=t@x", "GIT_COMMITTER_NAME=T", "GIT_COMMITTER_EMAIL=t@x",
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Run(), "git %s: %s", strings.Join(args, " "), errs.String())
	return strings.TrimRight(out.String(), "\n")
}

// baseFiles is a small tree with every kind of text the patches below need.
func baseFiles() map[string][]byte {
	return map[string][]byte{
		"python/sglang/srt/scheduler.py": []byte("import os\n\n\ndef step(batch):\n    total = 0\n    for r in batch:\n        total += r\n    return total\n\n\ndef idle():\n    return None\n"),
		"python/sglang/__init__.py":      {},
		"python/sglang/crlf.py":          []byte("a = 1\r\nb = 2\r\nc = 3\r\n"),
		"python/sglang/tail.py":          []byte("x = 1\ny = 2"),
		"docs/übersicht.md":              []byte("eins\nzwei\n"),
		"docs/two words.md":              []byte("one\ntwo\n"),
		"LICENSE":                        []byte("free\n"),
	}
}

// fresh makes a repository with baseFiles and opens it.
func fresh(t testing.TB) (dir, commit string, r *gitops.Repo) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "checkout")
	commit, err := gitops.Create(dir, baseFiles(), "first", when())
	require.NoError(t, err)
	r, err = gitops.Open(dir)
	require.NoError(t, err)
	return dir, commit, r
}

// parse is ParsePatch for diffs that must be accepted.
func parse(t testing.TB, diff string) *gitops.Patch {
	t.Helper()
	p, err := gitops.ParsePatch([]byte(diff))
	require.NoError(t, err)
	return p
}

// files lists a folder with contents, to see that nothing in it changed.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir)] = string(text)
		return err
	}))
	return all
}

const goodDiff = `diff --git a/python/sglang/srt/scheduler.py b/python/sglang/srt/scheduler.py
--- a/python/sglang/srt/scheduler.py
+++ b/python/sglang/srt/scheduler.py
@@ -2,9 +2,7 @@ import os
 
 
 def step(batch):
-    total = 0
-    for r in batch:
-        total += r
-    return total
+    # one pass in C
+    return sum(batch)
 
 
`
