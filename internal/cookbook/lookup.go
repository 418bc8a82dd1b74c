package cookbook

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// Match is an entry for a model's name.
type Match struct {
	Entry      Entry
	Checkpoint Checkpoint // the exact one; for a name of the family only its ID is known
	Exact      bool
}

// ByID finds an entry by its own id.
func (b *Book) ByID(id string) (Entry, bool) {
	i := slices.IndexFunc(b.Entries, func(e Entry) bool { return e.ID == id })
	if i < 0 {
		return Entry{}, false
	}
	return b.Entries[i], true
}

// Lookup finds the entry of a model by its name: a checkpoint's id first, whatever its case, then a family. Of a name of
// a family (`org/Qwen3-235B-A22B-Thinking-2507-AWQ`, or a folder of that name) only such words may follow as say how
// the same weights were trained on or stored. Sizes, distillations, pruned and draft models are other models: what is
// not known to be harmless is no match.
func (b *Book) Lookup(model string) (Match, bool) {
	for _, e := range b.Entries {
		for _, c := range e.Checkpoints {
			if strings.EqualFold(c.ID, model) {
				return Match{Entry: e, Checkpoint: c, Exact: true}, true
			}
		}
	}
	words := nameWords(model)
	for _, e := range b.Entries {
		for _, name := range e.Names {
			if family := nameWords(name); ofFamily(family, words) {
				return Match{Entry: e, Checkpoint: Checkpoint{ID: model}}, true
			}
		}
	}
	return Match{}, false
}

// nameWords cuts the last part of a name at dashes, underscores and spaces, in lower case.
func nameWords(model string) []string {
	base := strings.ToLower(path.Base(strings.ReplaceAll(strings.TrimSpace(model), `\`, "/")))
	return strings.FieldsFunc(base, func(r rune) bool { return r == '-' || r == '_' || r == ' ' })
}

// ofFamily says whether a name is a family's with harmless words behind.
func ofFamily(family, words []string) bool {
	if len(family) == 0 || len(words) < len(family) || !slices.Equal(family, words[:len(family)]) {
		return false
	}
	return !slices.ContainsFunc(words[len(family):], func(w string) bool { return !harmless[w] && !release.MatchString(w) })
}

// release is a date of a release, as 2507 or 0905.
var release = regexp.MustCompile(`^[0-9]{4}$`)

// harmless are words behind a family's name that leave architecture and number of parameters as they are.
var harmless = wordSet(`instruct chat it pt base thinking reasoning exp speciale terminus preview hf
	bf16 fp16 fp8 fp4 nvfp4 mxfp4 int8 int4 awq gptq w4a16 w8a16 w8a8 dynamic block quantized 4bit 8bit`)

func wordSet(text string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(text) {
		out[w] = true
	}
	return out
}
