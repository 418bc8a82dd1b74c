package gitops

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// maxPath is the longest path a patch may name, in bytes.
const maxPath = 1024

// pathFlaw says why a patch must not touch path; empty when it may. The tests are made on a folded form too, so
// that a name which another file system would take for ".git" is caught as well.
func pathFlaw(path string) string {
	switch {
	case path == "":
		return "is empty"
	case len(path) > maxPath:
		return fmt.Sprintf("is longer than %d bytes", maxPath)
	case !utf8.ValidString(path):
		return "is not UTF-8"
	case strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/"):
		return "is not relative to the repository's root"
	case strings.ContainsAny(path, `\:`):
		return `contains "\" or ":"`
	case !filepath.IsLocal(path):
		return "leads out of the repository"
	}
	for _, c := range path {
		if !unicode.IsPrint(c) {
			return fmt.Sprintf("contains the invisible character %U", c)
		}
	}
	for part := range strings.SplitSeq(path, "/") {
		if flaw := partFlaw(part); flaw != "" {
			return flaw
		}
	}
	return ""
}

// shortDotGit is how NTFS may spell .git and its files: git~1, gi7eba~1, gitmod~1.
var shortDotGit = regexp.MustCompile(`^gi[a-z0-9]*~[0-9]+$`)

// partFlaw judges one element of a path.
func partFlaw(part string) string {
	folded := foldPath(part)
	stem, _, _ := strings.Cut(folded, ".")
	switch {
	case part == "" || part == "." || part == "..":
		return "leads out of the repository or has empty elements"
	case strings.TrimRight(part, ". ") != part:
		return "has an element that ends in a dot or a space"
	case strings.HasPrefix(folded, ".git") || shortDotGit.MatchString(folded):
		return "belongs to git or to the project's automation"
	case strings.HasSuffix(folded, ".pth"):
		return "runs code when any interpreter starts (.pth)"
	case stem == "sitecustomize" || stem == "usercustomize":
		return fmt.Sprintf("runs code when any interpreter starts (%s)", stem)
	}
	return ""
}

// foldPath maps names to one key that some file system would take for the same file: letter case, composed and
// decomposed forms, and compatibility characters.
func foldPath(name string) string {
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(name)))
}
