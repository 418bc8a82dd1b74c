package discover

import (
	"bytes"
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/yamlfile"
)

// Change is what hosts.yaml would become. Lines that are not ours stay as they are, byte for byte.
type Change struct {
	After []byte
	New   bool // the host has no entry yet
	edits []edit
	lines []string // of the file before
}

// edit puts lines behind line at (from 1), in place of the last cut of them. Of two behind one line the deeper comes first.
type edit struct {
	at, cut, depth int
	lines          []string
}

// IsEmpty says that there is nothing to change.
func (c Change) IsEmpty() bool { return len(c.edits) == 0 }

// header begins a hosts.yaml that was not there.
const header = "# The hosts that campaigns may use. What each key means: sotaloop schema"

// Add puts an entry into hosts.yaml, or what is new of it into the entry of that name: engines and models that the entry does
// not name yet, and what is found where it names some. What a person wrote is neither changed nor taken away. What cannot be
// put there without that is a fault.InvalidInput.
func Add(data []byte, file string, e Entry) (Change, error) {
	before, err := hosts.ParseInventory(data, file)
	if err != nil {
		return Change{}, err
	}
	if _, err := e.Check(); err != nil {
		return Change{}, fault.Wrap(fault.Internal, err, "the entry that was found is none that can be read")
	}
	c := Change{lines: splitLines(data)}
	if old, ok := before.Hosts[e.Name]; ok {
		err = c.extend(data, old, e)
	} else {
		c.New, err = true, c.insert(data, e)
	}
	if err != nil {
		return c, err
	}
	c.After = c.apply(data)
	return c, c.verify(before, file, e)
}

// replaced is deeper than any line: what takes a line's place comes before what follows it.
const replaced = 1 << 20

