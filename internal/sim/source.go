package sim

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

// SwitchFile is the file of SourceFiles that holds the constant which decides whether simulated SGLang fuses the
// query/key norms with the rotary embedding; SwitchModule is its Python name.
const (
	SwitchFile   = "python/sglang/srt/layers/fused_norm_rope.py"
	SwitchModule = "sglang.srt.layers.fused_norm_rope"
	switchName   = "ENABLE_FUSED_QK_NORM_ROPE"
)

//go:embed all:source
var source embed.FS

// SourceFiles is the small checkout that simulated SGLang is installed from, by slash-separated path. It holds
// python/pyproject.toml, the package below python/sglang, and one test below test/srt.
func SourceFiles() map[string][]byte {
	out := map[string][]byte{}
	err := fs.WalkDir(source, "source", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := source.ReadFile(path)
		out[strings.TrimPrefix(path, "source/")] = b
		return err
	})
	if err != nil {
		panic(fmt.Sprintf("embedded source: %v", err)) // compiled in: cannot fail to be read
	}
	return out
}

// DemoPatch is the unified diff that the demo's agent proposes: it turns the fused kernel on and says why.
func DemoPatch() []byte {
	lines := strings.SplitAfter(string(SourceFiles()[SwitchFile]), "\n")
	at := -1
	for i, l := range lines {
		if strings.HasPrefix(l, switchName+" =") {
			at = i
		}
	}
	if at < 4 || at+3 >= len(lines) {
		panic("embedded source: no room around the switch")
	}
	old := []string{lines[at-1], lines[at]}
	patched := []string{
		"# One launch in place of five. The decode profile shows the five exposed in every layer, and the fused\n",
		"# kernel falls back to the reference wherever can_fuse_qk_norm_rope says so.\n",
		switchName + " = True\n",
	}
	before, after := lines[at-4:at-1], lines[at+1:at+4]
	var b bytes.Buffer
	fmt.Fprintf(&b, "--- a/%s\n+++ b/%s\n", SwitchFile, SwitchFile)
	fmt.Fprintf(&b, "@@ -%d,%d +%d,%d @@\n", at-3, 6+len(old), at-3, 6+len(patched))
	for _, part := range []struct {
		mark  string
		lines []string
	}{{" ", before}, {"-", old}, {"+", patched}, {" ", after}} {
		for _, l := range part.lines {
			b.WriteString(part.mark + l)
		}
	}
	return b.Bytes()
}
