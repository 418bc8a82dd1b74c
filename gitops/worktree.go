package gitops

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Differences are the files of a folder of a working tree that are not those of a commit. Paths are slash-separated and
// relative to the root of the repository.
type Differences struct {
	Changed   []string // tracked files whose bytes differ, or that are gone
	Untracked []string // files that the commit lacks, ignored ones too
}

// Differences compares folder of a commit or tree with dir on disk, byte by byte: no index, filter, attribute or hook has a
// say. Submodules are left out, and so is .git.
func (r *Repo) Differences(treeish, folder, dir string) (Differences, error) {
	tree, err := r.treeOf(treeish)
	if err != nil {
		return Differences{}, err
	}
	at, ok, err := r.lookup(tree, folder)
	if err != nil {
		return Differences{}, err
	}
	if !ok || at.Mode != filemode.Dir {
		return Differences{}, fault.New(fault.NotFound, "%q is not a folder of %s", folder, treeish).At("path", folder)
	}
	prefix := ""
	if folder != "" {
		prefix = folder + "/"
	}
	var d Differences
	tracked := map[string]bool{}
	err = r.walk(at.Hash, "", func(f treeFile) error {
		tracked[f.path] = true
		if f.mode == filemode.Submodule {
			return nil
		}
		same, err := sameOnDisk(filepath.Join(dir, filepath.FromSlash(f.path)), f)
		if err == nil && !same {
			d.Changed = append(d.Changed, prefix+f.path)
		}
		return err
	})
	if err != nil {
		return Differences{}, err
	}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case e.IsDir() && (e.Name() == ".git" || tracked[rel]): // a tracked folder is a submodule
			return filepath.SkipDir
		case !e.IsDir() && !tracked[rel]:
			d.Untracked = append(d.Untracked, prefix+rel)
		}
		return nil
	})
	slices.Sort(d.Changed)
	return d, err
}

func sameOnDisk(path string, f treeFile) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	isLink := info.Mode()&fs.ModeSymlink != 0
	if isLink != (f.mode == filemode.Symlink) || (!isLink && !info.Mode().IsRegular()) {
		return false, nil
	}
	var content []byte
	if isLink {
		target, err := os.Readlink(path)
		if err != nil {
			return false, err
		}
		content = []byte(filepath.ToSlash(target))
	} else if content, err = os.ReadFile(path); err != nil {
		return false, err
	}
	return plumbing.ComputeHash(plumbing.BlobObject, content) == f.id, nil
}
