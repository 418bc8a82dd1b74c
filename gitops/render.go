package gitops

import (
	"bytes"
	"fmt"
	"strings"

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
	if strings.Contains(name, " ") && name[0] != '"' {
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
	b.WriteString(hunkHeader(startOf(aFrom+1, aTo-aFrom), aTo-aFrom, startOf(bFrom+1, bTo-bFrom), bTo-bFrom) + "\n")
	at := aFrom
	for _, c := range changes {
		renderLines(b, ' ', a[at:c.aFrom])
		renderLines(b, '-', a[c.aFrom:c.aTo])
		renderLines(b, '+', z[c.bFrom:c.bTo])
		at = c.aTo
	}
	renderLines(b, ' ', a[at:aTo])
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
