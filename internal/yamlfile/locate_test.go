package yamlfile_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/yamlfile"
)

func TestLocate(t *testing.T) {
	t.Parallel()
	const file = "# top\nhosts:\n  a:\n    ssh: b\n    engines:\n      x: {type: sglang}\n    # tail\n  # between\n  b: &q # why\n    ssh: c\n    secrets:\n    - A\n\n# end\n"
	for _, x := range []struct {
		text string
		path []string
		want yamlfile.Block
	}{
		{file, []string{"hosts"}, yamlfile.Block{Line: 2, Column: 1, End: 12, Indent: 3}},
		{file, []string{"hosts", "a"}, yamlfile.Block{Line: 3, Column: 3, End: 7, Indent: 5}},
		{file, []string{"hosts", "a", "engines"}, yamlfile.Block{Line: 5, Column: 5, End: 6, Indent: 7}},
		{file, []string{"hosts", "a", "engines", "x"}, yamlfile.Block{Line: 6, Column: 7, End: 6, Inline: true}},
		{file, []string{"hosts", "a", "ssh"}, yamlfile.Block{Line: 4, Column: 5, End: 4, Inline: true}},
		{file, []string{"hosts", "b"}, yamlfile.Block{Line: 9, Column: 3, End: 12, Indent: 5}},
		{file, []string{"hosts", "c"}, yamlfile.Block{}},
		{file, []string{"guests", "a"}, yamlfile.Block{}},
		{"", []string{"hosts"}, yamlfile.Block{}},
		{"# nothing\n", []string{"hosts"}, yamlfile.Block{}},
		{"hosts:\n", []string{"hosts"}, yamlfile.Block{Line: 1, Column: 1, End: 1}},
		{"hosts: # none\n", []string{"hosts"}, yamlfile.Block{Line: 1, Column: 1, End: 1}},
		{"hosts: ~\n", []string{"hosts"}, yamlfile.Block{Line: 1, Column: 1, End: 1, Inline: true}},
		{"hosts: {}\n", []string{"hosts"}, yamlfile.Block{Line: 1, Column: 1, End: 1, Inline: true}},
		{"hosts: {a: {ssh: b}}\n", []string{"hosts", "a"}, yamlfile.Block{Line: 1, Column: 9, End: 1, Inline: true}},
		{"hosts:\r\n  a:\r\n    ssh: b\r\n", []string{"hosts", "a"}, yamlfile.Block{Line: 2, Column: 3, End: 3, Indent: 5}},
		{"hosts:\n  a: &x\n    ssh: b\n  c: *x\n", []string{"hosts", "c"}, yamlfile.Block{Line: 4, Column: 3, End: 4, Inline: true}},
		{"hosts:\n  c:\n    <<: {engines: {}}\n    ssh: b\n", []string{"hosts", "c", "engines"}, yamlfile.Block{}},
	} {
		got, err := yamlfile.Locate([]byte(x.text), x.path...)
		require.NoError(t, err, x.text)
		require.Equal(t, x.want, got, "%q %v", x.text, x.path)
	}
	_, err := yamlfile.Locate([]byte("a: [\n"), "a")
	require.Error(t, err)
}
