package gitops

import (
	"fmt"
	"path"
	"strings"
	"unicode/utf8"
)

// Finding is something the approver should look at; never a refusal.
type Finding struct {
	Rule string `json:"rule"`
	Path string `json:"path"`
	Line int    `json:"line"` // of the result file; 0 for the whole file
	What string `json:"what"`
}

// findings tells what this package sees in a proposal without knowing what the patch is for: files that steer how
// tests or builds run, and added characters that hide or reorder text.
func findings(files []FileChange, diff []byte) []Finding {
	found := []Finding{}
	for _, f := range files {
		if what := steers(path.Base(f.Path)); what != "" {
			found = append(found, Finding{Rule: RuleHarness, Path: f.Path, What: what})
		}
	}
	patch, err := ParsePatch(diff)
	if err != nil {
		return found // our own rendering of a path that ParsePatch would refuse; such trees are never proposed
	}
	for _, f := range patch.files {
		for _, h := range f.hunks {
			line := h.newStart
			for _, l := range h.lines {
				if c := hiddenIn(l.text); l.op == '+' && c != "" {
					found = append(found, Finding{Rule: RulePaths, Path: f.path, Line: line, What: "adds the invisible character " + c})
				}
				if l.op != '-' {
					line++
				}
			}
		}
	}
	return found
}

// steers says what a file of this name decides.
func steers(base string) string {
	switch strings.ToLower(base) {
	case "conftest.py":
		return "pytest runs this file before the tests"
	case "pytest.ini", "tox.ini", "noxfile.py", ".coveragerc":
		return "configures how tests run"
	case "pyproject.toml", "setup.py", "setup.cfg", "cmakelists.txt", "makefile":
		return "configures how the package is built or tested"
	}
	return ""
}

// hiddenIn names the first character of a line that Printable would not show as it is.
func hiddenIn(line []byte) string {
	line = []byte(strings.TrimRight(string(line), "\r\n"))
	for len(line) > 0 {
		c, n := utf8.DecodeRune(line)
		if c == utf8.RuneError && n == 1 {
			return fmt.Sprintf("0x%02X", line[0])
		}
		if hidden(c) {
			return fmt.Sprintf("%U", c)
		}
		line = line[n:]
	}
	return ""
}
