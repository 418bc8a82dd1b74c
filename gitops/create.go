package gitops

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Create makes a repository in dir, which must be absent or empty, with one commit on branch main and its files
// (path to content, mode 100644) checked out, and gives the commit's id. The same files, message and time give the
// same id.
func Create(dir string, files map[string][]byte, message string, when time.Time) (string, error) {
	if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
		return "", fault.New(fault.Conflict, "folder %q is not empty", dir).At("dir", dir).Hint("name a new folder")
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !filepath.IsLocal(name) || filepath.ToSlash(filepath.Clean(name)) != name || foldPath(strings.Split(name, "/")[0]) == ".git" {
			return "", fault.New(fault.InvalidInput, "%q is not a local path", name).At("files", name)
		}
	}
	if _, err := git.PlainInitWithOptions(dir, &git.PlainInitOptions{InitOptions: git.InitOptions{DefaultBranch: "refs/heads/main"}}); err != nil {
		return "", fault.Wrap(fault.Denied, err, "make a repository in %q", dir)
	}
	r, err := Open(dir)
	if err != nil {
		return "", err
	}
	e := &editor{objects: r.objects}
	edits := map[string]edit{}
	for name, content := range files {
		edits[name] = edit{filemode.Regular, e.put(plumbing.BlobObject, content)}
	}
	tree, err := e.root(plumbing.ZeroHash, edits)
	if err != nil {
		return "", err
	}
	text, err := CommitMeta{Message: message, Author: Person{"sotaloop", "sotaloop@localhost"}, When: when}.encode(tree, plumbing.ZeroHash)
	if err != nil {
		return "", err
	}
	commit := e.put(plumbing.CommitObject, text)
	if err := r.objects.store(e.made); err != nil {
		return "", err
	}
	if err := r.checkOut(dir, files, edits); err != nil {
		return "", err
	}
	return commit.String(), r.refs.SetReference(plumbing.NewHashReference("refs/heads/main", commit))
}

// checkOut writes the files and an index that knows them.
func (r *Repo) checkOut(dir string, files map[string][]byte, edits map[string]edit) error {
	idx := &index.Index{Version: 2}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		full := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(full, files[name], 0o644); err != nil {
			return err
		}
		info, err := os.Stat(full)
		if err != nil {
			return err
		}
		idx.Entries = append(idx.Entries, &index.Entry{
			Name: name, Hash: edits[name].blob, Mode: filemode.Regular, Size: uint32(len(files[name])), ModifiedAt: info.ModTime(),
		})
	}
	return r.refs.SetIndex(idx)
}
