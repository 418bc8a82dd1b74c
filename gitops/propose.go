package gitops

import (
	"bytes"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Proposed is a patch applied to a base commit, in memory. Diff is our own rendering from base tree to result tree:
// the one that is stored, shown and signed.
type Proposed struct {
	BaseCommit string       `json:"base_commit"`
	BaseTree   string       `json:"base_tree"`
	ResultTree string       `json:"result_tree"`
	Diff       []byte       `json:"-"`
	Files      []FileChange `json:"files"`
	Findings   []Finding    `json:"findings"`
}

// Touches says whether the proposal changes a line (from 1) of the base file at path, or inserts right before or
// after it. Line 0 asks about the file as a whole.
func (p *Proposed) Touches(path string, line int) bool {
	for _, f := range p.Files {
		if f.Path != path {
			continue
		}
		return line == 0 || slices.ContainsFunc(f.Touched, func(t LineRange) bool {
			if t.OldLines == 0 {
				return line == t.OldStart || line == t.OldStart+1
			}
			return t.OldStart <= line && line < t.OldStart+t.OldLines
		})
	}
	return false
}

// Propose applies p to baseCommit (full id) exactly: no fuzz, no offset. The result's objects stay in this Repo's
// memory, where Tar and Diff find them; nothing is written to the checkout.
func (r *Repo) Propose(baseCommit string, p *Patch) (*Proposed, error) {
	commit, err := r.Commit(baseCommit)
	if err != nil {
		return nil, err
	}
	result, _, err := r.result(plumbing.NewHash(commit.Tree), p)
	if err != nil {
		return nil, err
	}
	diff, files, err := r.Diff(commit.Tree, result.String())
	if err != nil {
		return nil, err
	}
	return &Proposed{
		BaseCommit: baseCommit, BaseTree: commit.Tree, ResultTree: result.String(), Diff: diff, Files: files, Findings: findings(files, diff),
	}, nil
}

// result builds the tree after p in memory and lists the objects made for it.
func (r *Repo) result(base plumbing.Hash, p *Patch) (plumbing.Hash, []plumbing.Hash, error) {
	e := &editor{objects: r.objects}
	edits := map[string]edit{}
	for i := range p.files {
		ed, err := r.editFile(e, base, &p.files[i])
		if err != nil {
			return base, nil, err
		}
		edits[p.files[i].path] = ed
	}
	tree, err := e.root(base, edits)
	if err != nil {
		return base, nil, err
	}
	if tree == base {
		return base, nil, fault.New(fault.InvalidInput, "diff leaves the tree as it is").ByRule(RulePaths).At("diff", base.String()).
			Hint("propose a change")
	}
	return tree, e.made, nil
}

// editFile applies one file's hunks to its base version.
func (r *Repo) editFile(e *editor, base plumbing.Hash, f *filePatch) (edit, error) {
	entry, there, err := r.lookup(base, f.path)
	if err != nil {
		return edit{}, err
	}
	if f.action == create {
		if there && entry.Mode != filemode.Dir { // a folder may be emptied by the same patch; rebuild sees
			return edit{}, f.fault("%q exists already in the base commit", f.path).Hint("modify the file instead: name it on both sides")
		}
		content, err := f.apply(nil)
		return edit{f.mode, e.put(plumbing.BlobObject, content)}, err
	}
	if !there {
		miss := f.fault("%q is not in the base commit", f.path)
		same, err := r.namesakes(base, f.path)
		if err == nil && len(same) > 0 {
			return edit{}, miss.At(miss.Field, f.path, same...).Hint("name the path from the repository's root")
		}
		return edit{}, miss.Hint("use /dev/null as the old name to create a file")
	}
	old, err := r.side(f.path, entry)
	if err != nil {
		return edit{}, err
	}
	content, err := f.apply(old.content)
	if err != nil {
		return edit{}, err
	}
	if f.action == remove {
		if len(content) > 0 {
			return edit{}, f.fault("deletion of %q leaves %d lines", f.path, bytes.Count(content, []byte("\n"))).
				Hint("remove every line of the base file, or modify the file instead")
		}
		return edit{}, nil
	}
	return edit{entry.Mode, e.put(plumbing.BlobObject, content)}, nil
}
