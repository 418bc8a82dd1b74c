package gitops

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// maxPatch is the largest diff that is read, in bytes.
const maxPatch = 8 << 20

// Patch is a parsed unified diff: text hunks on regular files at local paths, each with counts that hold. It says
// nothing yet about whether it applies.
type Patch struct {
	files []filePatch // in the order of the diff
}

type action string

const (
	create action = "create"
	modify action = "modify"
	remove action = "delete"
)

// filePatch is what the diff says about one file.
type filePatch struct {
	number int // of the file in the diff, from 1
	line   int // of the file's first header line in the diff, from 1
	path   string
	action action
	named  bool              // "---" and "+++" lines are there; an empty file has none
	mode   filemode.FileMode // of a created file
	hunks  []hunk
}

// hunk is a run of lines. Starts count lines from 1; a side without lines starts at the line before the place.
type hunk struct {
	number                                 int // within the file, from 1
	line                                   int // of its header in the diff, from 1
	oldStart, oldLines, newStart, newLines int
	lines                                  []hunkLine
}

// hunkLine is one line: op is ' ', '-' or '+', text includes the newline unless the file ends without one.
type hunkLine struct {
	op   byte
	text []byte
}

func (h *hunk) header() string { return hunkHeader(h.oldStart, h.oldLines, h.newStart, h.newLines) }

// hunkHeader writes a hunk's header as git does: a count of one is left out.
func hunkHeader(oldStart, oldLines, newStart, newLines int) string {
	side := func(start, lines int) string {
		if lines == 1 {
			return fmt.Sprint(start)
		}
		return fmt.Sprintf("%d,%d", start, lines)
	}
	return "@@ -" + side(oldStart, oldLines) + " +" + side(newStart, newLines) + " @@"
}

// oldFirst is the first base line the hunk is about, also when it has none.
func (h *hunk) oldFirst() int { return firstOf(h.oldStart, h.oldLines) }

func firstOf(start, lines int) int {
	if lines == 0 {
		return start + 1
	}
	return start
}

// startOf is firstOf's inverse.
func startOf(first, lines int) int {
	if lines == 0 {
		return first - 1
	}
	return first
}

// Paths lists the files the patch touches, sorted.
func (p *Patch) Paths() []string {
	paths := make([]string, 0, len(p.files))
	for _, f := range p.files {
		paths = append(paths, f.path)
	}
	slices.Sort(paths)
	return paths
}

// ParsePatch reads a unified diff, with or without git's headers. It refuses whatever is not a text change of
// regular files at local paths, and every header that does not say what its hunk holds. Each refusal is a fault
// whose field names file, hunk and line of the diff.
func ParsePatch(diff []byte) (*Patch, error) {
	if len(diff) > maxPatch {
		return nil, fault.New(fault.InvalidInput, "diff of %d bytes is larger than %d", len(diff), maxPatch).ByRule(RulePaths).
			At("diff", "").Hint("split the change")
	}
	s := &scanner{lines: bytes.Split(diff, []byte("\n"))}
	p := &Patch{}
	for s.skipBlank(); !s.done(); s.skipBlank() {
		f, err := s.file(len(p.files) + 1)
		if err != nil {
			return nil, err
		}
		p.files = append(p.files, *f)
	}
	if len(p.files) == 0 {
		return nil, fault.New(fault.InvalidInput, "diff changes no file").At("diff", "").
			Hint(`send a unified diff against the base commit, as "git diff" prints it`)
	}
	if err := p.checkTwins(); err != nil {
		return nil, err
	}
	return p, s.wrongHeaders()
}

// checkTwins refuses two files whose paths some file system would take for one.
func (p *Patch) checkTwins() error {
	seen := map[string]filePatch{}
	for _, f := range p.files {
		key := foldPath(f.path)
		other, twice := seen[key]
		switch {
		case twice && other.path == f.path:
			return f.fault("%q appears twice in the diff", f.path).Hint("give each file one section with all its hunks")
		case twice:
			return f.fault("%q and %q are one file where letter case or Unicode form does not count", other.path, f.path).
				Hint("choose a path that differs in more than case or form")
		}
		seen[key] = f
	}
	return nil
}

// fault starts a refusal of this file under the rule of paths.
func (f *filePatch) fault(format string, args ...any) *fault.Error {
	return fault.New(fault.InvalidInput, format, args...).ByRule(RulePaths).At(f.place(nil, f.line), f.path)
}

// place names a spot of the diff for a person.
func (f *filePatch) place(h *hunk, line int) string {
	if h == nil {
		return fmt.Sprintf("diff line %d, file %d", line, f.number)
	}
	return fmt.Sprintf("diff line %d, file %d, hunk %d", line, f.number, h.number)
}
