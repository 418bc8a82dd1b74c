package gitops

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"path"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Tar writes the folder subdir ("" for all) of a commit or tree (full id) to w and gives the SHA-256 of the bytes in
// lower-case hex. The tree may also be one that this Repo has proposed.
//
// The same tree gives the same bytes, always: names are relative to subdir and in git's order, times are the epoch,
// owners are 0, modes 0644 or 0755, content is the blob as it is (no attributes, no filters). There are only regular
// files in it: a symbolic link becomes a copy of the file it leads to inside the tree, submodules are left out.
func (r *Repo) Tar(treeish, subdir string, w io.Writer) (string, error) {
	tree, err := r.treeOf(treeish)
	if err != nil {
		return "", err
	}
	folder, there, err := r.lookup(tree, subdir)
	if err != nil {
		return "", err
	}
	if !there || folder.Mode != filemode.Dir {
		return "", fault.New(fault.NotFound, "%q is not a folder of %s", subdir, treeish).At("package_root", subdir).
			Hint("set package_root to the package's folder, as seen from the repository's root")
	}
	return r.tar(tree, folder.Hash, subdir, func(string) bool { return true }, w)
}

// TarOf is Tar of those files of the whole tree that keep says yes to, by their path from the repository's root.
func (r *Repo) TarOf(treeish string, keep func(path string) bool, w io.Writer) (string, error) {
	tree, err := r.treeOf(treeish)
	if err != nil {
		return "", err
	}
	return r.tar(tree, tree, "", keep, w)
}

// tar writes the kept files of a folder of a tree.
func (r *Repo) tar(tree, folder plumbing.Hash, subdir string, keep func(string) bool, w io.Writer) (string, error) {
	sum := sha256.New()
	out := tar.NewWriter(io.MultiWriter(w, sum))
	err := r.walk(folder, "", func(f treeFile) error {
		if !keep(f.path) {
			return nil
		}
		return r.tarFile(out, tree, subdir, f)
	})
	if err != nil {
		return "", err
	}
	if err := out.Close(); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (r *Repo) tarFile(out *tar.Writer, tree plumbing.Hash, subdir string, f treeFile) error {
	leaf := f
	if f.mode == filemode.Symlink {
		var err error
		if leaf, err = r.followLink(tree, path.Join(subdir, f.path), f.id); err != nil {
			return err
		}
	}
	if !isRegular(leaf.mode) {
		return nil
	}
	content, err := r.objects.content(plumbing.BlobObject, leaf.id)
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if leaf.mode == filemode.Executable {
		mode = 0o755
	}
	err = out.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: f.path, Mode: mode, Size: int64(len(content)), ModTime: time.Unix(0, 0), Format: tar.FormatPAX,
	})
	if err != nil {
		return err
	}
	_, err = out.Write(content)
	return err
}

// followLink finds the file that the symbolic link at a path (from the repository's root) leads to, through at most
// five links, none of which may leave the tree.
func (r *Repo) followLink(tree plumbing.Hash, at string, id plumbing.Hash) (treeFile, error) {
	refuse := func(why string) (treeFile, error) {
		return treeFile{}, fault.New(fault.InvalidInput, "symbolic link %q %s", at, why).At("package_root", at).
			Hint("set package_root to a folder whose links lead to files of the repository")
	}
	for range 5 {
		target, err := r.objects.content(plumbing.BlobObject, id)
		if err != nil {
			return treeFile{}, err
		}
		to := path.Join(path.Dir(at), string(target))
		if path.IsAbs(string(target)) || to == ".." || strings.HasPrefix(to, "../") {
			return refuse("leaves the repository")
		}
		entry, there, err := r.lookup(tree, to)
		if err != nil {
			return treeFile{}, err
		}
		switch {
		case there && isRegular(entry.Mode):
			return treeFile{at, entry.Mode, entry.Hash}, nil
		case !there || entry.Mode != filemode.Symlink:
			return refuse("does not lead to a file")
		}
		at, id = to, entry.Hash
	}
	return refuse("leads to itself")
}
