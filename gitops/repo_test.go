package gitops_test

import (
	"compress/zlib"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/stretchr/testify/require"
)

func TestCreatedRepositoryIsCleanForGit(t *testing.T) {
	t.Parallel()
	dir, commit, r := fresh(t)
	head, err := r.Head()
	require.NoError(t, err)
	require.Equal(t, gitops.Head{Commit: commit, Branch: "main"}, head)
	require.Equal(t, commit, git(t, dir, nil, "rev-parse", "HEAD"))
	require.Empty(t, git(t, dir, nil, "status", "--porcelain"))
	require.Empty(t, git(t, dir, nil, "fsck", "--strict"))

	again, err := gitops.Create(filepath.Join(t.TempDir(), "x"), baseFiles(), "first", when())
	require.NoError(t, err)
	require.Equal(t, commit, again)
	_, err = gitops.Create(dir, baseFiles(), "first", when())
	require.Equal(t, fault.Conflict, fault.CodeOf(err))
	for _, bad := range []string{"../x", "/x", "a/../../x", ".git/config", ".GIT/hooks/x", "a//b"} {
		_, err = gitops.Create(filepath.Join(t.TempDir(), "x"), map[string][]byte{bad: nil}, "m", when())
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), bad)
	}
}

func TestReadsFiles(t *testing.T) {
	t.Parallel()
	dir, commit, r := fresh(t)
	c, err := r.Commit(commit)
	require.NoError(t, err)
	require.Equal(t, "first\n", c.Message)
	require.True(t, when().Equal(c.When))
	require.Equal(t, git(t, dir, nil, "rev-parse", "HEAD^{tree}"), c.Tree)
	for _, at := range []string{commit, c.Tree} {
		text, err := r.Blob(at, "docs/übersicht.md")
		require.NoError(t, err)
		require.Equal(t, "eins\nzwei\n", string(text))
	}
	f, err := r.File(commit, "LICENSE")
	require.NoError(t, err)
	require.Equal(t, "100644", f.Mode)
	require.Equal(t, git(t, dir, nil, "rev-parse", "HEAD:LICENSE"), f.Blob)
	require.Equal(t, int64(5), f.SizeBytes)
	for path, want := range map[string]bool{"LICENSE": true, "docs": false, "nope": false, "LICENSE/x": false, "": false, "../LICENSE": false} {
		got, err := r.FileExists(commit, path)
		require.NoError(t, err, path)
		require.Equal(t, want, got, path)
	}
	_, err = r.FileExists(strings.Repeat("0", 40), "LICENSE")
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	for _, id := range []string{"", "HEAD", commit[:12], strings.ToUpper(commit), commit + "0", "--upload-pack=x"} {
		_, err := r.Blob(id, "LICENSE")
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), id)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	dir, commit, _ := fresh(t)
	git(t, dir, nil, "tag", "light")
	git(t, dir, nil, "tag", "-a", "-m", "x", "v1.0")
	git(t, dir, nil, "tag", "-a", "-m", "x", "twice", "v1.0")
	git(t, dir, nil, "branch", "topic/a")
	git(t, dir, nil, "pack-refs", "--all")
	git(t, dir, nil, "checkout", "-q", "--detach")
	r, err := gitops.Open(dir)
	require.NoError(t, err)
	for _, rev := range []string{"HEAD", "main", "topic/a", "light", "v1.0", "twice", commit} {
		got, err := r.Resolve(rev)
		require.NoError(t, err, rev)
		require.Equal(t, commit, got, rev)
	}
	head, err := r.Head()
	require.NoError(t, err)
	require.Equal(t, gitops.Head{Commit: commit}, head)
	for rev, code := range map[string]fault.Code{
		"nope": fault.NotFound, commit[:10]: fault.NotFound, "HEAD~1": fault.InvalidInput, "main@{0}": fault.InvalidInput, "-x": fault.InvalidInput,
		"../../etc/passwd": fault.InvalidInput, "a/../b": fault.InvalidInput, "": fault.InvalidInput,
	} {
		_, err := r.Resolve(rev)
		require.Equal(t, code, fault.CodeOf(err), rev)
	}
}

