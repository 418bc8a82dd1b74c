package gitops

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// contextLines is how many unchanged lines surround a change in a rendered diff.
const contextLines = 3

// side is one version of a file; mode 0 says that it does not exist there.
type side struct {
	mode    filemode.FileMode
	blob    plumbing.Hash
	content []byte
}

// renderFile appends git's diff of one file to b, with full object ids, and gives the changes in it.
func renderFile(b *bytes.Buffer, path string, from, to side) []change {
	oldName, newName := quoteName("a/"+path, true), quoteName("b/"+path, true)
	fmt.Fprintf(b, "diff --git %s %s\n", oldName, newName)
	index := fmt.Sprintf("index %s..%s", from.blob, to.blob)
	switch {
	case from.mode == 0:
		fmt.Fprintf(b, "new file mode %s\n%s\n", modeText(to.mode), index)
		oldName = devNull
	case to.mode == 0:
		fmt.Fprintf(b, "deleted file mode %s\n%s\n", modeText(from.mode), index)
		newName = devNull
	default:
		fmt.Fprintf(b, "%s %s\n", index, modeText(to.mode))
	}
	a, z := splitLines(from.content), splitLines(to.content)
	changes := lineDiff(a, z)
	if len(changes) > 0 {
		fmt.Fprintf(b, "--- %s\n+++ %s\n", endName(oldName), endName(newName))
	}
	for start := 0; start < len(changes); {
		end := start + 1
		for end < len(changes) && changes[end].aFrom-changes[end-1].aTo <= 2*contextLines {
			end++
		}
		renderHunk(b, a, z, changes[start:end])
		start = end
	}
	return changes
}

// endName closes a name that holds a space with a tab, as git does, so that patch tools see where it ends.
func endName(name string) string {
	if strings.Contains(name, " ") {
		return name + "\t"
	}
	return name
}

// renderHunk writes one hunk around changes that lie close together.
func renderHunk(b *bytes.Buffer, a, z [][]byte, changes []change) {
	first, last := changes[0], changes[len(changes)-1]
	lead := min(contextLines, first.aFrom)
	tail := min(contextLines, len(a)-last.aTo)
	aFrom, aTo := first.aFrom-lead, last.aTo+tail
	bFrom, bTo := first.bFrom-lead, last.bTo+tail
	b.WriteString(hunkHeader(startOf(aFrom+1, aTo-aFrom), aTo-aFrom, startOf(bFrom+1, bTo-bFrom), bTo-bFrom))
	b.WriteString(section(a[:aFrom]) + "\n")
	at := aFrom
	for _, c := range changes {
		renderLines(b, ' ', a[at:c.aFrom])
		renderLines(b, '-', a[c.aFrom:c.aTo])
		renderLines(b, '+', z[c.bFrom:c.bTo])
		at = c.aTo
	}
	renderLines(b, ' ', a[at:aTo])
}

// section names where a hunk is, as git does by default: the last line before it that starts with a letter, "_" or
// "$", cut to 80 bytes (here at a whole character).
func section(before [][]byte) string {
	const most = 80
	for i := len(before) - 1; i >= 0; i-- {
		l := before[i]
		if c := l[0] | 0x20; c >= 'a' && c <= 'z' || l[0] == '_' || l[0] == '$' {
			l = cutText(l, most)
			return " " + string(bytes.TrimRight(l, " \t\n\v\f\r"))
		}
	}
	return ""
}

// cutText gives at most n bytes of a line, ending with a whole character where the line is UTF-8.
func cutText(line []byte, n int) []byte {
	if len(line) <= n {
		return line
	}
	for cut := n; cut > n-utf8.UTFMax; cut-- {
		if utf8.RuneStart(line[cut]) {
			return line[:cut]
		}
	}
	return line[:n]
}

func renderLines(b *bytes.Buffer, op byte, lines [][]byte) {
	for _, l := range lines {
		b.WriteByte(op)
		b.Write(l)
		if !bytes.HasSuffix(l, []byte("\n")) {
			b.WriteString("\n\\ No newline at end of file\n")
		}
	}
}
