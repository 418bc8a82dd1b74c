package gitops_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/stretchr/testify/require"
)

func meta() gitops.CommitMeta {
	return gitops.CommitMeta{
		Message: "Sum the batch in C\n\nFewer interpreter steps.", Trailers: [][2]string{{"Sotaloop-Proposal", "patch-1"}, {"Sotaloop-Approved-By", "eve@x"}},
		Author: gitops.Person{Name: "sotaloop", Email: "sotaloop@localhost"}, When: when(),
	}
}

func TestCreateBranch(t *testing.T) {
	t.Parallel()
	dir, base, r := fresh(t)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".git/hooks"), 0o700))
	for _, hook := range []string{"reference-transaction", "post-commit", "pre-commit", "update"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, ".git/hooks", hook), []byte("#!/bin/sh\ntouch "+filepath.Join(dir, "HOOKED")+"\nexit 1\n"), 0o700))
	}
	p := parse(t, goodDiff)
	proposed, err := r.Propose(base, p)
	require.NoError(t, err)
	before := files(t, dir)
	id, err := r.CreateBranch("sotaloop/20261123_x/patch-1", base, proposed.ResultTree, p, meta())
	require.NoError(t, err)
	after := files(t, dir)
	for path, text := range before {
		require.Equal(t, text, after[path], path)
	}
	for path := range after {
		_, old := before[path]
		require.True(t, old || strings.HasPrefix(path, "/.git/objects/") || path == "/.git/refs/heads/sotaloop/20261123_x/patch-1", path)
	}
	require.Equal(t, base, git(t, dir, nil, "rev-parse", id+"^"))
	require.Equal(t, "Sotaloop-Proposal: patch-1\nSotaloop-Approved-By: eve@x", git(t, dir, nil, "log", "-1", "--format=%(trailers)", id)[:len("Sotaloop-Proposal: patch-1\nSotaloop-Approved-By: eve@x")])
	require.Equal(t, "sotaloop <sotaloop@localhost> 1795428000", git(t, dir, nil, "log", "-1", "--format=%an <%ae> %at", id))

	later := meta()
	later.When = when().Add(time.Hour)
	again, err := r.CreateBranch("sotaloop/20261123_x/patch-1", base, proposed.ResultTree, p, later)
	require.NoError(t, err)
	require.Equal(t, id, again)
	git(t, dir, nil, "-c", "core.hooksPath=/dev/null", "pack-refs", "--all", "--prune")
	again, err = r.CreateBranch("sotaloop/20261123_x/patch-1", base, proposed.ResultTree, p, later)
	require.NoError(t, err, "also when git has packed the ref")
	require.Equal(t, id, again)

	later.Trailers = [][2]string{{"Sotaloop-Proposal", "patch-2"}}
	_, err = r.CreateBranch("sotaloop/20261123_x/patch-1", base, proposed.ResultTree, p, later)
	require.Equal(t, fault.Conflict, fault.CodeOf(err))
	_, err = r.CreateBranch("sotaloop/20261123_x/patch-2", base, proposed.BaseTree, p, meta())
	require.Equal(t, fault.Conflict, fault.CodeOf(err), "not the approved tree")
	require.NoFileExists(t, filepath.Join(dir, ".git/refs/heads/sotaloop/20261123_x/patch-2"))
}

