//go:build unix

package policy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// maxLinks bounds how many symbolic links a path may lead through.
const maxLinks = 40

// maxRoot bounds a file that decides, in bytes.
const maxRoot = 4 << 20

// Account is who a process runs as, and what the machine says of its groups.
type Account struct {
	UID                   int
	Groups                []int  // all of them, the primary one included
	PasswdFile, GroupFile string // as /etc/passwd and /etc/group
}

// Self is this process's account.
func Self() Account {
	groups, _ := os.Getgroups()
	return Account{UID: os.Geteuid(), Groups: append(groups, os.Getegid()), PasswdFile: "/etc/passwd", GroupFile: "/etc/group"}
}

// step is one thing on the way to a file: a folder, a symbolic link, at last the file.
type step struct {
	path string
	info fs.FileInfo
}

func (s step) owner() int { return int(s.info.Sys().(*syscall.Stat_t).Uid) }
func (s step) group() int { return int(s.info.Sys().(*syscall.Stat_t).Gid) }

// walk follows a path from the root of the file system, link by link. The last step is the file; a missing one ends the
// walk with an error that is fs.ErrNotExist, and the steps before it.
func walk(path string) ([]step, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	rest, at, links := strings.Split(abs[1:], "/"), "/", 0
	root, err := os.Lstat("/")
	if err != nil {
		return nil, err
	}
	steps := []step{{"/", root}}
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		here := filepath.Join(at, name)
		info, err := os.Lstat(here)
		if err != nil {
			return steps, err
		}
		steps = append(steps, step{here, info})
		if info.Mode().Type() != fs.ModeSymlink {
			at = here
			continue
		}
		if links++; links > maxLinks {
			return steps, fmt.Errorf("%s: more than %d symbolic links", path, maxLinks)
		}
		target, err := os.Readlink(here)
		if err != nil {
			return steps, err
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return steps, nil
}

// ReadFile reads a file that decides. It is refused where anybody but root and this account could change it, by its own
// permissions, those of a folder above it, or those of a symbolic link on the way. what names the file in messages.
func (a Account) ReadFile(path, what string) ([]byte, error) {
	steps, err := walk(path)
	if err != nil {
		if missing(err) {
			return nil, err
		}
		return nil, fault.Wrap(fault.InvalidInput, err, "cannot read the %s", what).At(path, path)
	}
	for _, s := range steps {
		if wrong, fix := a.judge(s); wrong != "" {
			return nil, fault.New(fault.Denied, "the %s %s is not trusted: %s", what, path, wrong).
				At(path, fmt.Sprintf("%04o", s.info.Mode().Perm()), "writable by root and this account only").Hint("%s", fix)
		}
	}
	file := steps[len(steps)-1]
	if !file.info.Mode().IsRegular() {
		return nil, fault.New(fault.InvalidInput, "the %s %s is no regular file", what, path).At(path, file.info.Mode().Type().String())
	}
	f, err := os.OpenFile(file.path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "cannot read the %s", what).At(path, path)
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil || !os.SameFile(opened, file.info) {
		return nil, fault.New(fault.Denied, "the %s %s was replaced while it was read", what, path).Hint("try again, and look who writes there")
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxRoot+1))
	if err == nil && len(raw) > maxRoot {
		err = errors.New("it is larger than 4 MiB")
	}
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "cannot read the %s", what).At(path, path)
	}
	return raw, nil
}

