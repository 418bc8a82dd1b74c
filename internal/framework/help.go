package framework

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

const (
	// diffusionHelp begins the second parser's help in the output of `sglang serve --help`.
	diffusionHelp = "--- Help for Diffusion Model Server ---"
	// minFlags is fewer than any server command has: an output with less was something else than its help.
	minFlags = 3
)

var (
	// entryLine is an option: argparse and click indent by two, click's option groups by four. Three is argparse's
	// epilog, more is help text.
	entryLine    = regexp.MustCompile(`^(?: {2}| {4})(-\S.*?)(?: {2,}(\S.*))?$`)
	groupLine    = regexp.MustCompile(`^([A-Za-z][^:]*):$`)
	subgroupLine = regexp.MustCompile(`^  ([A-Z][A-Za-z0-9 /_-]*):(?: {2,}.*)?$`)
	escape       = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)
	clickDefault = regexp.MustCompile(`\s*\[default: ([^;\]]*)[^\]]*\]$`)
	clickTag     = regexp.MustCompile("^:tag:`([a-z]+)`\\s*")
)

// parseHelp reads argparse's and click's option lists. What stands before the first section (warnings, the usage block)
// is skipped; help text may stand on the entry's line or on the deeper indented lines below it.
func parseHelp(text string) (Help, error) {
	h := Help{Flags: []Flag{}, Digest: digest(text)}
	plain := escape.ReplaceAllString(text, "")
	if i := strings.Index(plain, diffusionHelp); i >= 0 {
		plain = plain[:i]
	}
	group, cur := "", -1
	seen := map[string]bool{}
	var docs [][]string
	for line := range strings.SplitSeq(plain, "\n") {
		line = strings.TrimRight(line, " \r\t")
		if line == "" {
			continue
		}
		if m := groupLine.FindStringSubmatch(line); m != nil {
			group, cur = m[1], -1
		} else if m := subgroupLine.FindStringSubmatch(line); m != nil && group != "" {
			group, cur = m[1], -1
		} else if m := entryLine.FindStringSubmatch(line); m != nil && group != "" {
			f, ok := parseInvocation(m[1])
			if cur = -1; !ok || seen[key(f.Name)] {
				continue
			}
			f.Group = group
			seen[key(f.Name)] = true
			h.Flags, docs = append(h.Flags, f), append(docs, []string{m[2]})
			cur = len(h.Flags) - 1
		} else if cur >= 0 && strings.HasPrefix(line, "     ") {
			docs[cur] = append(docs[cur], strings.TrimSpace(line))
		} else {
			cur = -1
		}
	}
	for i := range h.Flags {
		h.Flags[i].Doc = strings.TrimSpace(strings.Join(docs[i], " "))
		h.Flags[i].finish()
	}
	if len(h.Flags) < minFlags {
		return Help{}, fault.New(fault.FrameworkFailed, "the help text holds %d flags", len(h.Flags)).At("framework", firstLine(text)).
			Hint("the command printed something else than its help; vLLM needs --help=all")
	}
	return h, nil
}

// finish reads default, deprecation and, where the default tells it, the kind.
func (f *Flag) finish() {
	tag := ""
	if m := clickTag.FindStringSubmatch(f.Doc); m != nil {
		tag, f.Doc = m[1], f.Doc[len(m[0]):]
	}
	if i := strings.LastIndex(f.Doc, "(default: "); i >= 0 && strings.HasSuffix(f.Doc, ")") {
		f.Default = f.Doc[i+len("(default: ") : len(f.Doc)-1]
		f.Doc = strings.TrimSpace(f.Doc[:i])
	} else if m := clickDefault.FindStringSubmatch(f.Doc); m != nil {
		f.Default = m[1]
		f.Doc = strings.TrimSpace(strings.TrimSuffix(f.Doc, m[0]))
	}
	low := strings.TrimLeft(strings.ToLower(f.Doc), "[( ")
	f.Deprecated = tag == "deprecated" || strings.HasPrefix(low, "deprecated") || strings.HasPrefix(low, "note: "+f.Name+" is deprecated")
	if f.Kind != KindString || f.Default == "" || f.Default == "None" {
		return
	}
	switch {
	case isWhole(f.Default):
		f.Kind = KindInt
	case isNumber(f.Default):
		f.Kind = KindFloat
	case strings.HasPrefix(f.Default, "{") || strings.HasPrefix(f.Default, "[") && json.Valid([]byte(f.Default)):
		f.Kind = KindJSON
	}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// firstLine is the beginning of a text, for an error.
func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return strings.ToValidUTF8(line[:min(len(line), 120)], "")
}
