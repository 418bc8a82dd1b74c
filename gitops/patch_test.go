package gitops_test

import (
	"strings"
	"testing"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/stretchr/testify/require"
)

// modify is a diff that replaces one line of a file at a path.
func modify(path string) string {
	return "diff --git a/" + path + " b/" + path + "\n--- a/" + path + "\n+++ b/" + path + "\n@@ -1 +1 @@\n-a\n+b\n"
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const head = "--- a/x.py\n+++ b/x.py\n"
	cases := map[string]struct{ diff, says string }{
		"nothing":                {"", "changes no file"},
		"blank":                  {"\n\n\r\n", "changes no file"},
		"prose":                  {"Please apply my change.\n", "belongs to no file"},
		"prose before":           {"Here it is:\n" + modify("x.py"), "belongs to no file"},
		"prose after":            {modify("x.py") + "Done.\n", "belongs to no file"},
		"fences":                 {"```diff\n" + modify("x.py") + "```\n", "fences"},
		"mail":                   {"From 123 Mon Sep 17\nSubject: x\n---\n" + modify("x.py"), "mail header"},
		"hunk alone":             {"@@ -1 +1 @@\n-a\n+b\n", "belongs to no file"},
		"no hunk":                {"diff --git a/x b/x\n--- a/x\n+++ b/x\n", "changes nothing"},
		"no hunk, no names":      {"diff --git a/x b/x\nindex 1..2\n", "no readable names"},
		"count too small":        {head + "@@ -1,1 +1,1 @@\n-a\n-b\n+c\n", `write "@@ -1,2 +1 @@"`},
		"count too large":        {head + "@@ -1,9 +1,9 @@\n a\n-b\n+c\n", `write "@@ -1,2 +1,2 @@"`},
		"count too large, more":  {head + "@@ -1,3 +1,3 @@\n a\n-b\n+c\n" + modify("y.py"), `write "@@ -1,2 +1,2 @@"`},
		"new start lies":         {head + "@@ -5 +9 @@\n-a\n+b\n", `write "@@ -5 +5 @@"`},
		"second start lies":      {head + "@@ -1 +1,2 @@\n-a\n+b\n+c\n@@ -9 +9 @@\n-d\n+e\n", `write "@@ -9 +10 @@"`},
		"out of order":           {head + "@@ -9 +9 @@\n-a\n+b\n@@ -1 +1 @@\n-a\n+b\n", "inside or before"},
		"overlap":                {head + "@@ -1,3 +1,3 @@\n-a\n+b\n c\n d\n@@ -3 +3 @@\n-d\n+e\n", "inside or before"},
		"line zero":              {head + "@@ -0,2 +1,2 @@\n-a\n+b\n c\n", "inside or before"},
		"negative":               {head + "@@ --1,2 +1,2 @@\n-a\n+b\n c\n", "not a hunk header"},
		"huge":                   {head + "@@ -99999999999,2 +1,2 @@\n-a\n+b\n c\n", "not a hunk header"},
		"combined hunk":          {head + "@@@ -1 -1 +1 @@@\n- a\n", "not a hunk header"},
		"merge":                  {"diff --cc x.py\nindex 1,2..3\n", "not a merge"},
		"only context":           {head + "@@ -1,2 +1,2 @@\n a\n b\n", "changes nothing"},
		"empty hunk":             {head + "@@ -1,0 +1,0 @@\n", "changes nothing"},
		"NUL":                    {head + "@@ -1 +1 @@\n-a\n+b\x00c\n", "binary"},
		"binary":                 {"diff --git a/x b/x\nindex 1..2 100644\nBinary files a/x and b/x differ\n", "binary"},
		"git binary":             {"diff --git a/x b/x\nindex 1..2 100644\nGIT binary patch\nliteral 1\nIcma\n", "binary"},
		"rename":                 {"diff --git a/x b/y\nsimilarity index 100%\nrename from x\nrename to y\n", "renames"},
		"rename by names":        {"--- a/x\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n", "disagree"},
		"copy":                   {"diff --git a/x b/y\ncopy from x\ncopy to y\n", "copies"},
		"mode":                   {"diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", "mode"},
		"symlink":                {"diff --git a/x b/x\nnew file mode 120000\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+/etc/passwd\n", "symbolic link"},
		"symlink by index":       {"diff --git a/x b/x\nindex 1..2 120000\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", "symbolic link"},
		"submodule":              {"diff --git a/x b/x\nindex 1..2 160000\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", "submodule"},
		"setuid":                 {"diff --git a/x b/x\nnew file mode 104755\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n", "not that of a regular file"},
		"unknown header":         {"diff --git a/x b/x\nfancy 1\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", "unknown"},
		"git line lies":          {"diff --git a/x b/x\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n", "disagree"},
		"both null":              {"--- /dev/null\n+++ /dev/null\n@@ -0,0 +1 @@\n+a\n", "disagree"},
		"create with old name":   {"diff --git a/x b/x\nnew file mode 100644\n--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+a\n", "names do not"},
		"create with base lines": {"--- /dev/null\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n", "has base lines"},
		"delete that leaves":     {"--- a/x\n+++ /dev/null\n@@ -1,2 +1 @@\n-a\n b\n", "leaves lines"},
		"delete in the middle":   {"--- a/x\n+++ /dev/null\n@@ -2 +1,0 @@\n-a\n", "leaves lines"},
		"two hunks to create":    {"--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n@@ -1,0 +2 @@\n+b\n", "more than one hunk"},
		"twice":                  {modify("x.py") + modify("x.py"), "twice"},
		"twins by case":          {modify("x.py") + modify("X.PY"), "letter case"},
		"twins by form":          {modify("\u00e9.py") + modify("e\u0301.py"), "Unicode form"},
		"too large":              {strings.Repeat("x", 9<<20), "larger than"},
		"marker without line":    {head + "@@ -1 +1 @@\n\\ No newline at end of file\n-a\n+b\n", ""},
		"marker twice":           {head + "@@ -1 +1 @@\n-a\n+b\n\\ No newline at end of file\n\\ No newline at end of file\n", ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := gitops.ParsePatch([]byte(c.diff))
			f, ok := fault.As(err)
			require.True(t, ok, "%v", err)
			require.Equal(t, fault.InvalidInput, f.Code)
			require.Contains(t, f.Error()+strings.Join(f.Hints, " "), c.says)
			require.NotEmpty(t, f.Field)
			require.NotEmpty(t, f.Hints, "the way on")
		})
	}
}

