//go:build unix

package policy_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/policy"
)

// world is a folder with a policy file, and an account whose groups stand in files beside it.
type world struct {
	t       *testing.T
	dir     string
	account policy.Account
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	w := &world{t: t, dir: filepath.Join(dir, "conf"), account: policy.Self()}
	require.NoError(t, os.Mkdir(w.dir, 0o755))
	w.account.PasswdFile, w.account.GroupFile = filepath.Join(dir, "passwd"), filepath.Join(dir, "group")
	w.write(w.account.PasswdFile, "root:x:0:0::/root:/bin/sh\nme:x:"+itoa(os.Getuid())+":"+itoa(os.Getgid())+"::/:/bin/sh\nmallory:x:4242:4242::/:/bin/sh\n", 0o644)
	w.groups("root:x:0:\nme:x:" + itoa(os.Getgid()) + ":\n")
	w.write(w.path(), "read_only: false\n", 0o600)
	return w
}

func itoa(n int) string { return strconv.Itoa(n) }

func (w *world) path() string { return filepath.Join(w.dir, "policy.yaml") }

func (w *world) groups(text string) { w.write(w.account.GroupFile, text, 0o644) }

func (w *world) write(path, text string, mode os.FileMode) {
	w.t.Helper()
	require.NoError(w.t, os.WriteFile(path, []byte(text), mode))
	require.NoError(w.t, os.Chmod(path, mode))
}

func (w *world) chmod(path string, mode os.FileMode) {
	w.t.Helper()
	require.NoError(w.t, os.Chmod(path, mode))
}

func TestReadFileThatOthersCanChange(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(w *world) string // gives the path to read
		want string                // part of the refusal, empty = it is read
	}{
		"own file":             {func(w *world) string { return w.path() }, ""},
		"private group may":    {func(w *world) string { w.chmod(w.path(), 0o664); w.chmod(w.dir, 0o775); return w.path() }, ""},
		"everybody may write":  {func(w *world) string { w.chmod(w.path(), 0o666); return w.path() }, "written by everybody"},
		"folder of everybody":  {func(w *world) string { w.chmod(w.dir, 0o777); return w.path() }, "written by everybody"},
		"sticky folder of all": {func(w *world) string { w.chmod(w.dir, 0o777|os.ModeSticky); return w.path() }, ""},
		"group with a member": {func(w *world) string {
			w.groups("me:x:" + itoa(os.Getgid()) + ":mallory\n")
			w.chmod(w.path(), 0o664)
			return w.path()
		}, "mallory"},
		"group of two by passwd": {func(w *world) string {
			w.write(w.account.PasswdFile, "mallory:x:4242:"+itoa(os.Getgid())+"::/:/bin/sh\n", 0o644)
			w.chmod(w.path(), 0o660)
			return w.path()
		}, "mallory"},
		"folder of a group with a member": {func(w *world) string {
			w.groups("me:x:" + itoa(os.Getgid()) + ":mallory\n")
			w.chmod(w.dir, 0o775)
			return w.path()
		}, "mallory"},
		"group that nobody lists": {func(w *world) string {
			w.groups("other:x:77:\n")
			w.account.Groups = nil
			w.chmod(w.path(), 0o660)
			return w.path()
		}, "does not list"},
		"link to a good file": {func(w *world) string {
			link := filepath.Join(w.dir, "link.yaml")
			require.NoError(w.t, os.Symlink("policy.yaml", link))
			return link
		}, ""},
		"link through a folder of everybody": {func(w *world) string {
			loose := filepath.Join(filepath.Dir(w.dir), "loose")
			require.NoError(w.t, os.Mkdir(loose, 0o700))
			require.NoError(w.t, os.Symlink(w.path(), filepath.Join(loose, "hop")))
			require.NoError(w.t, os.Symlink("../loose/hop", filepath.Join(w.dir, "link.yaml")))
			w.chmod(loose, 0o777)
			return filepath.Join(w.dir, "link.yaml")
		}, "loose can be written by everybody"},
		"links in a circle": {func(w *world) string {
			require.NoError(w.t, os.Symlink("b", filepath.Join(w.dir, "a")))
			require.NoError(w.t, os.Symlink("a", filepath.Join(w.dir, "b")))
			return filepath.Join(w.dir, "a")
		}, "symbolic links"},
		"a folder": {func(w *world) string { return w.dir }, "no regular file"},
		"a pipe": {func(w *world) string {
			pipe := filepath.Join(w.dir, "pipe")
			require.NoError(w.t, syscall.Mkfifo(pipe, 0o600))
			return pipe
		}, "no regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			path := c.do(w)
			raw, err := w.account.ReadFile(path, "policy file")
			if c.want == "" {
				require.NoError(t, err)
				require.Equal(t, "read_only: false\n", string(raw))
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestReadFileOfAnotherAccount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.account.UID = os.Getuid() + 4242 // as if this process ran as somebody else
	if os.Getuid() != 0 {
		_, err := w.account.ReadFile(w.path(), "policy file")
		require.ErrorContains(t, err, "belongs to uid")
		return
	}
	_, err := w.account.ReadFile(w.path(), "policy file")
	require.NoError(t, err, "root may write it")
	require.NoError(t, os.Chown(w.path(), 4243, 4243))
	_, err = w.account.ReadFile(w.path(), "policy file")
	require.Equal(t, fault.Denied, fault.CodeOf(err))
	require.ErrorContains(t, err, "belongs to uid 4243")
}

func TestMissingIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.account.ReadFile(filepath.Join(w.dir, "none", "policy.yaml"), "policy file")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = w.account.ReadFile(filepath.Join(w.path(), "below"), "policy file")
	require.Error(t, err)
	require.NotErrorIs(t, err, fs.ErrNotExist, "a file where a folder should be is no missing policy")
}

func TestRoots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	system := filepath.Join(filepath.Dir(w.dir), "etc")
	r := policy.Roots{System: system, User: w.dir}
	require.Equal(t, w.path(), r.File("policy.yaml"))
	require.NoError(t, os.Mkdir(system, 0o755))
	require.Equal(t, w.path(), r.File("policy.yaml"), "a system folder without one")
	require.NoError(t, os.Symlink("gone", filepath.Join(system, "policy.yaml")))
	require.Equal(t, filepath.Join(system, "policy.yaml"), r.File("policy.yaml"), "a dangling link is the engineer's mistake, not the user's file")
}

