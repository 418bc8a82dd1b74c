package skills_test

import (
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
	// fields are names in backquotes that are fields of an answer, not tools.
	fields = []string{"approve_command"}
)

func TestEverySkillNamesOnlyWhatExists(t *testing.T) {
	t.Parallel()
	known := tools.Names(tools.All(nil))
	require.NotEmpty(t, skills.Names())
	for _, name := range skills.Names() {
		raw, err := skills.Text(name)
		require.NoError(t, err)
		text := string(raw)
		require.True(t, strings.HasPrefix(text, "---\nname: "+name+"\n"), "front matter of %s names its folder", name)
		require.Regexp(t, `(?m)^description: .{40,900}$`, text)
		for _, m := range toolLike.FindAllStringSubmatch(text, -1) {
			require.True(t, slices.Contains(known, m[1]) || slices.Contains(fields, m[1]), "%s names %q, which is no tool", name, m[1])
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
