package gitops

import (
	"errors"
	"os"
	"regexp"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// branchName is what CreateBranch accepts: sotaloop/<campaign>/<proposal>.
var branchName = regexp.MustCompile(`^sotaloop/[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$`)

func checkBranchName(name string) error {
	bad := !branchName.MatchString(name) || strings.Contains(name, "..")
	for part := range strings.SplitSeq(name, "/") {
		bad = bad || strings.HasSuffix(part, ".lock") || strings.HasSuffix(part, ".")
	}
	if bad {
		return fault.New(fault.InvalidInput, "branch %q is not one of ours", name).At("branch", name, BranchPrefix+"<campaign>/<proposal>")
	}
	return nil
}

// CreateBranch writes the branch name (sotaloop/<campaign>/<proposal>) with one commit on base, whose tree must come
// out as wantTree, and gives the commit's id. Only loose objects and the ref are written, the ref last and only if it
// does not exist. Repeating the call gives the commit that is there; a branch that holds anything else is a conflict.
func (r *Repo) CreateBranch(name, base, wantTree string, p *Patch, meta CommitMeta) (string, error) {
	if err := checkBranchName(name); err != nil {
		return "", err
	}
	parent, err := r.Commit(base)
	if err != nil {
		return "", err
	}
	tree, made, err := r.result(plumbing.NewHash(parent.Tree), p)
	if err != nil {
		return "", err
	}
	if tree.String() != wantTree {
		return "", fault.New(fault.Conflict, "patch gives tree %s, approved was %s", tree, wantTree).At("result_tree", tree.String(), wantTree).
			Hint("apply the patch that was approved, on the base that was approved")
	}
	text, err := meta.encode(tree, plumbing.NewHash(base))
	if err != nil {
		return "", err
	}
	commit := r.objects.put(plumbing.CommitObject, text)
	if there, err := r.sameBranch(name, commit); there != "" || err != nil {
		return there, err
	}
	if err := r.objects.store(append(made, commit)); err != nil {
		return "", err
	}
	err = r.createRef("refs/heads/"+name, commit)
	if errors.Is(err, os.ErrExist) { // someone was faster; ours, perhaps
		there, err := r.sameBranch(name, commit)
		if there != "" || err != nil {
			return there, err
		}
	}
	return commit.String(), err
}

// sameBranch gives the commit of an existing branch that says the same as commit (which is in memory); empty when
// there is no such branch. Time and author may differ: a repetition has its own clock.
func (r *Repo) sameBranch(name string, commit plumbing.Hash) (string, error) {
	id, err := r.follow(plumbing.ReferenceName("refs/heads/" + name))
	if err != nil {
		if fault.CodeOf(err) == fault.NotFound {
			return "", nil
		}
		return "", err
	}
	have, err := r.objects.commit(id)
	if err != nil {
		return "", err
	}
	want, err := r.objects.commit(commit)
	if err != nil {
		return "", err
	}
	sameParent := len(have.ParentHashes) == 1 && have.ParentHashes[0] == want.ParentHashes[0]
	if sameParent && have.TreeHash == want.TreeHash && have.Message == want.Message {
		return id.String(), nil
	}
	return "", fault.New(fault.Conflict, "branch %q exists with other content: commit %s", name, id).At("branch", id.String()).
		Hint("rename or delete the branch in the checkout, if it is yours: git branch -m %s NEW", name)
}
