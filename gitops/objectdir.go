package gitops

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

// objectDir shows one objects folder to go-git as the "objects" of a repository that has nothing else, and hides
// its alternates. go-git opens an alternate anew for every object it misses (all pack indexes each time), wants it
// to be called "objects", and reads relative ones from the wrong place; so each folder is a storage of its own.
type objectDir struct{ billy.Filesystem }

// openObjectDir gives the storage of one objects folder; alternates lie in folders of their own.
func openObjectDir(dir string) *filesystem.Storage {
	files := objectDir{osfs.New(dir)}
	return filesystem.NewStorageWithOptions(files, cache.NewObjectLRUDefault(), filesystem.Options{AlternatesFS: files})
}

// at maps go-git's name of a file to the folder's own. A name without "objects/" is the folder's already: go-git
// opens a pack again by the name that its file has.
func (d objectDir) at(name string) string {
	clean := filepath.ToSlash(filepath.Clean(name))
	if clean == "objects" {
		return "."
	}
	own := strings.TrimPrefix(clean, "objects/")
	if own == "info/alternates" {
		return "info/alternates.hidden"
	}
	return own
}

// Open opens a file of the folder.
func (d objectDir) Open(name string) (billy.File, error) {
	return d.Filesystem.Open(d.at(name))
}

// OpenFile opens or makes a file of the folder.
func (d objectDir) OpenFile(name string, flag int, perm os.FileMode) (billy.File, error) {
	return d.Filesystem.OpenFile(d.at(name), flag, perm)
}

// Create makes a file in the folder.
func (d objectDir) Create(name string) (billy.File, error) { return d.Filesystem.Create(d.at(name)) }

// Stat describes a file of the folder.
func (d objectDir) Stat(name string) (os.FileInfo, error) { return d.Filesystem.Stat(d.at(name)) }

// Lstat describes a file of the folder without following links.
func (d objectDir) Lstat(name string) (os.FileInfo, error) { return d.Filesystem.Lstat(d.at(name)) }

// ReadDir lists a folder.
func (d objectDir) ReadDir(name string) ([]os.FileInfo, error) {
	return d.Filesystem.ReadDir(d.at(name))
}

// Rename moves a file.
func (d objectDir) Rename(from, to string) error { return d.Filesystem.Rename(d.at(from), d.at(to)) }

// Remove deletes a file.
func (d objectDir) Remove(name string) error { return d.Filesystem.Remove(d.at(name)) }

// TempFile makes a new file in a folder.
func (d objectDir) TempFile(dir, prefix string) (billy.File, error) {
	return d.Filesystem.TempFile(d.at(dir), prefix)
}

// MkdirAll makes a folder.
func (d objectDir) MkdirAll(name string, perm os.FileMode) error {
	return d.Filesystem.MkdirAll(d.at(name), perm)
}
