package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// helpStyle is what differs between the argparse programs.
type helpStyle struct {
	prog     string
	usage    string // after the prog in place of the generated list, where given
	doc      string
	sorted   bool // options of a group by name
	defaults bool // "(default: X)" after every help
	tail     string
}

// argparseHelp renders a whole help page as Python 3.12's argparse does at a terminal of the given width.
func (s *flagSet) argparseHelp(st helpStyle, columns int, only func(*flag) bool) string {
	var b strings.Builder
	b.WriteString(s.argparseUsage(st, columns) + "\n")
	if st.doc != "" {
		b.WriteString(wrap(st.doc, columns-2, "") + "\n\n")
	}
	position := 24
	for gi, g := range s.groups {
		flags := []*flag{}
		for _, f := range s.flags {
			if f.group == gi && (only == nil || only(f)) {
				flags = append(flags, f)
			}
		}
		if st.sorted {
			slices.SortStableFunc(flags, func(a, b *flag) int { return strings.Compare(a.names[0], b.names[0]) })
		}
		if len(flags) == 0 {
			continue
		}
		b.WriteString(g.title + ":\n")
		if g.doc != "" {
			b.WriteString("  " + g.doc + "\n\n")
		}
		if gi == 0 && only == nil {
			b.WriteString(helpEntry("-h, --help", "show this help message and exit", position, columns))
		}
		for _, f := range flags {
			text := f.help
			if st.defaults {
				text += " (default: " + f.shownDefault() + ")"
			}
			b.WriteString(helpEntry(f.invocation(), text, position, columns))
		}
		b.WriteString("\n")
	}
	b.WriteString(st.tail)
	return strings.TrimRight(b.String(), "\n") + "\n"
}

func (f *flag) shownDefault() string {
	if f.def == "" && f.kind != "str" {
		return "None"
	}
	return f.def
}

func (s *flagSet) argparseUsage(st helpStyle, columns int) string {
	head := "usage: " + st.prog
	if st.usage != "" {
		return head + " " + st.usage + "\n"
	}
	line, out := head+" [-h]", ""
	for _, f := range s.flags {
		part := "[" + f.names[0] + f.argument() + "]"
		if f.kind == "bool" {
			part = "[" + f.names[0] + " | --no-" + strings.TrimPrefix(f.longest(), "--") + "]"
		}
		if len(line)+1+len(part) > columns-2 {
			out, line = out+line+"\n", strings.Repeat(" ", len(head))
		}
		line += " " + part
	}
	return out + line + "\n"
}

// argument is what follows the name: " TP_SIZE", " {a,b}", " X [X ...]" or nothing.
func (f *flag) argument() string {
	if !f.takesValue() {
		return ""
	}
	meta := strings.ToUpper(f.dest())
	switch {
	case f.meta != "":
		meta = f.meta
	case f.kind == "choice":
		meta = "{" + strings.Join(f.choices, ",") + "}"
	}
	if f.kind == "list" {
		return fmt.Sprintf(" %s [%s ...]", meta, meta)
	}
	return " " + meta
}

func (f *flag) invocation() string {
	parts := []string{}
	for _, n := range f.names {
		parts = append(parts, n+f.argument())
	}
	if f.kind == "bool" {
		parts = append(parts, "--no-"+strings.TrimPrefix(f.longest(), "--"))
	}
	return strings.Join(parts, ", ")
}

// helpEntry is one option: the help on the same line where the invocation leaves room, else below it.
func helpEntry(invocation, help string, position, columns int) string {
	indent := strings.Repeat(" ", position)
	text := wrap(help, max(columns-2-position, 11), indent)
	if len(invocation) <= position-4 {
		return "  " + invocation + strings.Repeat(" ", position-2-len(invocation)) + text + "\n"
	}
	return "  " + invocation + "\n" + indent + text + "\n"
}

// wrap breaks text at spaces so that no line is longer than width; following lines get the indent.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	length := 0
	for i, w := range strings.Fields(text) {
		switch {
		case i == 0:
		case length+1+len(w) > width:
			b.WriteString("\n" + indent)
			length = 0
		default:
			b.WriteByte(' ')
			length++
		}
		b.WriteString(w)
		length += len(w)
	}
	return b.String()
}

// clickHelp renders the page of a click command; click never gets wider than 80 columns.
func (s *flagSet) clickHelp(usage, doc string, columns int) string {
	width := max(min(columns, 80)-2, 50)
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: %s\n\n  %s\n\nOptions:\n", usage, wrap(doc, width-2, "  "))
	const first = 30
	entries := [][2]string{}
	for _, f := range s.flags {
		entries = append(entries, [2]string{f.clickNames(), f.help})
	}
	entries = append(entries, [2]string{"--help", "Show this message and exit."})
	widest := 0
	for _, e := range entries {
		widest = max(widest, len(e[0]))
	}
	col := min(widest, first) + 2
	for _, e := range entries {
		text := wrap(e[1], width-2-col, strings.Repeat(" ", col+2))
		if len(e[0]) <= col-2 {
			b.WriteString("  " + e[0] + strings.Repeat(" ", col-len(e[0])) + text + "\n")
		} else {
			b.WriteString("  " + e[0] + "\n" + strings.Repeat(" ", col+2) + text + "\n")
		}
	}
	return b.String()
}

func (f *flag) clickNames() string {
	kind := map[string]string{"int": " INTEGER", "float": " FLOAT", "str": " TEXT", "json": " TEXT"}[f.kind]
	if f.kind == "choice" {
		kind = " [" + strings.Join(f.choices, "|") + "]"
	}
	return strings.Join(f.names, ", ") + kind
}

// columnsOf is the width the environment asks for, 80 without one.
func columnsOf(env map[string]string) int {
	if n, err := strconv.Atoi(env["COLUMNS"]); err == nil && n > 0 {
		return n
	}
	return 80
}