// Every way in which an engineer may keep a checkout reads and takes a branch like a plain one.
func TestShapesOfCheckouts(t *testing.T) {
	t.Parallel()
	shapes := map[string]func(t *testing.T, origin, dir string){
		"packed": func(t *testing.T, origin, dir string) {
			git(t, origin, nil, "clone", "-q", "--no-local", origin, dir)
			git(t, dir, nil, "gc", "-q", "--aggressive")
			git(t, dir, nil, "pack-refs", "--all")
		},
		"linked worktree": func(t *testing.T, origin, dir string) {
			git(t, origin, nil, "worktree", "add", "-q", dir, "-b", "side")
		},
		"sparse": func(t *testing.T, origin, dir string) {
			git(t, origin, nil, "clone", "-q", "--sparse", origin, dir)
			git(t, dir, nil, "sparse-checkout", "set", "docs")
		},
		"sparse linked worktree": func(t *testing.T, origin, dir string) {
			git(t, origin, nil, "worktree", "add", "-q", dir, "-b", "side")
			git(t, dir, nil, "sparse-checkout", "set", "docs")
		},
		"shared objects": func(t *testing.T, origin, dir string) { git(t, origin, nil, "clone", "-q", "--shared", origin, dir) },
		"relative alternates, two deep": func(t *testing.T, origin, dir string) {
			middle := filepath.Join(filepath.Dir(dir), "middle")
			git(t, origin, nil, "clone", "-q", "--shared", origin, middle)
			git(t, origin, nil, "clone", "-q", "--shared", middle, dir)
			require.NoError(t, os.WriteFile(filepath.Join(dir, ".git/objects/info/alternates"), []byte("../../../middle/.git/objects\n"), 0o600))
		},
		"alternate of another name": func(t *testing.T, origin, dir string) {
			git(t, origin, nil, "clone", "-q", "--shared", origin, dir)
			pool := filepath.Join(filepath.Dir(dir), "pool")
			require.NoError(t, os.CopyFS(pool, os.DirFS(filepath.Join(origin, ".git/objects"))))
			require.NoError(t, os.WriteFile(filepath.Join(dir, ".git/objects/info/alternates"), []byte("# pool\n"+pool+"\n"), 0o600))
		},
		"bare": func(t *testing.T, origin, dir string) { git(t, origin, nil, "clone", "-q", "--bare", origin, dir) },
		"shallow": func(t *testing.T, origin, dir string) {
			git(t, origin, nil, "clone", "-q", "--depth=1", "file://"+origin, dir)
		},
		"separate git dir": func(t *testing.T, origin, dir string) {
			git(t, origin, nil, "clone", "-q", "--separate-git-dir", dir+".store", origin, dir)
		},
		"dirty": func(t *testing.T, origin, dir string) {
			git(t, origin, nil, "clone", "-q", origin, dir)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "LICENSE"), []byte("edited\n"), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "docs/new.md"), nil, 0o600))
			git(t, dir, nil, "add", "docs/new.md")
		},
	}
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			origin, first, _ := fresh(t)
			require.NoError(t, os.WriteFile(filepath.Join(origin, "second"), []byte("2\n"), 0o600))
			git(t, origin, nil, "add", "second")
			git(t, origin, nil, "commit", "-q", "-m", "second")
			base := git(t, origin, nil, "rev-parse", "HEAD")
			dir := filepath.Join(t.TempDir(), "clone")
			shape(t, origin, dir)
			status := func() string {
				if name == "bare" {
					return ""
				}
				return git(t, dir, nil, "status", "--porcelain")
			}
			before := status()
			r, err := gitops.Open(dir)
			require.NoError(t, err)
			head, err := r.Head()
			require.NoError(t, err)
			require.Equal(t, base, head.Commit)
			text, err := r.Blob(base, "LICENSE")
			require.NoError(t, err)
			require.Equal(t, "free\n", string(text))
			root, err := r.RootCommit(base)
			require.NoError(t, err)
			if name == "shallow" {
				require.Equal(t, gitops.Root{Commit: base, Shallow: true}, root)
			} else {
				require.Equal(t, gitops.Root{Commit: first}, root)
			}
			p := parse(t, goodDiff)
			proposed, err := r.Propose(base, p)
			require.NoError(t, err)
			commit, err := r.CreateBranch("sotaloop/c/patch-1", base, proposed.ResultTree, p, meta())
			require.NoError(t, err)
			require.Equal(t, commit, git(t, dir, nil, "rev-parse", "refs/heads/sotaloop/c/patch-1"))
			require.Equal(t, string(proposed.Diff), git(t, dir, nil, "diff", "--full-index", "--no-color", base, commit)+"\n", "git's own diff")
			require.Equal(t, before, status())
			require.Equal(t, base, git(t, dir, nil, "rev-parse", "HEAD"))
			require.NotContains(t, git(t, dir, nil, "fsck", "--strict"), "error")
		})
	}
}

