package gitops

import (
	"bytes"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sourcegraph/go-diff/diff"
)

const devNull = "/dev/null"

// header reads the lines before a file's first hunk and settles path, action and mode.
func (s *scanner) header(f *filePatch) error {
	var block [][]byte
	for !s.done() && !s.startsWith("@@") && len(s.peek(0)) > 0 {
		if len(block) > 0 && s.startsWith("diff --git ") {
			break
		}
		plain := s.atPlainHeader()
		if plain && len(block) > 0 && !bytes.HasPrefix(block[0], []byte("diff --git ")) {
			break
		}
		block = append(block, s.peek(0))
		s.at++
		if plain {
			block = append(block, s.peek(0))
			s.at++
			break
		}
	}
	var ext extended
	for i, line := range block {
		if err := ext.add(string(line)); err != nil {
			return err.At(f.place(nil, f.line+i), clip(line))
		}
	}
	return f.settle(block, ext)
}

// extended is what git's extended headers say.
type extended struct {
	git     string // what follows "diff --git "
	names   bool   // "---" and "+++" are there
	action  action
	mode    filemode.FileMode
	oldMark string // the old name as it is written, to see spaces that go-diff cuts
	newMark string
}

// add takes one header line in, or refuses what it announces.
func (e *extended) add(line string) *fault.Error {
	key, rest := line, ""
	for _, k := range []string{
		"diff --git ", "index ", "new file mode ", "deleted file mode ", "--- ", "+++ ", "old mode ", "new mode ",
		"rename ", "copy ", "similarity ", "dissimilarity ", "GIT binary patch", "Binary files ",
	} {
		if r, ok := strings.CutPrefix(line, k); ok {
			key, rest = k, r
			break
		}
	}
	no := func(format string, args ...any) *fault.Error {
		return fault.New(fault.InvalidInput, format, args...).ByRule(RulePaths)
	}
	switch key {
	case "diff --git ":
		e.git = rest
	case "--- ":
		e.names, e.oldMark = true, rest
	case "+++ ":
		e.newMark = rest
	case "index ":
		if _, mode, ok := strings.Cut(rest, " "); ok {
			return e.setMode(mode)
		}
	case "new file mode ", "deleted file mode ":
		e.action = create
		if key[0] == 'd' {
			e.action = remove
		}
		return e.setMode(rest)
	case "old mode ", "new mode ":
		return no("diff changes a file's mode").Hint("leave modes as they are: remove the old mode and new mode lines")
	case "rename ", "copy ", "similarity ", "dissimilarity ":
		return no("diff renames or copies a file").Hint(`send it as a deletion and a creation: "git diff --no-renames"`)
	case "GIT binary patch", "Binary files ":
		return no("diff holds a binary file").Hint("send text changes only")
	default:
		return no("header line %q is unknown", clip([]byte(line))).Hint(`send the output of "git diff"`)
	}
	return nil
}

func (e *extended) setMode(text string) *fault.Error {
	switch text {
	case "100644":
		e.mode = filemode.Regular
	case "100755":
		e.mode = filemode.Executable
	default:
		what := map[string]string{"120000": "a symbolic link", "160000": "a submodule", "040000": "a folder"}[text]
		if what == "" {
			what = "not that of a regular file"
		}
		return fault.New(fault.InvalidInput, "mode %q is %s", text, what).ByRule(RulePaths).
			Hint("touch regular files only: modes 100644 and 100755")
	}
	return nil
}

