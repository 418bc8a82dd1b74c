package gitops

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sourcegraph/go-diff/diff"
)

// scanner walks a diff line by line. go-diff reads the headers; which lines belong to which hunk is decided here,
// by the counts, because go-diff neither checks counts nor survives bodies that look like headers.
type scanner struct {
	lines [][]byte
	at    int
	text  int // the first line from at on that is not blank; see nextText
	wrong []wrongHeader
}

// wrongHeader is a hunk header that does not say what the hunk holds. They are collected, so that one refusal
// names them all.
type wrongHeader struct{ place, has, needs string }

func (s *scanner) done() bool { return s.at >= len(s.lines) }

// peek gives the line n ahead without a carriage return, or nil past the end.
func (s *scanner) peek(n int) []byte {
	if s.at+n >= len(s.lines) {
		return nil
	}
	return bytes.TrimSuffix(s.lines[s.at+n], []byte("\r"))
}

func (s *scanner) skipBlank() {
	for !s.done() && len(s.peek(0)) == 0 {
		s.at++
	}
}

func (s *scanner) startsWith(prefix string) bool { return bytes.HasPrefix(s.peek(0), []byte(prefix)) }

// atPlainHeader says whether the next two lines are "--- " and "+++ ", which start a file without git's header.
func (s *scanner) atPlainHeader() bool { return s.plainHeaderAt(0) }

// file reads one file's headers and hunks.
func (s *scanner) file(number int) (*filePatch, error) {
	if !s.startsWith("diff --git ") && !s.atPlainHeader() {
		return nil, s.notAHeader()
	}
	f := &filePatch{number: number, line: s.at + 1}
	if err := s.header(f); err != nil {
		return nil, err
	}
	for s.startsWith("@@") {
		if err := s.hunk(f); err != nil {
			return nil, err
		}
	}
	return f, f.checkShape()
}

// notAHeader refuses a line that belongs to nothing. git would skip it, and with it perhaps a hunk whose header
// is misspelt; what was sent and what is applied would differ.
func (s *scanner) notAHeader() error {
	line := s.peek(0)
	f := fault.New(fault.InvalidInput, "diff line %d belongs to no file: %q", s.at+1, clip(line)).ByRule(RulePaths).
		At(fmt.Sprintf("diff line %d", s.at+1), clip(line), `"diff --git a/PATH b/PATH"`, `"--- a/PATH" and "+++ b/PATH"`)
	switch {
	case bytes.HasPrefix(line, []byte("diff --cc ")), bytes.HasPrefix(line, []byte("diff --combined ")):
		return f.Hint("send a diff against the base commit, not a merge's")
	case bytes.HasPrefix(line, []byte("```")):
		return f.Hint("send the diff without Markdown fences")
	case bytes.HasPrefix(line, []byte("@@")):
		return f.Hint(`put the lines "--- a/PATH" and "+++ b/PATH" before the hunk`)
	}
	return f.Hint(`send only the output of "git diff": no mail header, no prose, no signature`)
}

// hunk reads a header and as many lines as it announces.
func (s *scanner) hunk(f *filePatch) error {
	h := hunk{number: len(f.hunks) + 1, line: s.at + 1}
	parsed, err := diff.ParseHunksOptions(append(slices.Clone(s.peek(0)), '\n'), diff.ParseOptions{KeepCR: true})
	if err != nil || len(parsed) != 1 || min(parsed[0].OrigStartLine, parsed[0].OrigLines, parsed[0].NewStartLine, parsed[0].NewLines) < 0 {
		return fault.New(fault.InvalidInput, "%q is not a hunk header", clip(s.peek(0))).ByRule(RulePaths).
			At(f.place(&h, h.line), clip(s.peek(0)), "@@ -START,COUNT +START,COUNT @@").Hint("write the header as git diff does")
	}
	h.oldStart, h.oldLines = int(parsed[0].OrigStartLine), int(parsed[0].OrigLines)
	h.newStart, h.newLines = int(parsed[0].NewStartLine), int(parsed[0].NewLines)
	s.at++
	start := s.at
	h.lines = s.body(h.oldLines, h.newLines)
	if h.lines == nil || s.moreBody() {
		s.at = start
		h.lines = s.body(-1, -1)
	}
	for _, l := range h.lines {
		if bytes.IndexByte(l.text, 0) >= 0 {
			return fault.New(fault.InvalidInput, "hunk %d of %q holds a NUL byte: binary files cannot be patched", h.number, f.path).
				ByRule(RulePaths).At(f.place(&h, h.line), f.path).Hint("send text changes only")
		}
	}
	if !slices.ContainsFunc(h.lines, func(l hunkLine) bool { return l.op != ' ' }) {
		return fault.New(fault.InvalidInput, "hunk %d of %q changes nothing", h.number, f.path).ByRule(RulePaths).
			At(f.place(&h, h.line), h.header()).Hint("remove the hunk, or mark its changed lines with - and +")
	}
	return s.admit(f, h)
}

