package gitops

import (
	"bytes"
	"fmt"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// splitLines cuts text after each newline; a last line without one stays as it is.
func splitLines(text []byte) [][]byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	if len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	return lines
}

// apply gives the content after the hunks. Each base line of each hunk must be exactly where the hunk says: no
// fuzz, no offset, no white space ignored.
func (f *filePatch) apply(base []byte) ([]byte, error) {
	from := splitLines(base)
	var out bytes.Buffer
	next := 0 // index of the first base line not yet copied
	for i := range f.hunks {
		h := &f.hunks[i]
		at := h.oldFirst() - 1
		if miss := h.mismatch(from, at); miss >= 0 {
			return nil, f.mismatchFault(h, from, at, miss)
		}
		for ; next < at; next++ {
			out.Write(from[next])
		}
		for _, l := range h.lines {
			if l.op == '-' {
				continue
			}
			if out.Len() > 0 && out.Bytes()[out.Len()-1] != '\n' {
				return nil, f.newlineFault(h)
			}
			out.Write(l.text)
		}
		next = at + h.oldLines
	}
	for ; next < len(from); next++ {
		if out.Len() > 0 && out.Bytes()[out.Len()-1] != '\n' {
			return nil, f.newlineFault(&f.hunks[len(f.hunks)-1])
		}
		out.Write(from[next])
	}
	return out.Bytes(), nil
}

// mismatch gives the index of the first hunk line that the base does not have at its place, counting from line at;
// -1 when all are there.
func (h *hunk) mismatch(from [][]byte, at int) int {
	if at > len(from) {
		return 0
	}
	for i, l := range h.lines {
		if l.op == '+' {
			continue
		}
		if at >= len(from) || !bytes.Equal(from[at], l.text) {
			return i
		}
		at++
	}
	return -1
}

// mismatchFault says which line differs, how, and where the hunk would fit.
func (f *filePatch) mismatchFault(h *hunk, from [][]byte, at, miss int) error {
	base := at
	for _, l := range h.lines[:miss] {
		if l.op != '+' {
			base++
		}
	}
	want := h.lines[miss].text
	has := "the end of the file"
	if base < len(from) {
		has = fmt.Sprintf("%q", clip(from[base]))
	}
	e := fault.New(fault.InvalidInput, "hunk %d of %q does not apply: line %d of the base file is %s, the hunk has %q", h.number, f.path, base+1, has, clip(want)).
		ByRule(RulePaths).At(f.place(h, h.line), clip(want), has)
	if base < len(from) {
		switch {
		case bytes.Equal(bytes.TrimRight(from[base], "\r\n"), bytes.TrimRight(want, "\r\n")):
			return e.Hint("keep the file's own line end: base %q, hunk %q", lineEnd(from[base]), lineEnd(want))
		case bytes.Equal(squeeze(from[base]), squeeze(want)):
			return e.Hint("copy white space exactly; the line differs in nothing else")
		}
	}
	if places := h.fits(from); len(places) == 1 {
		first := places[0] + 1
		moved := hunkHeader(startOf(first, h.oldLines), h.oldLines, startOf(first+firstOf(h.newStart, h.newLines)-h.oldFirst(), h.newLines), h.newLines)
		return e.Hint("write %q: the hunk's base lines are at line %d", moved, first)
	}
	return e.Hint("make the diff against the recorded base commit, with its exact lines")
}

// fits lists, up to two, the base positions at which all the hunk's base lines are. It is a courtesy, and not done
// where it could take long.
func (h *hunk) fits(from [][]byte) []int {
	const most = 20_000_000 // line comparisons
	var places []int
	if len(from)*len(h.lines) > most {
		return nil
	}
	for at := 0; h.oldLines > 0 && at+h.oldLines <= len(from) && len(places) < 2; at++ {
		if h.mismatch(from, at) < 0 {
			places = append(places, at)
		}
	}
	return places
}

func (f *filePatch) newlineFault(h *hunk) error {
	return fault.New(fault.InvalidInput, "hunk %d of %q leaves a line without newline before the end of the file", h.number, f.path).
		ByRule(RulePaths).At(f.place(h, h.line), f.path).
		Hint(`write "\ No newline at end of file" only after the file's last line`)
}

func squeeze(line []byte) []byte { return bytes.Join(bytes.Fields(line), []byte(" ")) }

func lineEnd(line []byte) string { return string(line[len(bytes.TrimRight(line, "\r\n")):]) }