// TestProtectedAsAnotherUser asks a process of another account, which root alone can start.
func TestProtectedAsAnotherUser(t *testing.T) {
	if dir := os.Getenv("SOTALOOP_TEST_ROOTS"); dir != "" {
		trust := policy.Roots{System: dir, User: filepath.Join(dir, "user")}.Judge(policy.Self())
		_, err := policy.Self().ReadFile(filepath.Join(dir, "policy.yaml"), "policy file")
		println("judged:", trust.Level(), len(trust.Why), err == nil) //nolint:forbidigo // the parent reads it
		return
	}
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root to become another user")
	}
	top, err := os.MkdirTemp("/var/lib", "sotaloop-test-*") // not below /tmp: whoever may write there is a matter of its own
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(top)) })
	require.NoError(t, os.Chmod(top, 0o755))
	for _, name := range policy.Files {
		require.NoError(t, os.WriteFile(filepath.Join(top, name), []byte("hosts:\n"), 0o644))
	}
	require.NoError(t, os.WriteFile(filepath.Join(top, "policy.yaml"), nil, 0o644))
	program := filepath.Join(top, "test")
	self, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(program, self, 0o755))
	judge := func(uid uint32) string {
		cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestProtectedAsAnotherUser$")
		cmd.Env, cmd.Dir = []string{"SOTALOOP_TEST_ROOTS=" + top}, "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	require.Contains(t, judge(0), "judged: unprotected 3 true", "root can write everything")
	require.Contains(t, judge(4242), "judged: protected 0 true")
	require.NoError(t, os.Chown(filepath.Join(top, "hosts.yaml"), 4242, 0))
	require.Contains(t, judge(4242), "judged: unprotected 1 true", "its own file")
	require.NoError(t, os.Chown(filepath.Join(top, "hosts.yaml"), 0, 4242))
	require.Contains(t, judge(4242), "judged: protected 0 true", "its group may only read")
	require.NoError(t, os.Chmod(filepath.Join(top, "hosts.yaml"), 0o664))
	require.Contains(t, judge(4242), "judged: unprotected 1 true")
	require.NoError(t, os.Chmod(filepath.Join(top, "hosts.yaml"), 0o644))
	require.NoError(t, os.Remove(filepath.Join(top, "allowed_signers")))
	require.Contains(t, judge(4242), "judged: unprotected 1 true", "a missing one is the user's to make")
	require.NoError(t, os.WriteFile(filepath.Join(top, "allowed_signers"), nil, 0o644))
	require.NoError(t, os.Chmod(top, 0o777))
	require.Contains(t, judge(4242), "judged: unprotected 3 false", "what a folder holds can be replaced by who writes the folder")
}
