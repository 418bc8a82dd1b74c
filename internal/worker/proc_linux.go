package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// userHz is the unit of times in /proc/*/stat; Linux fixes it at 100 for user space on every architecture we build for.
const userHz = 100

// procStat is what /proc/PID/stat tells.
type procStat struct {
	pid, ppid, pgid, session int
	state                    byte
	start                    uint64 // ticks since boot
	cpu                      uint64 // ticks: user and system
	reaped                   uint64 // ticks of children that were waited for
	rssPages                 int64
}

// errNoProc says that a process is gone, or hidden.
var errNoProc = errors.New("no such process")

// parseProcStat reads a line of /proc/PID/stat. The command name may hold spaces and parentheses, so fields count from
// the last closing one.
func parseProcStat(line string) (procStat, error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 1 || end < open {
		return procStat{}, fmt.Errorf("stat line without a name: %q", cleanLine(line, 80))
	}
	f := strings.Fields(line[end+1:])
	if len(f) < 22 {
		return procStat{}, fmt.Errorf("stat line with %d fields", len(f))
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line[:open]))
	if err != nil {
		return procStat{}, fmt.Errorf("stat line without a pid: %w", err)
	}
	n := func(field int) uint64 { v, _ := strconv.ParseUint(f[field-3], 10, 64); return v }
	i := func(field int) int { v, _ := strconv.Atoi(f[field-3]); return v }
	s := procStat{
		pid: pid, state: f[0][0], ppid: i(4), pgid: i(5), session: i(6), start: n(22),
		cpu: n(14) + n(15), reaped: n(16) + n(17), rssPages: int64(i(24)),
	}
	return s, nil
}

func readProc(pid int) (procStat, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procStat{}, errNoProc
	}
	return parseProcStat(string(raw))
}

// readProcs gives every process that this account can see, by pid.
func readProcs() map[int]procStat {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1)
	all := make(map[int]procStat, len(names))
	for _, name := range names {
		if name[0] < '0' || name[0] > '9' {
			continue
		}
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if s, err := readProc(pid); err == nil {
			all[pid] = s
		}
	}
	return all
}

// descendants gives root's descendants, root itself excluded.
func descendants(all map[int]procStat, root int) []procStat {
	children := make(map[int][]int, len(all))
	for pid, s := range all {
		children[s.ppid] = append(children[s.ppid], pid)
	}
	var found []procStat
	for queue := slices.Clone(children[root]); len(queue) > 0; queue = queue[1:] {
		found = append(found, all[queue[0]])
		queue = append(queue, children[queue[0]]...)
	}
	return found
}

func bootID() string {
	raw, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(raw))
}

// procOf identifies a process for later.
func procOf(s procStat, boot string) Proc {
	exe, _ := os.Readlink("/proc/" + strconv.Itoa(s.pid) + "/exe")
	return Proc{PID: s.pid, StartTime: s.start, BootID: boot, PGID: s.pgid, Exe: exe}
}

// self identifies this process.
func self() (Proc, error) {
	s, err := readProc(os.Getpid())
	if err != nil {
		return Proc{}, fmt.Errorf("read /proc/self/stat: %w", err)
	}
	return procOf(s, bootID()), nil
}

// isAlive says whether p is still the process it was: pid, start time and boot agree, and it is no zombie.
func (p Proc) isAlive(boot string) bool {
	if p.PID <= 0 || p.BootID != boot {
		return false
	}
	s, err := readProc(p.PID)
	return err == nil && s.start == p.StartTime && s.state != 'Z' && s.state != 'X'
}

// name is how a process is called in messages.
func (p Proc) name() string {
	if p.Exe == "" {
		return fmt.Sprintf("pid %d", p.PID)
	}
	return fmt.Sprintf("pid %d (%s)", p.PID, filepath.Base(p.Exe))
}

// environHas says whether a process was started with the environment entry kv.
func environHas(pid int, kv string) bool {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	return err == nil && slices.Contains(strings.Split(string(raw), "\x00"), kv)
}

// readBytes is how much a process has read through system calls.
func readBytes(pid int) uint64 {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/io")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, "rchar: "); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(v), 10, 64)
			return n
		}
	}
	return 0
}