func TestParseRefusesPaths(t *testing.T) {
	t.Parallel()
	for _, path := range []string{
		"/etc/passwd", "../x", "a/../../x", "a/../b", "./x", "a//b", "a/./b", "a/", "C:/x", "a\\b", "a:b",
		".git/config", ".git/hooks/pre-commit", "sub/.git/config", ".GIT/config", ".gitattributes", "docs/.gitignore", ".gitmodules",
		".github/workflows/ci.yml", "git~1/config", "GIT~1/config", "gitmod~1", "gi7eba~1", ".git./config", ".git /config", "\uff0egit/config",
		".g\u200cit/config", "site.pth", "a/B.PTH", "sitecustomize.py", "x/sitecustomize/__init__.py", "SiteCustomize.py", "usercustomize.py",
		"a/usercustomize.pyc", "x.py.", "x ./y", "a\u202eb.py", "a\u200bb.py", "a\tb", "a\x01b", "\xff.py", strings.Repeat("a/", 600) + "x",
	} {
		for _, diff := range []string{
			modify(path), "--- /dev/null\n+++ b/" + path + "\n@@ -0,0 +1 @@\n+a\n", "--- a/" + path + "\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n",
			"--- " + path + "\n+++ " + path + "\n@@ -1 +1 @@\n-a\n+b\n",
		} {
			_, err := gitops.ParsePatch([]byte(diff))
			f, ok := fault.As(err)
			require.True(t, ok, "%q in %q", path, diff)
			require.Equal(t, fault.InvalidInput, f.Code)
			require.Equal(t, gitops.RulePaths, f.Rule)
		}
	}
}

