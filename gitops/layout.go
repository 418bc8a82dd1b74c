package gitops

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// layout is where a repository keeps its parts. In a linked worktree gitDir holds HEAD and index, and commonDir
// everything that worktrees share; elsewhere both are the same folder.
type layout struct {
	gitDir     string
	commonDir  string
	objectDirs []string // the repository's own first, then its alternates, transitively
}

// locate finds the parts of the repository at path, which is a working tree's root or a bare repository.
func locate(path string) (layout, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return layout{}, fault.Wrap(fault.InvalidInput, err, "checkout %q has no absolute path", path)
	}
	gitDir, err := gitDirOf(abs)
	if err != nil {
		return layout{}, err
	}
	common := gitDir
	if text, err := os.ReadFile(filepath.Join(gitDir, "commondir")); err == nil {
		common = resolveFrom(gitDir, strings.TrimSpace(string(text)))
	}
	for _, part := range []string{filepath.Join(gitDir, "HEAD"), filepath.Join(common, "objects"), filepath.Join(common, "refs")} {
		if _, err := os.Stat(part); err != nil {
			return layout{}, fault.Wrap(fault.NotFound, err, "%q is not a complete git repository", path).At("checkout", path)
		}
	}
	if err := checkExtensions(filepath.Join(common, "config")); err != nil {
		return layout{}, err
	}
	dirs, err := objectDirs(filepath.Join(common, "objects"))
	return layout{gitDir: gitDir, commonDir: common, objectDirs: dirs}, err
}

// gitDirOf gives the folder that holds HEAD: path/.git, where a .git file points, or a bare path itself.
func gitDirOf(path string) (string, error) {
	dotGit := filepath.Join(path, ".git")
	info, err := os.Stat(dotGit)
	switch {
	case err == nil && info.IsDir():
		return dotGit, nil
	case err == nil:
		text, err := os.ReadFile(dotGit)
		if err != nil {
			return "", fault.Wrap(fault.NotFound, err, "read %q", dotGit)
		}
		target, ok := strings.CutPrefix(strings.TrimRight(string(text), "\r\n"), "gitdir: ")
		if !ok {
			return "", fault.New(fault.Corrupt, "file %q does not say where its repository is", dotGit)
		}
		return resolveFrom(path, target), nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", fault.Wrap(fault.Denied, err, "look into checkout %q", path).At("checkout", path)
	}
	if _, err := os.Stat(filepath.Join(path, "HEAD")); err == nil {
		return path, nil
	}
	f := fault.New(fault.NotFound, "%q is not a git repository", path).At("checkout", path)
	for dir := filepath.Dir(path); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			return "", f.Hint("set checkout to the repository's root %q", dir)
		}
	}
	return "", f.Hint("set checkout to the root of a git clone of the target")
}

// objectDirs follows objects/info/alternates. A missing alternate is an error, since objects would be missing.
// git allows five levels and so do we; relative entries count from the objects folder that names them.
func objectDirs(own string) ([]string, error) {
	const levels = 5
	dirs, seen := []string{own}, map[string]bool{filepath.Clean(own): true}
	for level, from := 0, dirs; len(from) > 0; level++ {
		var found []string
		for _, dir := range from {
			text, err := os.ReadFile(filepath.Join(dir, "info", "alternates"))
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(text)) {
				line = strings.TrimRight(line, "\r\n")
				if line == "" || line[0] == '#' {
					continue
				}
				alt := resolveFrom(dir, line)
				if seen[alt] {
					continue
				}
				if info, err := os.Stat(alt); err != nil || !info.IsDir() {
					return nil, fault.Wrap(fault.NotFound, err, "alternate object folder %q is missing", alt).
						Hint("restore it, or make the checkout independent: git repack -a -d")
				}
				seen[alt] = true
				found = append(found, alt)
			}
		}
		if level == levels && len(found) > 0 {
			return nil, fault.New(fault.InvalidInput, "alternates of %q nest deeper than %d", own, levels)
		}
		dirs, from = append(dirs, found...), found
	}
	return dirs, nil
}

// resolveFrom makes target absolute, seen from dir.
func resolveFrom(dir, target string) string {
	target = filepath.FromSlash(target)
	if filepath.IsAbs(target) {
		return filepath.Clean(target)
	}
	return filepath.Join(dir, target)
}