func TestBranchNames(t *testing.T) {
	t.Parallel()
	dir, base, r := fresh(t)
	p := parse(t, goodDiff)
	proposed, err := r.Propose(base, p)
	require.NoError(t, err)
	for _, name := range []string{
		"main", "sotaloop", "sotaloop/x", "sotaloop/a/b/c", "sotaloop/../main", "sotaloop/../../HEAD", "sotaloop/a/..", "sotaloop/a/.x", "sotaloop/a/b.lock",
		"sotaloop/a.lock/b", "sotaloop/a/b.", "sotaloop/a/-b", "sotaloop/a/b c", "sotaloop/a/b\n", "refs/heads/sotaloop/a/b", "sotaloop/a/b..c", "sotaloop/a/@{b}", "",
	} {
		_, err := r.CreateBranch(name, base, proposed.ResultTree, p, meta())
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), name)
	}
	git(t, dir, nil, "branch", "sotaloop")
	_, err = r.CreateBranch("sotaloop/a/b", base, proposed.ResultTree, p, meta())
	require.Equal(t, fault.Conflict, fault.CodeOf(err))
	git(t, dir, nil, "branch", "-m", "sotaloop", "sotaloop/a/b/c")
	git(t, dir, nil, "pack-refs", "--all")
	_, err = r.CreateBranch("sotaloop/a/b", base, proposed.ResultTree, p, meta())
	require.Equal(t, fault.Conflict, fault.CodeOf(err))
	git(t, dir, nil, "branch", "-D", "sotaloop/a/b/c")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".git/refs/heads/sotaloop/a/b"), 0o700))
	_, err = r.CreateBranch("sotaloop/a/b", base, proposed.ResultTree, p, meta())
	require.NoError(t, err, "an empty folder left by a deleted branch")

	require.NoError(t, os.WriteFile(filepath.Join(dir, ".git/refs/heads/sotaloop/a/d.lock"), nil, 0o600))
	_, err = r.CreateBranch("sotaloop/a/d", base, proposed.ResultTree, p, meta())
	require.Equal(t, fault.Busy, fault.CodeOf(err))
	git(t, dir, nil, "worktree", "add", "-q", "--detach", filepath.Join(t.TempDir(), "wt"))
	git(t, dir, nil, "symbolic-ref", "HEAD", "refs/heads/sotaloop/a/e")
	_, err = r.CreateBranch("sotaloop/a/e", base, proposed.ResultTree, p, meta())
	require.Equal(t, fault.Conflict, fault.CodeOf(err), "would move HEAD")
}

// A link below refs must not lead our write out of the repository.
func TestBranchStaysInside(t *testing.T) {
	t.Parallel()
	dir, base, r := fresh(t)
	p := parse(t, goodDiff)
	proposed, err := r.Propose(base, p)
	require.NoError(t, err)
	outside := t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, ".git/refs/heads/sotaloop")))
	_, err = r.CreateBranch("sotaloop/a/b", base, proposed.ResultTree, p, meta())
	require.Error(t, err)
	require.Empty(t, files(t, outside))
}

func TestRacingBranches(t *testing.T) {
	t.Parallel()
	dir, base, r := fresh(t)
	p := parse(t, goodDiff)
	proposed, err := r.Propose(base, p)
	require.NoError(t, err)
	var wg sync.WaitGroup
	ids, errs := make([]string, 8), make([]error, 8)
	for i := range ids {
		wg.Go(func() {
			own, err := gitops.Open(dir)
			if err != nil {
				errs[i] = err
				return
			}
			m := meta()
			m.When = m.When.Add(time.Duration(i) * time.Second)
			ids[i], errs[i] = own.CreateBranch("sotaloop/a/b", base, proposed.ResultTree, p, m)
		})
	}
	wg.Wait()
	want := git(t, dir, nil, "rev-parse", "sotaloop/a/b")
	for i := range ids {
		if errs[i] != nil {
			require.Equal(t, fault.Busy, fault.CodeOf(errs[i]), "%v", errs[i])
			continue
		}
		require.Equal(t, want, ids[i])
	}
}

func TestCommitMetaRefuses(t *testing.T) {
	t.Parallel()
	_, base, r := fresh(t)
	p := parse(t, goodDiff)
	proposed, err := r.Propose(base, p)
	require.NoError(t, err)
	for name, spoil := range map[string]func(*gitops.CommitMeta){
		"no message":      func(m *gitops.CommitMeta) { m.Message = " \n" },
		"forged trailer":  func(m *gitops.CommitMeta) { m.Message = "x\n\nsotaloop-approved-BY: root" },
		"trailer newline": func(m *gitops.CommitMeta) { m.Trailers = [][2]string{{"A", "b\nC: d"}} },
		"trailer key":     func(m *gitops.CommitMeta) { m.Trailers = [][2]string{{"A b", "c"}} },
		"author":          func(m *gitops.CommitMeta) { m.Author.Name = "x> 0 +0000\nparent" },
		"no address":      func(m *gitops.CommitMeta) { m.Author.Email = "" },
	} {
		m := meta()
		spoil(&m)
		_, err := r.CreateBranch("sotaloop/a/b", base, proposed.ResultTree, p, m)
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), name)
	}
}
