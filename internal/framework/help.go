package framework

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

var (
	entryLine  = regexp.MustCompile(`^ {1,4}(-\S.*?)(?: {2,}(\S.*))?$`)
	groupLine  = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9 _/().,-]*):\s*$`)
	optionName = regexp.MustCompile(`(?:^|, |/| )(-{1,2}[A-Za-z][A-Za-z0-9_.-]*)`)
	braces     = regexp.MustCompile(`\{([^{}]*)\}`)
	brackets   = regexp.MustCompile(`^\[([^\[\]]*\|[^\[\]]*)\]$`)
	defaultIn  = regexp.MustCompile(`\(default: (.*?)\)\s*$`)
	clickTag   = regexp.MustCompile("^:tag:`[a-z]+`\\s*")
)

// parseHelp reads argparse's and click's option lists. Usage blocks before the first section are skipped; help text may
// stand on the entry's line or on the deeper indented lines below it.
func parseHelp(text string) (Help, error) {
	h := Help{Flags: []Flag{}, Digest: digest(text)}
	group, cur := "", -1
	seen := map[string]bool{}
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, " \r\t")
		if m := groupLine.FindStringSubmatch(line); m != nil {
			group, cur = m[1], -1
			continue
		}
		if m := entryLine.FindStringSubmatch(line); m != nil && group != "" {
			f, ok := parseInvocation(m[1])
			if !ok {
				cur = -1
				continue
			}
			f.Group, f.Doc = group, m[2]
			if seen[f.Name] {
				cur = -1
				continue
			}
			seen[f.Name] = true
			h.Flags = append(h.Flags, f)
			cur = len(h.Flags) - 1
			continue
		}
		if cur >= 0 && strings.HasPrefix(line, "     ") {
			h.Flags[cur].Doc = strings.TrimSpace(h.Flags[cur].Doc + " " + strings.TrimSpace(line))
		}
	}
	for i := range h.Flags {
		h.Flags[i].finish()
	}
	if len(h.Flags) < 3 {
		return Help{}, fault.New(fault.FrameworkFailed, "the help text holds %d flags", len(h.Flags)).At("framework", firstLine(text)).
			Hint("the command printed something else than its help; vLLM needs --help=all")
	}
	return h, nil
}

// parseInvocation reads "--tp-size N, --tensor-parallel-size N", "--x, --no-x", "--x {a,b}", "--y [Y ...]" and click's
// "--z INTEGER RANGE".
func parseInvocation(s string) (Flag, bool) {
	bare := s
	var choices []string
	if m := braces.FindStringSubmatch(s); m != nil && !strings.Contains(m[0], `"`) {
		choices = splitTrim(m[1], ",")
	}
	if i := strings.IndexByte(bare, '{'); i >= 0 {
		if k := strings.LastIndexByte(bare, '}'); k > i {
			bare = bare[:i] + "CHOICES" + bare[k+1:]
		}
	}
	names := optionName.FindAllStringSubmatchIndex(bare, -1)
	if len(names) == 0 {
		return Flag{}, false
	}
	f := Flag{Choices: choices}
	last := 0
	for _, n := range names {
		name := bare[n[2]:n[3]]
		last = n[3]
		switch {
		case name == "--help" || name == "-h":
			return Flag{}, false
		case strings.HasPrefix(name, "--no-") && len(names) > 1:
			f.Negation = name
		default:
			f.Aliases = append(f.Aliases, name)
		}
	}
	for i, a := range f.Aliases {
		if len(a) > len(f.Name) {
			f.Name = f.Aliases[i]
		}
	}
	if f.Name == "" || !strings.HasPrefix(f.Name, "--") {
		return Flag{}, false
	}
	var others []string
	for _, a := range f.Aliases {
		if a != f.Name {
			others = append(others, a)
		}
	}
	f.Aliases = others
	f.kindOf(strings.TrimSpace(bare[last:]))
	return f, true
}

// kindOf reads what stands behind the last name.
func (f *Flag) kindOf(meta string) {
	if m := brackets.FindStringSubmatch(meta); m != nil {
		f.Choices = splitTrim(m[1], "|")
	}
	switch {
	case meta == "":
		f.Kind = KindBool
	case strings.Contains(meta, "...") && len(f.Choices) == 0:
		f.Kind = KindList
	case len(f.Choices) > 0:
		f.Kind = KindEnum
	case strings.HasPrefix(meta, "INTEGER"):
		f.Kind = KindInt
	case strings.HasPrefix(meta, "FLOAT"):
		f.Kind = KindFloat
	case meta == "BOOLEAN":
		f.Kind = KindEnum
		f.Choices = []string{"true", "false"}
	default:
		f.Kind = KindString
	}
}

// finish reads default, deprecation and, where the default tells it, the kind.
func (f *Flag) finish() {
	f.Doc = clickTag.ReplaceAllString(f.Doc, "")
	if m := defaultIn.FindStringSubmatch(f.Doc); m != nil {
		f.Default = m[1]
		f.Doc = strings.TrimSpace(strings.TrimSuffix(f.Doc, m[0]))
	}
	low := strings.ToLower(f.Doc)
	f.Deprecated = strings.HasPrefix(low, "deprecated") || strings.Contains(low, "is deprecated")
	if f.Kind != KindString || f.Default == "" || f.Default == "None" {
		return
	}
	switch {
	case isWhole(f.Default):
		f.Kind = KindInt
	case isNumber(f.Default):
		f.Kind = KindFloat
	case strings.HasPrefix(f.Default, "{") || json.Valid([]byte(f.Default)) && strings.HasPrefix(f.Default, "["):
		f.Kind = KindJSON
	}
}

func isWhole(s string) bool {
	_, err := strconv.ParseInt(s, 10, 64)
	return err == nil
}

func splitTrim(s, sep string) []string {
	out := []string{}
	for _, p := range strings.Split(s, sep) {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line[:min(len(line), 120)]
}