func TestParseAccepts(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ diff, path string }{
		"plain":                     {"--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n", "x.py"},
		"no final newline":          {"--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b", "x.py"},
		"no prefix":                 {"--- x.py\n+++ x.py\n@@ -1 +1 @@\n-a\n+b\n", "x.py"},
		"no prefix in git line":     {"diff --git x.py x.py\n--- x.py\n+++ x.py\n@@ -1 +1 @@\n-a\n+b\n", "x.py"},
		"mnemonic":                  {"diff --git i/x.py w/x.py\n--- i/x.py\n+++ w/x.py\n@@ -1 +1 @@\n-a\n+b\n", "x.py"},
		"folder called b":           {"diff --git b/x.py b/x.py\nnew file mode 100644\n--- /dev/null\n+++ b/x.py\n@@ -0,0 +1 @@\n+b\n", "b/x.py"},
		"folder called a":           {"--- a/x.py\n+++ a/x.py\n@@ -1 +1 @@\n-a\n+b\n", "a/x.py"},
		"time stamps":               {"--- a/x.py\t2026-01-02 03:04:05.000000000 +0100\n+++ b/x.py\t2026-01-02 03:04:05.000000000 +0100\n@@ -1 +1 @@\n-a\n+b\n", "x.py"},
		"space":                     {"diff --git a/x y.py b/x y.py\n--- a/x y.py\t\n+++ b/x y.py\t\n@@ -1 +1 @@\n-a\n+b\n", "x y.py"},
		"quoted":                    {"diff --git \"a/\\303\\274.py\" \"b/\\303\\274.py\"\n--- \"a/\\303\\274.py\"\n+++ \"b/\\303\\274.py\"\n@@ -1 +1 @@\n-a\n+b\n", "ü.py"},
		"unquoted":                  {"diff --git a/ü.py b/ü.py\n--- a/ü.py\n+++ b/ü.py\n@@ -1 +1 @@\n-a\n+b\n", "ü.py"},
		"empty file":                {"diff --git a/x.py b/x.py\nnew file mode 100644\nindex 0000000..e69de29\n", "x.py"},
		"empty file without index":  {"diff --git a/x.py b/x.py\nnew file mode 100755\n", "x.py"},
		"cut context":               {"--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,3 @@\n\n-a\n+b\n\n", "x.py"},
		"blank lines after":         {"--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n\n\n", "x.py"},
		"headers with CR":           {"--- a/x.py\r\n+++ b/x.py\r\n@@ -1 +1 @@\r\n-a\r\n+b\r\n", "x.py"},
		"body like headers":         {"--- a/x.sql\n+++ b/x.sql\n@@ -1,3 +1,3 @@\n--- old\n+++ new\n @@ -1 +1 @@\n--- a\n+++ b\n", "x.sql"},
		"github in the middle":      {modify("docs/github/x.md"), "docs/github/x.md"},
		"git in the middle of name": {modify("digit.py"), "digit.py"},
		"conftest":                  {modify("test/conftest.py"), "test/conftest.py"},
		"dash dash name":            {modify("--output=x"), "--output=x"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := gitops.ParsePatch([]byte(c.diff))
			require.NoError(t, err)
			require.Equal(t, []string{c.path}, p.Paths())
		})
	}
}

// All wrong headers are named at once, so that one correction is enough.
func TestWrongHeadersComeTogether(t *testing.T) {
	t.Parallel()
	_, err := gitops.ParsePatch([]byte("--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n a\n-b\n+c\n+d\n@@ -20,3 +20,3 @@\n-e\n+f\n--- a/y\n+++ b/y\n@@ -1,5 +1 @@\n-a\n+b\n"))
	f, ok := fault.As(err)
	require.True(t, ok)
	require.Len(t, f.Hints, 3)
	require.Contains(t, f.Hints[0], `"@@ -1,2 +1,3 @@"`)
	require.Contains(t, f.Hints[1], `"@@ -20 +21 @@"`)
	require.Contains(t, f.Hints[2], `"@@ -1 +1 @@"`)
	require.Contains(t, f.Hints[2], "file 2, hunk 1")
}
