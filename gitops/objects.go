package gitops

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// maxObject is the most that one object may hold to be read into memory.
const maxObject = 64 << 20

// objects reads a repository's objects, each checked against its id, and keeps those of proposals in memory until
// a branch needs them. Its lock also guards go-git's storage, which is not made for concurrent use.
type objects struct {
	mu     sync.Mutex
	dir    string // where new objects are written
	stores []*filesystem.Storage
	made   map[plumbing.Hash]plumbing.MemoryObject
}

func newObjects(dirs []string) *objects {
	o := &objects{dir: dirs[0], made: map[plumbing.Hash]plumbing.MemoryObject{}}
	for _, dir := range dirs {
		o.stores = append(o.stores, openObjectDir(dir))
	}
	return o
}

// read gives the object id, of any type. git itself trusts a loose file's name; we do not, because ids are what
// people sign.
func (o *objects) read(id plumbing.Hash) (*plumbing.MemoryObject, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if made, ok := o.made[id]; ok {
		return &made, nil
	}
	found, err := o.find(id)
	if err != nil {
		for _, s := range o.stores { // a pack may have come or gone since its index was read
			s.Reindex()
		}
		found, err = o.find(id)
	}
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, fault.New(fault.NotFound, "object %s is not in the checkout", id).At("object", id.String()).
			Hint("fetch it there: git fetch (with --unshallow in a shallow clone, --refetch --no-filter in a partial one)")
	}
	if err != nil {
		return nil, fault.Wrap(fault.Corrupt, err, "read object %s", id).Hint("run git fsck in the checkout")
	}
	return found, nil
}

func (o *objects) find(id plumbing.Hash) (*plumbing.MemoryObject, error) {
	for _, s := range o.stores {
		obj, err := s.EncodedObject(plumbing.AnyObject, id)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return checkedCopy(obj, id)
	}
	return nil, plumbing.ErrObjectNotFound
}

// checkedCopy reads obj into memory and makes sure that its content has the id.
func checkedCopy(obj plumbing.EncodedObject, id plumbing.Hash) (*plumbing.MemoryObject, error) {
	if obj.Size() > maxObject {
		return nil, fmt.Errorf("object of %d bytes is larger than %d", obj.Size(), maxObject)
	}
	in, err := obj.Reader()
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(in, maxObject+1))
	if err = errors.Join(err, in.Close()); err != nil {
		return nil, err
	}
	out := newObject(obj.Type(), content)
	if out.Hash() != id {
		return nil, fmt.Errorf("content has id %s", out.Hash())
	}
	return &out, nil
}

func newObject(kind plumbing.ObjectType, content []byte) plumbing.MemoryObject {
	var m plumbing.MemoryObject
	m.SetType(kind)
	_, _ = m.Write(content) // writes to memory cannot fail
	return m
}

// put keeps an object in memory.
func (o *objects) put(kind plumbing.ObjectType, content []byte) plumbing.Hash {
	m := newObject(kind, content)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.made[m.Hash()] = m
	return m.Hash()
}

// store writes those of ids that the repository does not have yet, as loose objects, and syncs them.
func (o *objects) store(ids []plumbing.Hash) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, id := range ids {
		made, ok := o.made[id]
		if !ok {
			continue
		}
		if _, err := o.find(id); err == nil {
			continue
		}
		if _, err := o.stores[0].SetEncodedObject(&made); err != nil {
			return fault.Wrap(fault.Denied, err, "write object %s to the checkout", id).
				Hint("make the checkout's object folder writable for this user")
		}
		hex := id.String()
		syncFile(filepath.Join(o.dir, hex[:2], hex[2:]))
	}
	return nil
}

// syncFile flushes a file to disk where the platform can; a ref must not outlive the objects under it.
func syncFile(path string) {
	if f, err := os.Open(path); err == nil {
		_ = f.Sync()
		_ = f.Close()
	}
}

// content gives the bytes of an object that must be of one kind.
func (o *objects) content(kind plumbing.ObjectType, id plumbing.Hash) ([]byte, error) {
	obj, err := o.read(id)
	if err != nil {
		return nil, err
	}
	if obj.Type() != kind {
		return nil, fault.New(fault.InvalidInput, "object %s is a %s", id, obj.Type()).At("object", obj.Type().String(), kind.String())
	}
	in, err := obj.Reader()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(in)
}

// tree reads a tree's entries; names that would lead out of their folder are refused.
func (o *objects) tree(id plumbing.Hash) ([]object.TreeEntry, error) {
	obj, err := o.read(id)
	if err != nil {
		return nil, err
	}
	var t object.Tree
	if err := t.Decode(obj); err != nil {
		return nil, fault.Wrap(fault.Corrupt, err, "decode tree %s", id)
	}
	for _, e := range t.Entries {
		if e.Name == "." || e.Name == ".." || strings.Contains(e.Name, "/") {
			return nil, fault.New(fault.Corrupt, "tree %s has an entry called %q", id, e.Name)
		}
	}
	return t.Entries, nil
}

// commit reads a commit.
func (o *objects) commit(id plumbing.Hash) (*object.Commit, error) {
	obj, err := o.read(id)
	if err != nil {
		return nil, err
	}
	var c object.Commit
	if err := c.Decode(obj); err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "decode commit %s", id)
	}
	return &c, nil
}
