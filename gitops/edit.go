package gitops

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// edit is what becomes of one path: a file with mode and blob, or, with mode 0, nothing.
type edit struct {
	mode filemode.FileMode
	blob plumbing.Hash
}

// editor builds a new tree from an old one. made lists the objects that it put into memory.
type editor struct {
	objects *objects
	made    []plumbing.Hash
}

func (e *editor) put(kind plumbing.ObjectType, content []byte) plumbing.Hash {
	id := e.objects.put(kind, content)
	e.made = append(e.made, id)
	return id
}

// root applies edits (by path) to the tree base, which is zero for none, and gives the new tree.
func (e *editor) root(base plumbing.Hash, edits map[string]edit) (plumbing.Hash, error) {
	tree, err := e.rebuild(base, "", edits)
	if err == nil && tree.IsZero() {
		tree = e.put(plumbing.TreeObject, nil)
	}
	return tree, err
}

// rebuild applies edits (by path relative to dir) to the tree old, which is zero for a new folder. The zero id says
// that nothing is left.
func (e *editor) rebuild(old plumbing.Hash, dir string, edits map[string]edit) (plumbing.Hash, error) {
	entries, err := e.entries(old)
	if err != nil {
		return old, err
	}
	here := map[string]object.TreeEntry{}
	for _, entry := range entries {
		here[entry.Name] = entry
	}
	files, below := split(edits)
	for name, ed := range files {
		if ed.mode == 0 {
			delete(here, name) // first, so that a folder may take a deleted file's place
		}
	}
	added, err := e.rebuildBelow(here, dir, below)
	if err != nil {
		return old, err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if files[name].mode == 0 {
			continue
		}
		was, there := here[name]
		if there && !isRegular(was.Mode) {
			return old, collision(dir+name, "%q is %s in the base commit", dir+name, describeMode(was.Mode))
		}
		if !there {
			added = append(added, name)
		}
		here[name] = object.TreeEntry{Name: name, Mode: files[name].mode, Hash: files[name].blob}
	}
	if err := checkTwinEntries(dir, here, added); err != nil || len(here) == 0 {
		return plumbing.ZeroHash, err
	}
	return e.put(plumbing.TreeObject, encodeTree(slices.Collect(maps.Values(here)))), nil
}

// split parts edits into those of a folder's own files and those below each of its folders.
func split(edits map[string]edit) (files map[string]edit, below map[string]map[string]edit) {
	files, below = map[string]edit{}, map[string]map[string]edit{}
	for path, ed := range edits {
		name, rest, deeper := strings.Cut(path, "/")
		switch {
		case !deeper:
			files[name] = ed
		case below[name] == nil:
			below[name] = map[string]edit{rest: ed}
		default:
			below[name][rest] = ed
		}
	}
	return files, below
}

// rebuildBelow brings the folders of here up to date and lists the new ones.
func (e *editor) rebuildBelow(here map[string]object.TreeEntry, dir string, below map[string]map[string]edit) (added []string, err error) {
	for _, name := range slices.Sorted(maps.Keys(below)) {
		was, there := here[name]
		if there && was.Mode != filemode.Dir {
			return nil, collision(dir+name, "%q is %s, so that nothing can lie below it", dir+name, describeMode(was.Mode))
		}
		sub, err := e.rebuild(was.Hash, dir+name+"/", below[name])
		switch {
		case err != nil:
			return nil, err
		case sub.IsZero():
			delete(here, name)
			continue
		case !there:
			added = append(added, name)
		}
		here[name] = object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: sub}
	}
	return added, nil
}

// entries reads the old tree and makes sure that writing it back would give the same id: a tree with modes or an
// order that git no longer writes would change in places that the patch does not name.
func (e *editor) entries(old plumbing.Hash) ([]object.TreeEntry, error) {
	if old.IsZero() {
		return nil, nil
	}
	entries, err := e.objects.tree(old)
	if err != nil {
		return nil, err
	}
	if again := plumbing.ComputeHash(plumbing.TreeObject, encodeTree(slices.Clone(entries))); again != old {
		return nil, fault.New(fault.InvalidInput, "tree %s of the base commit is not in git's canonical form", old).
			Hint("run git fsck in the checkout; commit the folder anew")
	}
	return entries, nil
}

// checkTwinEntries refuses new names that some file system would take for another name of the same folder. Twins
// that the base commit has already are its own business.
func checkTwinEntries(dir string, here map[string]object.TreeEntry, added []string) error {
	if len(added) == 0 {
		return nil
	}
	byKey := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(here)) {
		key := foldPath(name)
		byKey[key] = append(byKey[key], name)
	}
	for _, name := range added {
		if twins := byKey[foldPath(name)]; len(twins) > 1 {
			return collision(dir+name, "%q and %q are one file where letter case or Unicode form does not count", dir+twins[0], dir+twins[1])
		}
	}
	return nil
}

func collision(path, format string, args ...any) error {
	return fault.New(fault.InvalidInput, format, args...).ByRule(RulePaths).At("diff", path).Hint("choose another path")
}

// encodeTree writes entries in git's order and form.
func encodeTree(entries []object.TreeEntry) []byte {
	sort.Sort(object.TreeEntrySorter(entries))
	var b bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&b, "%o %s\x00", uint32(e.Mode), e.Name)
		b.Write(e.Hash[:])
	}
	return b.Bytes()
}
