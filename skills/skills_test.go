package skills_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/rules"
	"github.com/sotaloop/sotaloop/skills"
	"github.com/sotaloop/sotaloop/tools"
)

var (
	toolLike = regexp.MustCompile("`([a-z]+_[a-z_]+)`")
	ruleLike = regexp.MustCompile("`((?:fair|evid|patch|host|claim|flow)\\.[a-z-]+)`")
)

func TestEverySkillNamesOnlyWhatExists(t *testing.T) {
	t.Parallel()
	known := tools.Names(tools.All(nil))
	written := words(t, "../internal", "../tools")
	require.NotEmpty(t, skills.Names())
	for _, name := range skills.Names() {
		raw, err := skills.Text(name)
		require.NoError(t, err)
		text := string(raw)
		require.True(t, strings.HasPrefix(text, "---\nname: "+name+"\n"), "front matter of %s names its folder", name)
		require.Regexp(t, `(?m)^description: .{40,900}$`, text)
		for _, m := range toolLike.FindAllStringSubmatch(text, -1) {
			require.True(t, slices.Contains(known, m[1]) || written[m[1]], "%s names %q, which is neither a tool nor a field or word of an answer", name, m[1])
		}
		for _, m := range ruleLike.FindAllStringSubmatch(text, -1) {
			_, ok := rules.Find(m[1])
			require.True(t, ok, "%s names rule %q", name, m[1])
		}
	}
}

func TestTheLoopSkillNamesEveryStep(t *testing.T) {
	t.Parallel()
	raw, err := skills.Text("sglang-sota-performance")
	require.NoError(t, err)
	for _, tool := range tools.Names(tools.All(nil)) {
		if tool != "cancel_job" {
			require.Contains(t, string(raw), "`"+tool+"`")
		}
	}
}

// words are the fields and texts of one word in the source below dirs.
func words(t *testing.T, dirs ...string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	literal := regexp.MustCompile(`["` + "`" + `:]"?([a-z]+_[a-z_]+)\b`)
	for _, dir := range dirs {
		require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			raw, err := os.ReadFile(path)
			for _, m := range literal.FindAllSubmatch(raw, -1) {
				out[string(m[1])] = true
			}
			return err
		}))
	}
	return out
}
