package gitops

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// createRef makes a ref that must not exist, by git's own protocol: an exclusive name.lock, the check under it, and
// a rename. (go-git truncates the file in place, under a lock that git does not know.) An existing ref is
// os.ErrExist. All writes stay below the repository's folder, whatever links lie in it.
func (r *Repo) createRef(name string, id plumbing.Hash) error {
	if err := r.checkRefSpace(name); err != nil {
		return err
	}
	root, err := os.OpenRoot(r.layout.commonDir)
	if err != nil {
		return fault.Wrap(fault.Denied, err, "open the repository's folder")
	}
	defer root.Close()
	denied := func(err error) error {
		return fault.Wrap(fault.Denied, err, "write ref %q", name).Hint("make the checkout's refs writable for this user")
	}
	if err := root.MkdirAll(path.Dir(name), 0o777); err != nil {
		return denied(err)
	}
	lock := name + ".lock"
	f, err := root.OpenFile(lock, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Busy, "ref %q is locked by another git process", name).At("branch", lock).
			Hint("repeat the call; if no git process runs in the checkout, remove %q from its git folder", lock)
	}
	if err != nil {
		return denied(err)
	}
	_, err = f.WriteString(id.String() + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		if _, there := r.follow(plumbing.ReferenceName(name)); fault.CodeOf(there) != fault.NotFound || there == nil {
			err = os.ErrExist
		} else {
			if info, err := root.Lstat(name); err == nil && info.IsDir() {
				_ = root.Remove(name) // an empty folder that deleted branches left; git removes it too
			}
			err = root.Rename(lock, name)
		}
	}
	if err != nil {
		_ = root.Remove(lock)
		if errors.Is(err, os.ErrExist) {
			return os.ErrExist
		}
		return denied(err)
	}
	syncFile(filepath.Join(r.layout.commonDir, filepath.FromSlash(path.Dir(name))))
	return nil
}

// checkRefSpace refuses a name that git could not keep beside an existing ref (a branch "sotaloop" is a file where
// we need a folder), and one that some working tree has as its unborn branch.
func (r *Repo) checkRefSpace(name string) error {
	for dir := path.Dir(name); dir != "refs/heads"; dir = path.Dir(dir) {
		if _, err := r.follow(plumbing.ReferenceName(dir)); err == nil {
			return fault.New(fault.Conflict, "branch %q stands where our branches need a folder", strings.TrimPrefix(dir, "refs/heads/")).
				At("branch", dir).Hint("rename that branch in the checkout")
		}
	}
	packed, err := os.ReadFile(filepath.Join(r.layout.commonDir, "packed-refs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Wrap(fault.Denied, err, "read the checkout's packed refs")
	}
	loose, _ := os.ReadDir(filepath.Join(r.layout.commonDir, filepath.FromSlash(name)))
	if len(loose) > 0 || strings.Contains(string(packed), " "+name+"/") {
		return fault.New(fault.Conflict, "a branch lies below %q", name).At("branch", name).Hint("rename that branch in the checkout")
	}
	heads, _ := filepath.Glob(filepath.Join(r.layout.commonDir, "worktrees", "*", "HEAD"))
	for _, head := range append(heads, filepath.Join(r.layout.commonDir, "HEAD"), filepath.Join(r.layout.gitDir, "HEAD")) {
		if text, err := os.ReadFile(head); err == nil && strings.TrimSpace(string(text)) == "ref: "+name {
			return fault.New(fault.Conflict, "a working tree has %q as its unborn branch", name).At("branch", head).
				Hint("switch that working tree to another branch")
		}
	}
	return nil
}