// body reads hunk lines: until the counts are met, nil if they cannot be; with negative counts until something that
// is no hunk line.
func (s *scanner) body(oldLeft, newLeft int) []hunkLine {
	counted := oldLeft >= 0
	lines := []hunkLine{}
	for !counted || oldLeft > 0 || newLeft > 0 {
		if s.done() || (!counted && !s.moreBody()) {
			break
		}
		line := s.lines[s.at]
		if len(s.peek(0)) == 0 { // an empty context line whose space some tool has cut
			if s.at == len(s.lines)-1 {
				break
			}
			line = append([]byte(" "), line...)
		}
		switch line[0] {
		case ' ':
			oldLeft, newLeft = oldLeft-1, newLeft-1
		case '-':
			oldLeft--
		case '+':
			newLeft--
		case '\\':
			if len(lines) == 0 || !lines[len(lines)-1].cutNewline() {
				return nil
			}
			s.at++
			continue
		default:
			return nil
		}
		lines = append(lines, hunkLine{line[0], append(slices.Clone(line[1:]), '\n')})
		s.at++
	}
	if counted && (oldLeft != 0 || newLeft != 0) {
		return nil
	}
	if counted && s.startsWith(`\ `) && len(lines) > 0 && lines[len(lines)-1].cutNewline() {
		s.at++
	}
	return lines
}

// cutNewline takes the newline away, once: "\ No newline at end of file".
func (l *hunkLine) cutNewline() bool {
	cut, ok := bytes.CutSuffix(l.text, []byte("\n"))
	l.text = cut
	return ok
}

// moreBody says whether the next line looks like one more line of a hunk. A blank one does only if another follows.
func (s *scanner) moreBody() bool {
	next := s.nextText() - s.at
	line := s.peek(next)
	if line == nil || s.plainHeaderAt(next) {
		return false
	}
	return strings.IndexByte(` +-\\`, line[0]) >= 0
}

// nextText finds the next line that is not blank. It is remembered, since a diff may hold millions of blank lines.
func (s *scanner) nextText() int {
	for s.text = max(s.text, s.at); s.text < len(s.lines) && len(s.peek(s.text-s.at)) == 0; s.text++ {
	}
	return s.text
}

// plainHeaderAt says whether the lines n and n+1 ahead are "--- " and "+++ ".
func (s *scanner) plainHeaderAt(n int) bool {
	return bytes.HasPrefix(s.peek(n), []byte("--- ")) && bytes.HasPrefix(s.peek(n+1), []byte("+++ "))
}

// admit checks the hunk's header against its lines and against the hunks before it, and adds it to the file.
func (s *scanner) admit(f *filePatch, h hunk) error {
	has, place := h.header(), f.place(&h, h.line)
	h.oldLines, h.newLines = h.count()
	next, shift := 1, 0
	if n := len(f.hunks); n > 0 {
		last := f.hunks[n-1]
		next = last.oldFirst() + last.oldLines
		shift = firstOf(last.newStart, last.newLines) + last.newLines - next
	}
	if h.oldFirst() < next {
		return fault.New(fault.InvalidInput, "hunk %d of %q starts at line %d, inside or before the hunk before it", h.number, f.path, h.oldFirst()).
			ByRule(RulePaths).At(place, has).Hint("order hunks by line and join those that overlap")
	}
	h.newStart = startOf(h.oldFirst()+shift, h.newLines)
	if needs := h.header(); needs != has {
		s.wrong = append(s.wrong, wrongHeader{place, has, needs})
	}
	f.hunks = append(f.hunks, h)
	return nil
}

// count gives how many base and result lines the hunk really holds.
func (h *hunk) count() (oldLines, newLines int) {
	for _, l := range h.lines {
		if l.op != '+' {
			oldLines++
		}
		if l.op != '-' {
			newLines++
		}
	}
	return oldLines, newLines
}

// wrongHeaders refuses a diff in which hunk headers lie, and gives the right ones.
func (s *scanner) wrongHeaders() error {
	if len(s.wrong) == 0 {
		return nil
	}
	first := s.wrong[0]
	f := fault.New(fault.InvalidInput, "%d hunk headers do not say what their hunks hold, first %q", len(s.wrong), first.has).
		ByRule(RulePaths).At(first.place, first.has, first.needs)
	for _, w := range s.wrong {
		f = f.Hint("write %q instead of %q (%s)", w.needs, w.has, w.place)
	}
	return f
}

// clip shortens a line for a message.
func clip(line []byte) string {
	const most = 80
	if len(line) > most {
		line = append(slices.Clone(line[:most]), "…"...)
	}
	return string(line)
}