func TestRefusedRepositories(t *testing.T) {
	t.Parallel()
	dir, _, _ := fresh(t)
	_, err := gitops.Open(filepath.Join(dir, "docs"))
	f, ok := fault.As(err)
	require.True(t, ok)
	require.Equal(t, fault.NotFound, f.Code)
	require.Contains(t, f.Hints[0], dir)
	_, err = gitops.Open(filepath.Join(dir, "absent"))
	require.Equal(t, fault.NotFound, fault.CodeOf(err))

	for config, want := range map[string]string{
		"[extensions]\n\tobjectFormat = sha256\n":       "sha256",
		"[Extensions] refStorage=reftable # new\n":      "reftable",
		"[extensions]\n\tteleport = true\n":             "teleport",
		"[a]\nx=1\n[extensions]\n objectformat = \"z\"": `\"z\"`,
	} {
		dir, _, _ := fresh(t)
		require.NoError(t, os.WriteFile(filepath.Join(dir, ".git/config"), []byte(config), 0o600))
		_, err := gitops.Open(dir)
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), config)
		require.Contains(t, err.Error(), strings.ReplaceAll(want, `\`, ""), config)
	}
	dir, _, _ = fresh(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, ".git/objects/info/alternates"), []byte("/no/such/objects\n"), 0o600))
	_, err = gitops.Open(dir)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}

// A loose file whose content does not hash to its name is what git itself would read without a word.
func TestForgedObjectIsRefused(t *testing.T) {
	t.Parallel()
	dir, commit, r := fresh(t)
	f, err := r.File(commit, "LICENSE")
	require.NoError(t, err)
	path := filepath.Join(dir, ".git/objects", f.Blob[:2], f.Blob[2:])
	require.NoError(t, os.Remove(path))
	out, err := os.Create(path)
	require.NoError(t, err)
	z := zlib.NewWriter(out)
	_, err = fmt.Fprintf(z, "blob 5\x00evil\n")
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, out.Close())
	require.Equal(t, "evil", git(t, dir, nil, "cat-file", "blob", f.Blob))
	r, err = gitops.Open(dir)
	require.NoError(t, err)
	_, err = r.Blob(commit, "LICENSE")
	require.Equal(t, fault.Corrupt, fault.CodeOf(err))
}

// Objects that arrive, or move into a pack, while a Repo is open are found.
func TestSeesRepackAndFetch(t *testing.T) {
	t.Parallel()
	dir, commit, r := fresh(t)
	_, err := r.Blob(commit, "LICENSE")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "new"), []byte("n\n"), 0o600))
	git(t, dir, nil, "add", "new")
	git(t, dir, nil, "commit", "-q", "-m", "n")
	git(t, dir, nil, "gc", "-q")
	text, err := r.Blob(git(t, dir, nil, "rev-parse", "HEAD"), "new")
	require.NoError(t, err)
	require.Equal(t, "n\n", string(text))
	git(t, dir, nil, "repack", "-q", "-a", "-d", "-f", "--window=2")
	_, err = r.Blob(commit, "docs/two words.md")
	require.NoError(t, err)
}

// go-git opens a pack a second time, by another name, for objects that it does not want to keep in memory.
func TestReadsLargeObjectsFromPacks(t *testing.T) {
	t.Parallel()
	dir, _, _ := fresh(t)
	var large strings.Builder
	for i := range 9000 {
		fmt.Fprintf(&large, "line %d\n", i*i)
	}
	writeFile(t, filepath.Join(dir, "large.py"), large.String())
	git(t, dir, nil, "add", "large.py")
	git(t, dir, nil, "commit", "-q", "-m", strings.Repeat("long ", 9000))
	base := git(t, dir, nil, "rev-parse", "HEAD")
	git(t, dir, nil, "gc", "-q")
	shared := filepath.Join(t.TempDir(), "shared")
	git(t, dir, nil, "clone", "-q", "--shared", dir, shared)
	for _, at := range []string{dir, shared} {
		r, err := gitops.Open(at)
		require.NoError(t, err)
		p := parse(t, "--- a/large.py\n+++ b/large.py\n@@ -9000 +9000 @@\n-line 80982001\n+line 0\n")
		got, err := r.Propose(base, p)
		require.NoError(t, err)
		_, err = r.CreateBranch("sotaloop/c/large", base, got.ResultTree, p, meta())
		require.NoError(t, err)
		require.Equal(t, string(got.Diff), git(t, at, nil, "diff", "--full-index", base, "sotaloop/c/large")+"\n")
	}
}