// settle has go-diff read the names and decides path and action from them and the extended headers.
func (f *filePatch) settle(block [][]byte, e extended) error {
	if !e.names && len(block) == 2 { // go-diff knows empty files by three lines, though git's index line says nothing here
		block = append(block, []byte("index 0000000..0000000"))
	}
	text := append(bytes.Join(block, []byte("\n")), '\n')
	read, err := diff.NewFileDiffReaderOptions(bytes.NewReader(text), diff.ParseOptions{KeepCR: true}).ReadAllHeaders()
	if err != nil || read == nil || read.OrigName == "" || read.NewName == "" {
		return f.fault("file %d of the diff has no readable names", f.number).
			Hint(`write "--- a/PATH" and "+++ b/PATH" (/dev/null for the missing side)`)
	}
	for _, mark := range []string{e.oldMark, e.newMark} {
		if name, _, _ := strings.Cut(mark, "\t"); strings.TrimSpace(name) != name {
			return f.fault("name %q begins or ends in a space", name).Hint("use paths without outer spaces")
		}
	}
	path, ok := commonPath(read.OrigName, read.NewName, e)
	if !ok {
		return f.fault("header names disagree: %q, %q, %q", e.git, read.OrigName, read.NewName).
			Hint("name one path on all header lines; send a rename as a deletion and a creation")
	}
	f.path, f.action, f.mode, f.named = path, e.action, e.mode, e.names
	if f.action == "" {
		f.action = modify
		if read.OrigName == devNull {
			f.action = create
		} else if read.NewName == devNull {
			f.action = remove
		}
	}
	if (f.action == create) != (read.OrigName == devNull) || (f.action == remove) != (read.NewName == devNull) {
		return f.fault("headers of %q say %s, its names do not", path, f.action).
			Hint("write /dev/null for the side on which the file does not exist")
	}
	if f.mode == 0 {
		f.mode = filemode.Regular
	}
	if flaw := pathFlaw(path); flaw != "" {
		return f.fault("path %q %s", path, flaw).Hint("patch source files inside the repository only")
	}
	return nil
}

// prefixes are the pairs that git puts before old and new names, by diff.noprefix and diff.mnemonicPrefix.
func prefixes() [][2]string {
	return [][2]string{{"a/", "b/"}, {"i/", "w/"}, {"c/", "i/"}, {"c/", "w/"}, {"o/", "w/"}, {"", ""}}
}

// commonPath strips the prefixes so that all header names mean one path.
func commonPath(oldName, newName string, e extended) (string, bool) {
	for _, p := range prefixes() {
		name, ok := strings.CutPrefix(newName, p[1])
		if newName == devNull {
			name, ok = strings.CutPrefix(oldName, p[0])
		}
		agrees := oldName == devNull || newName == devNull || oldName == p[0]+name
		if ok && agrees && name != devNull && e.gitAgrees(p[0]+name, p[1]+name) {
			return name, true
		}
	}
	return "", false
}

// gitAgrees says whether the "diff --git" line, where there is one, holds exactly these names.
func (e *extended) gitAgrees(oldName, newName string) bool {
	if e.git == "" {
		return true
	}
	for _, o := range spellings(oldName) {
		for _, n := range spellings(newName) {
			if e.git == o+" "+n {
				return true
			}
		}
	}
	return false
}

// spellings are the ways in which git may write a name: plain, and quoted with or without core.quotePath.
func spellings(name string) []string {
	return []string{name, quoteName(name, true), quoteName(name, false), `"` + name + `"`}
}

// checkShape refuses hunks that contradict the file's action.
func (f *filePatch) checkShape() error {
	wrong := ""
	switch {
	case len(f.hunks) == 0 && (f.action == modify || f.named):
		wrong = "changes nothing"
	case f.action != modify && len(f.hunks) > 1:
		wrong = "takes more than one hunk"
	case f.action == create && len(f.hunks) == 1 && (f.hunks[0].oldLines != 0 || f.hunks[0].oldStart != 0):
		wrong = "has base lines"
	case f.action == remove && len(f.hunks) == 1 && (f.hunks[0].newLines != 0 || f.hunks[0].oldStart != 1):
		wrong = "leaves lines behind"
	}
	if wrong == "" {
		return nil
	}
	return f.fault("%s of %q %s", f.action, f.path, wrong).
		Hint(`create with one hunk "@@ -0,0 +1,N @@", delete with one hunk "@@ -1,N +0,0 @@", modify with at least one hunk`)
}
