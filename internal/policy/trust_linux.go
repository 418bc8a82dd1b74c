package policy

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Of the kernel's POSIX access control lists (linux/posix_acl_xattr.h): a version, then entries of tag, permissions and id.
const (
	aclAttribute = "system.posix_acl_access"
	aclHeader    = 4
	aclEntry     = 8
	aclUser      = 0x02
	aclGroup     = 0x08
	aclMask      = 0x10
	aclWrite     = 0x02
)

// writersOfACL names users and groups to whom an access control list gives writing, "" = there are none.
func writersOfACL(path string) string {
	raw := make([]byte, 4096)
	n, err := syscall.Getxattr(path, aclAttribute, raw)
	if err != nil || n < aclHeader {
		return ""
	}
	raw = raw[aclHeader:n]
	mask := uint16(aclWrite)
	var named []string
	for ; len(raw) >= aclEntry; raw = raw[aclEntry:] {
		tag, perm, id := binary.LittleEndian.Uint16(raw), binary.LittleEndian.Uint16(raw[2:]), binary.LittleEndian.Uint32(raw[4:])
		switch {
		case tag == aclMask:
			mask = perm
		case tag == aclUser && perm&aclWrite != 0 && id != 0:
			named = append(named, fmt.Sprintf("uid %d", id))
		case tag == aclGroup && perm&aclWrite != 0:
			named = append(named, fmt.Sprintf("group %d", id))
		}
	}
	if mask&aclWrite == 0 {
		return ""
	}
	return strings.Join(named, ", ")
}

// unmapped says whether a uid stands for accounts outside of this user namespace, as root's folders show in a rootless
// container: nobody inside can be one of them.
func unmapped(uid int) bool {
	over, err := os.ReadFile("/proc/sys/kernel/overflowuid")
	if err != nil || strings.TrimSpace(string(over)) != strconv.Itoa(uid) {
		return false
	}
	outer, err := os.ReadFile("/proc/self/uid_map")
	f := strings.Fields(string(outer))
	return err == nil && !(len(f) == 3 && f[0] == "0" && f[2] == "4294967295")
}
