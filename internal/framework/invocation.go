package framework

import (
	"regexp"
	"slices"
	"strings"
)

var (
	optionName  = regexp.MustCompile(`^-{1,2}[A-Za-z0-9][A-Za-z0-9_.+-]*`)
	choiceList  = regexp.MustCompile(`^\[*\{([^{}"' ]*)\}`)       // argparse: {a,b}
	barList     = regexp.MustCompile(`^\[([^\[\]]*\|[^\[\]]*)\]`) // click: [a|b]
	quotedList  = regexp.MustCompile(`^\[('[^']*'(?:, '[^']*')*)\]$`)
	clickNumber = regexp.MustCompile(`^(INTEGER|FLOAT)(?: RANGE)?\b`)
)

// parseInvocation reads "--tp-size N, --tensor-parallel-size N", "-s, --long N" (argparse of Python 3.13), "--x, --no-x",
// "--x {a,b}", "--y [Y ...]", and click's "--z INTEGER RANGE" and "--on / --off". The name is the longest long one.
func parseInvocation(s string) (Flag, bool) {
	var f Flag
	var names []string
	meta := ""
	for _, part := range splitNames(s) {
		name := optionName.FindString(part.text)
		if name == "" || name == "--help" || name == "-h" {
			return Flag{}, false
		}
		if part.negates {
			f.Negation = name
			continue
		}
		names = append(names, name)
		if rest := strings.TrimSpace(part.text[len(name):]); rest != "" {
			meta = rest
		}
	}
	names = f.takeNegation(names)
	for _, n := range names {
		if strings.HasPrefix(n, "--") && len(n) > len(f.Name) {
			f.Name = n
		}
	}
	if f.Name == "" {
		return Flag{}, false
	}
	for _, n := range names {
		if n != f.Name {
			f.Aliases = append(f.Aliases, n)
		}
	}
	f.kindOf(meta)
	return f, true
}

// takeNegation leaves out the names that are "--no-x" of another.
func (f *Flag) takeNegation(names []string) []string {
	var left []string
	for _, n := range names {
		rest, no := strings.CutPrefix(key(n), "no-")
		negates := no && strings.HasPrefix(n, "--") && has(names, rest)
		switch {
		case negates && f.Negation == "":
			f.Negation = n
		case !negates:
			left = append(left, n)
		}
	}
	return left
}

// has says whether one of the names, in any spelling, has the key.
func has(names []string, k string) bool {
	for _, n := range names {
		if key(n) == k {
			return true
		}
	}
	return false
}

// namePart is one spelling of an invocation with its argument; negates marks what stands behind click's slash.
type namePart struct {
	text    string
	negates bool
}

// splitNames cuts an invocation before every ", -" and " / -" outside of brackets: choices and JSON hold commas too.
func splitNames(s string) []namePart {
	var out []namePart
	depth, from, negates := 0, 0, false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth = max(0, depth-1)
		}
		for _, sep := range []string{", ", " / "} {
			if depth == 0 && strings.HasPrefix(s[i:], sep+"-") {
				out = append(out, namePart{strings.TrimSpace(s[from:i]), negates})
				from, negates = i+len(sep), sep == " / "
				i = from - 1
				break
			}
		}
	}
	return append(out, namePart{strings.TrimSpace(s[from:]), negates})
}

// kindOf reads what stands behind the last name. Braces are choices only where nothing in them is quoted.
func (f *Flag) kindOf(meta string) {
	if m := choiceList.FindStringSubmatch(meta); m != nil {
		f.Choices = splitTrim(m[1], ",")
	} else if m := quotedList.FindStringSubmatch(meta); m != nil {
		f.Choices = splitTrim(strings.ReplaceAll(m[1], "'", ""), ",")
	} else if m := barList.FindStringSubmatch(meta); m != nil && !strings.Contains(meta, "...") {
		f.Choices = splitTrim(m[1], "|")
	}
	number := clickNumber.FindStringSubmatch(meta)
	switch {
	case meta == "":
		f.Kind = KindBool
	case strings.Contains(meta, "..."):
		f.Kind = KindList
	case len(f.Choices) > 0:
		f.Kind = KindEnum
	case number != nil && number[1] == "INTEGER":
		f.Kind = KindInt
	case number != nil:
		f.Kind = KindFloat
	case meta == "BOOLEAN":
		f.Kind, f.Choices = KindEnum, []string{"true", "false"}
	default:
		f.Kind = KindString
	}
}

func splitTrim(s, sep string) []string {
	out := []string{}
	for p := range strings.SplitSeq(s, sep) {
		if p = strings.TrimSpace(p); p != "" && !slices.Contains(out, p) { // argparse does not quote a choice with a comma
			out = append(out, p)
		}
	}
	return out
}
