package gitops

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Repo is a git repository opened for reading objects and for creating branches. It is safe for concurrent use,
// keeps no file open, and needs no closing. What it proposed stays in its memory for as long as it lives: open one for
// each piece of work, and propose again after a restart.
type Repo struct {
	layout  layout
	objects *objects
	refs    *filesystem.Storage
}

// Open opens the repository whose working tree root (linked worktrees and sparse checkouts included), or whose bare
// folder, is path. It reads neither working tree nor index.
func Open(path string) (*Repo, error) {
	l, err := locate(path)
	if err != nil {
		return nil, err
	}
	files := dotgit.NewRepositoryFilesystem(osfs.New(l.gitDir), osfs.New(l.commonDir))
	refs := filesystem.NewStorageWithOptions(files, cache.NewObjectLRU(0), filesystem.Options{AlternatesFS: osfs.New(string(filepath.Separator))})
	return &Repo{layout: l, objects: newObjects(l.objectDirs), refs: refs}, nil
}

// Head is where HEAD points. Branch is empty when HEAD is detached.
type Head struct {
	Commit string `json:"commit"`
	Branch string `json:"branch"`
}

// Head reads HEAD. A branch without a commit is a not_found fault.
func (r *Repo) Head() (Head, error) {
	ref, err := r.refs.Reference(plumbing.HEAD)
	if err != nil {
		return Head{}, fault.Wrap(fault.Corrupt, err, "read HEAD")
	}
	if ref.Type() == plumbing.HashReference {
		return Head{Commit: ref.Hash().String()}, nil
	}
	id, err := r.follow(ref.Target())
	if err != nil {
		return Head{}, err
	}
	return Head{Commit: id.String(), Branch: ref.Target().Short()}, nil
}

// follow gives the object a ref names, through at most five symbolic refs.
func (r *Repo) follow(name plumbing.ReferenceName) (plumbing.Hash, error) {
	for range 5 {
		ref, err := r.refs.Reference(name)
		if errors.Is(err, plumbing.ErrReferenceNotFound) || errors.Is(err, os.ErrNotExist) {
			return plumbing.ZeroHash, fault.New(fault.NotFound, "%q has no commit", name).At("ref", name.String())
		}
		if err != nil {
			return plumbing.ZeroHash, fault.Wrap(fault.Corrupt, err, "read ref %q", name)
		}
		if ref.Type() == plumbing.HashReference {
			return ref.Hash(), nil
		}
		name = ref.Target()
	}
	return plumbing.ZeroHash, fault.New(fault.Corrupt, "ref %q is a loop", name)
}

// Resolve gives the commit id of a full commit id, HEAD, or the name of a branch, tag or remote branch, in this
// order. Nothing else (no ~, ^, @{} or shortened id): what is recorded must mean one commit.
func (r *Repo) Resolve(rev string) (string, error) {
	if fullID.MatchString(rev) {
		c, err := r.Commit(rev)
		return c.ID, err
	}
	if rev == "HEAD" {
		head, err := r.Head()
		return head.Commit, err
	}
	if !refName.MatchString(rev) || strings.Contains(rev, "..") {
		return "", fault.New(fault.InvalidInput, "revision %q is not a full commit id, HEAD, branch or tag", rev).At("revision", rev)
	}
	for _, prefix := range []string{"refs/heads/", "refs/tags/", "refs/remotes/"} {
		id, err := r.follow(plumbing.ReferenceName(prefix + rev))
		if fault.CodeOf(err) == fault.NotFound && err != nil {
			continue
		}
		if err != nil {
			return "", err
		}
		return r.peel(id)
	}
	return "", fault.New(fault.NotFound, "revision %q is not in the checkout", rev).At("revision", rev).
		Hint("fetch it there, or name a full commit id")
}

// peel follows annotated tags to a commit.
func (r *Repo) peel(id plumbing.Hash) (string, error) {
	for range 5 {
		obj, err := r.objects.read(id)
		if err != nil {
			return "", err
		}
		if obj.Type() != plumbing.TagObject {
			c, err := r.Commit(id.String())
			return c.ID, err
		}
		text, err := r.objects.content(plumbing.TagObject, id)
		if err != nil {
			return "", err
		}
		line, _, _ := strings.Cut(string(text), "\n")
		id = plumbing.NewHash(strings.TrimPrefix(line, "object "))
	}
	return "", fault.New(fault.Corrupt, "tag %s nests too deep", id)
}

// Commit is what a commit object says.
type Commit struct {
	ID      string
	Tree    string
	Parents []string
	Author  Person
	When    time.Time // author time
	Message string
}

// Commit reads a commit by its full id.
func (r *Repo) Commit(id string) (Commit, error) {
	hash, err := parseID("commit", id)
	if err != nil {
		return Commit{}, err
	}
	c, err := r.objects.commit(hash)
	if err != nil {
		return Commit{}, err
	}
	out := Commit{ID: id, Tree: c.TreeHash.String(), Parents: []string{}, Message: c.Message, When: c.Author.When}
	out.Author = Person{Name: c.Author.Name, Email: c.Author.Email}
	for _, p := range c.ParentHashes {
		out.Parents = append(out.Parents, p.String())
	}
	return out, nil
}

// Root is the first commit of a history. Shallow says that the clone was cut there, so that the true root is unknown.
type Root struct {
	Commit  string `json:"commit"`
	Shallow bool   `json:"shallow"`
}

// RootCommit follows first parents from a commit to the start of its history.
func (r *Repo) RootCommit(commit string) (Root, error) {
	cut, err := r.refs.Shallow()
	if err != nil {
		return Root{}, fault.Wrap(fault.Corrupt, err, "read the list of shallow commits")
	}
	shallow := map[string]bool{}
	for _, id := range cut {
		shallow[id.String()] = true
	}
	for {
		c, err := r.Commit(commit)
		if err != nil {
			return Root{}, err
		}
		if len(c.Parents) == 0 || shallow[commit] {
			return Root{Commit: commit, Shallow: shallow[commit]}, nil
		}
		commit = c.Parents[0]
	}
}

var (
	fullID  = regexp.MustCompile(`^[0-9a-f]{40}$`)
	refName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+-]*$`)
)

// parseID accepts full object ids only.
func parseID(field, id string) (plumbing.Hash, error) {
	if !fullID.MatchString(id) {
		return plumbing.ZeroHash, fault.New(fault.InvalidInput, "%q is not a full object id", id).At(field, id, "40 lower-case hex digits")
	}
	return plumbing.NewHash(id), nil
}
