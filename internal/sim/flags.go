package sim

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed flags/*.txt
var flagTables embed.FS

// flag is one option of a simulated command; see flags/README.md for the table it comes from.
type flag struct {
	effect  byte // '*' modelled, '-' without effect, '!' refused
	names   []string
	kind    string // str int float human json switch bool list choice
	choices []string
	meta    string // shown in place of the choices
	def     string
	help    string
	group   int
}

// dest is the name its value is known by.
func (f *flag) dest() string {
	for _, n := range f.names {
		if strings.HasPrefix(n, "--") {
			return strings.ReplaceAll(n[2:], "-", "_")
		}
	}
	return strings.TrimLeft(f.names[0], "-")
}

// takesValue tells whether an argument follows.
func (f *flag) takesValue() bool { return f.kind != "switch" && f.kind != "bool" }

// flagGroup is a section of the help.
type flagGroup struct{ title, doc string }

// flagSet is a command's options, in table order.
type flagSet struct {
	groups []flagGroup
	flags  []*flag
	byName map[string]*flag // every spelling, negations included
}

// flagsOf reads the table of a framework type.
func flagsOf(engine string) (*flagSet, error) {
	b, err := flagTables.ReadFile("flags/" + engine + ".txt")
	if err != nil {
		return nil, fmt.Errorf("flag table: %w", err)
	}
	s := &flagSet{byName: map[string]*flag{}}
	for i, line := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			s.groups = append(s.groups, flagGroup{title: title})
			continue
		}
		if len(line) < 2 || line[1] != ' ' || !strings.ContainsRune("*-!", rune(line[0])) {
			s.groups[len(s.groups)-1].doc = line
			continue
		}
		f, err := parseFlag(line)
		if err != nil {
			return nil, fmt.Errorf("flag table %s line %d: %w", engine, i+1, err)
		}
		f.group = len(s.groups) - 1
		s.add(f)
	}
	return s, nil
}

func (s *flagSet) add(f *flag) {
	s.flags = append(s.flags, f)
	for _, n := range f.names {
		s.byName[n] = f
	}
	if f.kind == "bool" {
		s.byName["--no-"+strings.TrimPrefix(f.longest(), "--")] = f
	}
}

// longest is the first long spelling.
func (f *flag) longest() string {
	for _, n := range f.names {
		if strings.HasPrefix(n, "--") {
			return n
		}
	}
	return f.names[0]
}

func parseFlag(line string) (*flag, error) {
	parts := strings.SplitN(line[2:], " | ", 4)
	if len(parts) != 4 {
		// An empty default leaves "| |" behind, which holds no " | ".
		parts = strings.SplitN(strings.Replace(line[2:], " | | ", " |  | ", 1), " | ", 4)
	}
	if len(parts) != 4 {
		return nil, fmt.Errorf("want four columns in %q", line)
	}
	f := &flag{effect: line[0], names: strings.Fields(parts[0]), def: strings.TrimSpace(parts[2]), help: parts[3]}
	kind, rest, _ := strings.Cut(parts[1], ":")
	f.kind = kind
	if rest != "" {
		list, meta, _ := strings.Cut(rest, ":")
		f.choices, f.meta = strings.Split(list, ","), meta
	}
	return f, nil
}
