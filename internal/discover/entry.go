package discover

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts"
)

// Entry is a host as it would stand in hosts.yaml, with the reason of every line.
type Entry struct {
	Name    string
	Lines   []Line   // of the host itself, in order
	Models  []Line   // id → folder
	Engines []Engine // by name
	// Also is what was found and needs a person's word: comments below the entry.
	Also []string
	// Notes are for the terminal only.
	Notes []string

	tilde func(string) string // writes paths below the account's home with ~
}

// Line is one key with its value as YAML, and why it is so.
type Line struct{ Key, Value, Why string }

// Engine is one engine entry. Exactly one of Venv and Image is set.
type Engine struct {
	Name, Type, Venv, Image           string
	Checkout, PackageRoot, ImportName string // of a host that is this machine
	Why                               string
}

// foundMark begins the comment that says which build an engine entry led to. It is ours: a later look may renew it.
const foundMark = "# found: "

// YAML renders the entry, indented for the place below "hosts".
func (e Entry) YAML() []string {
	out := []string{"  " + scalar(e.Name) + ":", "    # Found by `sotaloop hosts add`, each line with its reason. Change what you know better."}
	out = append(out, aligned("    ", e.Lines)...)
	if len(e.Models) > 0 {
		out = append(append(out, "    models:"), e.modelLines()...)
	}
	if len(e.Engines) > 0 {
		out = append(out, "    engines:")
		for _, x := range e.Engines {
			out = append(out, x.lines("      ")...)
		}
	}
	for _, a := range e.Also {
		out = append(out, wrapComment("    ", a)...)
	}
	return out
}

func (e Entry) modelLines() []string { return aligned("      ", e.Models) }

// lines renders an engine entry at an indentation.
func (x Engine) lines(indent string) []string {
	out := []string{fmt.Sprintf("%s%s:  %s%s", indent, scalar(x.Name), foundMark, comment(x.Why)), indent + "  type: " + scalar(x.Type)}
	for _, l := range []Line{{Key: "venv", Value: x.Venv}, {Key: "image", Value: x.Image}, {Key: "checkout", Value: x.Checkout},
		{Key: "package_root", Value: x.PackageRoot}, {Key: "import_name", Value: x.ImportName}} {
		if l.Value != "" {
			out = append(out, indent+"  "+l.Key+": "+scalar(l.Value))
		}
	}
	return out
}

// aligned renders lines with their reasons in one column.
func aligned(indent string, lines []Line) []string {
	width := 0
	for _, l := range lines {
		if n := utf8.RuneCountInString(l.Key + ": " + l.Value); n <= 60 {
			width = max(width, n)
		}
	}
	var out []string
	for _, l := range lines {
		text := l.Key + ": " + l.Value
		if l.Why != "" {
			text += strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text))) + "  # " + comment(l.Why)
		}
		out = append(out, indent+text)
	}
	return out
}

// maxComment is how long one comment may be, in characters.
const maxComment = 200

// comment makes a text fit for the rest of a line.
func comment(text string) string {
	text = gitops.Printable([]byte(strings.Join(strings.Fields(text), " ")))
	if r := []rune(text); len(r) > maxComment {
		return string(r[:maxComment]) + "…"
	}
	return text
}

// wrapComment renders a text as comment lines of about a hundred characters.
func wrapComment(indent, text string) []string {
	var out []string
	line := ""
	for _, word := range strings.Fields(gitops.Printable([]byte(strings.Join(strings.Fields(text), " ")))) {
		if line != "" && utf8.RuneCountInString(line+word) > 100 {
			out, line = append(out, indent+"# "+line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(out, indent+"# "+line)
}

// plainScalar needs no quotes in block style, and cannot be taken for anything but text.
var plainScalar = regexp.MustCompile(`^((~/|/)\.?)?[A-Za-z][A-Za-z0-9_./+-]*$`)

// scalar renders a text as YAML.
func scalar(s string) string {
	words := []string{"true", "false", "yes", "no", "on", "off", "null", "y", "n", "inf", "nan"}
	if (plainScalar.MatchString(s) || strings.Contains(s, "@sha256:") && plainScalar.MatchString(strings.NewReplacer("@", "-", ":", "-").Replace(s))) &&
		!slices.Contains(words, strings.ToLower(s)) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// list renders numbers or words in brackets.
func list[T any](items []T) string {
	texts := make([]string, len(items))
	for i, x := range items {
		texts[i] = fmt.Sprint(x)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// usable says whether a path of a host can stand in hosts.yaml.
func usable(p string) bool {
	return strings.HasPrefix(p, "/") && len(p) <= 400 && utf8.ValidString(p) && !strings.ContainsFunc(p, func(c rune) bool { return !unicode.IsPrint(c) })
}

// Check reads the entry as hosts.yaml would be read.
func (e Entry) Check() (hosts.HostEntry, error) {
	inv, err := hosts.ParseInventory([]byte("hosts:\n"+strings.Join(e.YAML(), "\n")+"\n"), "the entry")
	if err != nil {
		return hosts.HostEntry{}, err
	}
	return inv.Host(e.Name)
}
