package worker

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
)

const stateListen = "0A"

// parseListeners reads /proc/net/tcp or tcp6 and gives the inodes of sockets listening on port.
func parseListeners(table string, port int) []string {
	var inodes []string
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != stateListen {
			continue
		}
		_, hex, ok := strings.Cut(f[1], ":")
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(hex, 16, 32); err == nil && int(n) == port {
			inodes = append(inodes, f[9])
		}
	}
	return inodes
}

func listeners(port int) []string {
	var inodes []string
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		raw, _ := os.ReadFile(path)
		inodes = append(inodes, parseListeners(string(raw), port)...)
	}
	return inodes
}

// sockets gives the inodes of a process's sockets; none where its descriptors are hidden from us.
func sockets(pid int) map[string]bool {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer func() { _ = d.Close() }()
	names, _ := d.Readdirnames(-1)
	found := map[string]bool{}
	for _, n := range names {
		link, err := os.Readlink(dir + "/" + n)
		if inode, ok := strings.CutPrefix(link, "socket:["); err == nil && ok {
			found[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return found
}

// checkOwner says what is wrong with who listens on port: nothing where every listening socket is a member's.
func checkOwner(port int, members []procStat) string {
	inodes := listeners(port)
	if len(inodes) == 0 {
		return fmt.Sprintf("nobody listens on port %d", port)
	}
	for _, s := range members {
		held := sockets(s.pid)
		inodes = slices.DeleteFunc(inodes, func(i string) bool { return held[i] })
	}
	if len(inodes) == 0 {
		return ""
	}
	return fmt.Sprintf("port %d is listened on by %s, which this run did not start", port, ownerOf(inodes[0]))
}

// ownerOf names the process that holds a socket.
func ownerOf(inode string) string {
	boot := bootID()
	for pid, s := range readProcs() {
		if sockets(pid)[inode] {
			return procOf(s, boot).name()
		}
	}
	return "a process of another account"
}

// portHolder names who listens on port, empty where nobody does.
func portHolder(port int) string {
	if inodes := listeners(port); len(inodes) > 0 {
		return ownerOf(inodes[0])
	}
	return ""
}

var errNoPort = errors.New("no free port on 127.0.0.1")

// freePort finds a random port on 127.0.0.1 that is free, and port+offset too where offset is given. It looks below the
// range that the kernel takes outgoing ports from, since minutes pass until the engine listens.
func freePort(offset int) (int, error) {
	lo, hi := 20000, ephemeralFrom()
	if hi-lo < 1000 {
		lo, hi = 20000, 60000
	}
	for range 200 {
		var b [8]byte
		if _, err := rand.Read(b[:]); err != nil {
			return 0, err
		}
		port := lo + int(binary.BigEndian.Uint64(b[:])%uint64(hi-lo-max(0, offset)))
		if isFree(port) && (offset == 0 || isFree(port+offset)) {
			return port, nil
		}
	}
	return 0, errNoPort
}

func ephemeralFrom() int {
	raw, _ := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	f := strings.Fields(string(raw))
	if len(f) != 2 {
		return 32768
	}
	n, err := strconv.Atoi(f[0])
	if err != nil {
		return 32768
	}
	return n
}

// isFree says whether a port can be listened on, on loopback and on every address.
func isFree(port int) bool {
	for _, host := range []string{"127.0.0.1", ""} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