func splitLines(data []byte) []string {
	text := strings.TrimSuffix(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// insert puts a new host at the end of the others.
func (c *Change) insert(data []byte, e Entry) error {
	at, err := yamlfile.Locate(data, "hosts")
	switch {
	case err != nil:
		return err
	case at.Inline:
		return inBraces("hosts", at)
	case at.Line == 0:
		var lines []string
		if len(c.lines) == 0 {
			lines = append(lines, header)
		}
		c.edits = append(c.edits, edit{at: len(c.lines), lines: append(append(lines, "hosts:"), e.YAML()...)})
		return nil
	}
	lines := e.YAML()
	if at.Indent > 0 {
		for i, l := range lines {
			lines[i] = strings.Repeat(" ", at.Indent-1) + l[2:]
		}
	}
	c.edits = append(c.edits, edit{at: at.End, lines: lines})
	return nil
}

func inBraces(what string, at yamlfile.Block) error {
	return fault.New(fault.InvalidInput, "%s in line %d is written in one piece (braces or an alias), so that no lines can be put below it", what, at.Line).
		At(what, fmt.Sprintf("line %d", at.Line)).Hint("write it as an indented block, or add by hand what is shown above")
}

// extend puts what an entry does not name yet into it.
func (c *Change) extend(data []byte, old hosts.HostEntry, e Entry) error {
	at, err := yamlfile.Locate(data, "hosts", e.Name)
	if err != nil {
		return err
	}
	c.renew(data, old, e)
	engines := c.newEngines(old, e)
	models := c.newModels(old, e)
	if len(engines)+len(models) == 0 {
		return nil
	}
	if at.Line == 0 || at.Inline || at.Indent == 0 {
		return inBraces("host "+e.Name, at)
	}
	under := func(key string, lines func(indent string) []string) error {
		b, err := yamlfile.Locate(data, "hosts", e.Name, key)
		switch {
		case err != nil:
			return err
		case b.Inline:
			return inBraces(key+" of host "+e.Name, b)
		case b.Line == 0:
			indent := strings.Repeat(" ", at.Indent-1)
			c.edits = append(c.edits, edit{at: at.End, depth: at.Indent, lines: append([]string{indent + key + ":"}, lines(indent+"  ")...)})
			return nil
		}
		c.edits = append(c.edits, edit{at: b.End, depth: b.Column + 1, lines: lines(strings.Repeat(" ", max(b.Indent-1, b.Column+1)))})
		return nil
	}
	if len(models) > 0 {
		if err := under("models", func(indent string) []string { return aligned(indent, models) }); err != nil {
			return err
		}
	}
	if len(engines) == 0 {
		return nil
	}
	return under("engines", func(indent string) []string {
		var lines []string
		for _, x := range engines {
			lines = append(lines, x.lines(indent)...)
		}
		return lines
	})
}

// place is what two entries of one engine have in common.
func (e Entry) place(venv, command, image string) string {
	short := func(p string) string {
		if e.tilde != nil {
			p = e.tilde(p)
		}
		return strings.TrimSuffix(p, "/")
	}
	if image != "" {
		return image
	}
	if venv == "" {
		venv = strings.TrimSuffix(short(command), "/bin")
	}
	return short(venv)
}

// newEngines are those whose place no entry names, under names that are free.
func (c *Change) newEngines(old hosts.HostEntry, e Entry) []Engine {
	known := map[string]bool{}
	for _, x := range old.Engines {
		known[e.place(x.Venv, x.Command, x.Image)] = true
	}
	var out []Engine
	taken := map[string]bool{}
	for _, x := range e.Engines {
		if known[e.place(x.Venv, "", x.Image)] {
			continue
		}
		base := x.Name
		for k := 2; ; k++ {
			if _, used := old.Engines[x.Name]; !used && !taken[x.Name] {
				break
			}
			x.Name = fmt.Sprintf("%s-%d", base, k)
		}
		taken[x.Name] = true
		out = append(out, x)
	}
	return out
}

// newModels are those whose id and folder no entry names.
func (c *Change) newModels(old hosts.HostEntry, e Entry) []Line {
	known := map[string]bool{}
	for id, dir := range old.Models {
		known[scalar(id)], known[scalar(e.place(dir, "", ""))] = true, true
	}
	return slices.DeleteFunc(slices.Clone(e.Models), func(l Line) bool { return known[l.Key] || known[l.Value] })
}

// found is a comment of ours at the end of a line.
var found = regexp.MustCompile(`# found: .*$`)

// sshLine is the line that names how a host is reached.
var sshLine = regexp.MustCompile(`^(\s*ssh:\s*)("[^"]*"|'[^']*'|[^\s#]+)(.*)$`)

// renew writes what engines lead to now behind those that are named, and the alias if another was given.
func (c *Change) renew(data []byte, old hosts.HostEntry, e Entry) {
	for name, x := range old.Engines {
		i := slices.IndexFunc(e.Engines, func(y Engine) bool { return e.place(x.Venv, x.Command, x.Image) == e.place(y.Venv, "", y.Image) })
		b, err := yamlfile.Locate(data, "hosts", e.Name, "engines", name)
		if i < 0 || err != nil || b.Line == 0 || b.Line > len(c.lines) {
			continue
		}
		was := c.lines[b.Line-1]
		is := found.ReplaceAllLiteralString(was, foundMark+comment(e.Engines[i].Why))
		if is != was {
			c.edits = append(c.edits, edit{at: b.Line, cut: 1, depth: replaced, lines: []string{is}})
		}
	}
	b, err := yamlfile.Locate(data, "hosts", e.Name, "ssh")
	if i := slices.IndexFunc(e.Lines, func(l Line) bool { return l.Key == "ssh" }); err == nil && b.Line > 0 && i >= 0 && e.Lines[i].Value != scalar(old.SSH) {
		if m := sshLine.FindStringSubmatch(c.lines[b.Line-1]); m != nil {
			c.edits = append(c.edits, edit{at: b.Line, cut: 1, depth: replaced, lines: []string{m[1] + e.Lines[i].Value + m[3]}})
		}
	}
}

// apply makes the file that the edits lead to, with the line ends that it has.
func (c *Change) apply(data []byte) []byte {
	slices.SortStableFunc(c.edits, func(a, b edit) int { return cmp.Or(a.at-b.at, b.depth-a.depth) })
	var out []string
	from := 0
	for _, x := range c.edits {
		out = append(append(out, c.lines[from:x.at-x.cut]...), x.lines...)
		from = x.at
	}
	out = append(out, c.lines[from:]...)
	end := "\n"
	if bytes.Contains(data, []byte("\r\n")) {
		end = "\r\n"
	}
	return []byte(strings.Join(out, end) + end)
}

// verify reads the new file: the host is there, and every other is what it was.
func (c *Change) verify(before *hosts.Inventory, file string, e Entry) error {
	after, err := hosts.ParseInventory(c.After, file)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the changed file could not be read").Hint("add by hand what is shown above")
	}
	for name, old := range before.Hosts {
		now, ok := after.Hosts[name]
		if !ok || name != e.Name && now.Digest() != old.Digest() {
			return fault.New(fault.Internal, "the change would touch the host %q", name).Hint("add by hand what is shown above")
		}
	}
	if _, ok := after.Hosts[e.Name]; !ok || len(after.Hosts) > len(before.Hosts)+1 {
		return fault.New(fault.Internal, "the change would not add the host %q alone", e.Name).Hint("add by hand what is shown above")
	}
	return nil
}

// around is how many lines a difference shows before and behind a change.
const around = 2

// Diff renders the change as a unified difference.
func (c Change) Diff(file string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "--- %s\n+++ %s\n", file, file)
	shift := 0
	for i := 0; i < len(c.edits); {
		j := i // edits that share their surroundings make one hunk
		for j+1 < len(c.edits) && c.edits[j+1].at-c.edits[j+1].cut-c.edits[j].at <= 2*around {
			j++
		}
		first, last := max(0, c.edits[i].at-c.edits[i].cut-around), min(len(c.lines), c.edits[j].at+around)
		var body []string
		at, grew := first, 0
		for _, x := range c.edits[i : j+1] {
			body = append(body, prefixed(" ", c.lines[at:x.at-x.cut])...)
			body = append(body, prefixed("-", c.lines[x.at-x.cut:x.at])...)
			body = append(body, prefixed("+", x.lines)...)
			at, grew = x.at, grew+len(x.lines)-x.cut
		}
		body = append(body, prefixed(" ", c.lines[at:last])...)
		fmt.Fprintf(&b, "@@ -%d,%d +%d,%d @@\n%s\n", first+1, last-first, first+1+shift, last-first+grew, strings.Join(body, "\n"))
		shift, i = shift+grew, j+1
	}
	return b.String()
}

func prefixed(with string, lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = with + l
	}
	return out
}