// judge says who else could change what a step stands for, and what would end that; "" = nobody.
func (a Account) judge(s step) (wrong, fix string) {
	if owner := s.owner(); owner != 0 && owner != a.UID && !(s.info.IsDir() && unmapped(owner)) {
		return fmt.Sprintf("%s belongs to uid %d, neither root nor this account", s.path, owner), "chown it to root or to this account, or move the file"
	}
	if s.info.Mode().Type() == fs.ModeSymlink {
		return "", ""
	}
	mode := s.info.Mode()
	sticky := s.info.IsDir() && mode&fs.ModeSticky != 0 // nobody replaces what others own in it
	if mode.Perm()&0o002 != 0 && !sticky {
		return fmt.Sprintf("%s can be written by everybody (mode %04o)", s.path, mode.Perm()), "chmod o-w " + s.path
	}
	if mode.Perm()&0o020 != 0 && !sticky {
		if others := a.others(s.group()); others != "" {
			return fmt.Sprintf("%s can be written by group %d, %s (mode %04o)", s.path, s.group(), others, mode.Perm()), "chmod g-w " + s.path
		}
	}
	if more := writersOfACL(s.path); more != "" && !sticky {
		return fmt.Sprintf("%s can be written by %s (access control list)", s.path, more), "setfacl -b " + s.path
	}
	return "", ""
}

// others says who besides root and this account is in a group, "" = nobody. A user's own private group is honest.
func (a Account) others(gid int) string {
	group, err := os.ReadFile(a.GroupFile)
	if err != nil {
		return "whose members cannot be looked up"
	}
	users := readUsers(a.PasswdFile)
	found := false
	for _, f := range records(group, 4) {
		if f[2] != fmt.Sprint(gid) {
			continue
		}
		found = true
		for _, member := range strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' }) {
			if uid, known := users.uid[member]; !known || (uid != 0 && uid != a.UID) {
				return fmt.Sprintf("in which %s is", member)
			}
		}
	}
	for name, primary := range users.primary {
		if uid := users.uid[name]; primary == gid && uid != 0 && uid != a.UID {
			return fmt.Sprintf("which is the group of %s", name)
		}
	}
	if !found && !(gid == a.UID && slices.Contains(a.Groups, gid)) { // of a directory service: private by its number only
		return "whose members this machine does not list"
	}
	return ""
}

// users is what a passwd file says.
type users struct{ uid, primary map[string]int }

func readUsers(path string) users {
	u := users{map[string]int{}, map[string]int{}}
	raw, err := os.ReadFile(path)
	if err != nil {
		return u
	}
	for _, f := range records(raw, 4) {
		var uid, gid int
		if _, err := fmt.Sscanf(f[2]+" "+f[3], "%d %d", &uid, &gid); err == nil {
			u.uid[f[0]], u.primary[f[0]] = uid, gid
		}
	}
	return u
}

// records splits a colon-separated file into lines of at least n fields.
func records(raw []byte, n int) [][]string {
	var out [][]string
	for line := range strings.Lines(string(raw)) {
		if f := strings.Split(strings.TrimRight(line, "\r\n"), ":"); len(f) >= n && !strings.HasPrefix(f[0], "#") {
			out = append(out, f)
		}
	}
	return out
}

// Exposed says why the account could change the file at path, or put another in its place; "" = it could not.
func (a Account) Exposed(path string) string {
	if a.UID == 0 {
		return "the server runs as root, which can write " + path
	}
	steps, err := walk(path)
	for _, s := range steps {
		if why := a.writes(s); why != "" {
			return why
		}
	}
	if err != nil {
		return fmt.Sprintf("%s is not there or cannot be looked at", path)
	}
	return ""
}

// writes says by what the account may write a step, "" = it may not.
func (a Account) writes(s step) string {
	mode := s.info.Mode()
	switch {
	case s.owner() == a.UID:
		return s.path + " belongs to the server's account"
	case mode.Type() == fs.ModeSymlink: // whoever may write its folder may replace it
		return ""
	case mode.Perm()&0o002 != 0:
		return s.path + " can be written by everybody"
	case mode.Perm()&0o020 != 0 && slices.Contains(a.Groups, s.group()):
		return fmt.Sprintf("%s can be written by group %d, which the server's account is in", s.path, s.group())
	}
	if more := writersOfACL(s.path); more != "" {
		return fmt.Sprintf("%s can be written by %s (access control list)", s.path, more)
	}
	return ""
}
