package gitops

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// File is one regular file of a tree.
type File struct {
	Path      string `json:"path"`
	Mode      string `json:"mode"` // 100644 or 100755
	Blob      string `json:"blob"` // git object id
	SHA256    string `json:"sha256"`
	SizeBytes int64  `json:"size_bytes"`
}

// File describes the regular file at a path in a commit or tree (full id). A missing file is a not_found fault.
func (r *Repo) File(treeish, path string) (File, error) {
	entry, err := r.entry(treeish, path)
	if err != nil {
		return File{}, err
	}
	content, err := r.objects.content(plumbing.BlobObject, entry.Hash)
	if err != nil {
		return File{}, err
	}
	return File{
		Path: path, Mode: modeText(entry.Mode), Blob: entry.Hash.String(), SHA256: sha256Hex(content), SizeBytes: int64(len(content)),
	}, nil
}

// FileExists says whether path is a regular file in a commit or tree (full id).
func (r *Repo) FileExists(treeish, path string) (bool, error) {
	_, err := r.entry(treeish, path)
	var missing *missingFile
	if errors.As(err, &missing) {
		return false, nil
	}
	return err == nil, err
}

// Blob reads the regular file at a path in a commit or tree (full id), at most 64 MiB.
func (r *Repo) Blob(treeish, path string) ([]byte, error) {
	entry, err := r.entry(treeish, path)
	if err != nil {
		return nil, err
	}
	return r.objects.content(plumbing.BlobObject, entry.Hash)
}

// missingFile says that a path is no regular file of a tree, and what is there instead.
type missingFile struct{ path, instead string }

func (m *missingFile) Error() string { return "there is " + m.instead }

// entry finds a regular file.
func (r *Repo) entry(treeish, path string) (object.TreeEntry, error) {
	tree, err := r.treeOf(treeish)
	if err != nil {
		return object.TreeEntry{}, err
	}
	entry, ok, err := r.lookup(tree, path)
	if err != nil {
		return object.TreeEntry{}, err
	}
	instead := "no such path"
	if ok && isRegular(entry.Mode) {
		return entry, nil
	} else if ok {
		instead = describeMode(entry.Mode)
	}
	return entry, fault.Wrap(fault.NotFound, &missingFile{path, instead}, "%q is not a file of %s", path, treeish).At("path", path)
}

// lookup descends from a tree to the entry at a slash-separated path. The empty path is the tree itself.
func (r *Repo) lookup(tree plumbing.Hash, name string) (object.TreeEntry, bool, error) {
	at := object.TreeEntry{Mode: filemode.Dir, Hash: tree}
	if name == "" {
		return at, true, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if at.Mode != filemode.Dir {
			return at, false, nil
		}
		entries, err := r.objects.tree(at.Hash)
		if err != nil {
			return at, false, err
		}
		found := false
		for _, e := range entries {
			if e.Name == part {
				at, found = e, true
				break
			}
		}
		if !found {
			return at, false, nil
		}
	}
	return at, true, nil
}

// treeOf gives the tree of a commit, or a tree as it is.
func (r *Repo) treeOf(treeish string) (plumbing.Hash, error) {
	id, err := parseID("commit", treeish)
	if err != nil {
		return id, err
	}
	obj, err := r.objects.read(id)
	if err != nil {
		return id, err
	}
	switch obj.Type() {
	case plumbing.TreeObject:
		return id, nil
	case plumbing.CommitObject:
		c, err := r.objects.commit(id)
		if err != nil {
			return id, err
		}
		return c.TreeHash, nil
	}
	return id, fault.New(fault.InvalidInput, "object %s is a %s", treeish, obj.Type()).At("commit", obj.Type().String(), "commit", "tree")
}

// namesakes finds up to three files of a tree with the base name of a path that is not in it.
func (r *Repo) namesakes(tree plumbing.Hash, name string) ([]string, error) {
	var found []string
	err := r.walk(tree, "", func(e treeFile) error {
		if path.Base(e.path) == path.Base(name) && isRegular(e.mode) {
			found = append(found, e.path)
		}
		return nil
	})
	return found[:min(3, len(found))], err
}

// treeFile is a leaf of a tree.
type treeFile struct {
	path string
	mode filemode.FileMode
	id   plumbing.Hash
}

// walk calls visit for each leaf of a tree in git's order. The prefix is empty or ends in a slash.
func (r *Repo) walk(tree plumbing.Hash, prefix string, visit func(treeFile) error) error {
	entries, err := r.objects.tree(tree)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := prefix + e.Name
		if e.Mode == filemode.Dir {
			err = r.walk(e.Hash, name+"/", visit)
		} else {
			err = visit(treeFile{name, e.Mode, e.Hash})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func isRegular(m filemode.FileMode) bool { return m == filemode.Regular || m == filemode.Executable }

// modeText writes a mode as git does, in six octal digits.
func modeText(m filemode.FileMode) string { return strings.TrimPrefix(m.String(), "0") }

func describeMode(m filemode.FileMode) string {
	switch m {
	case filemode.Dir:
		return "a folder"
	case filemode.Symlink:
		return "a symbolic link"
	case filemode.Submodule:
		return "a submodule"
	}
	return "an entry of mode " + modeText(m)
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
