package worker

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// runMarker is the environment variable by which the processes of a run are known after their worker has died. Every
// descendant inherits it, and its value is the run's folder, which is nobody else's on this host: a run id alone could be
// another account's or another home's too.
const runMarker = "SOTALOOP_RUN"

// family is every engine process of one run. The worker is their subreaper: an orphan becomes its child, so whatever an
// engine spawned stays a descendant of the worker. Each is written down when first seen, for a reap after kill -9.
type family struct {
	boot   string
	marker string    // NAME=value in every member's environment
	log    io.Writer // procs.jsonl

	mu   sync.Mutex
	seen map[int]Proc
}

// newFamily makes this process the subreaper of what it will start.
func newFamily(dir string, log io.Writer) (*family, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become subreaper: %w", err)
	}
	return &family{boot: bootID(), marker: runMarker + "=" + dir, log: log, seen: map[int]Proc{}}, nil
}

// add writes a launched process down.
func (f *family) add(pid int) (Proc, error) {
	s, err := readProc(pid)
	if err != nil {
		return Proc{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.note(s), nil
}

// look gives the living members. Children that the worker runs for itself (nvidia-smi) are none: a child counts when it
// was launched, was seen below a member, or carries the marker.
func (f *family) look() []procStat { return f.find(f.isMember) }

// known gives the members that were seen before and live. It reads only their entries of the process table, so that it
// costs a measurement next to nothing.
func (f *family) known() []procStat {
	f.mu.Lock()
	defer f.mu.Unlock()
	var live []procStat
	for pid, p := range f.seen {
		if s, err := readProc(pid); err == nil && s.start == p.StartTime && s.state != 'Z' && s.state != 'X' {
			live = append(live, s)
		}
	}
	return live
}

// lookAll gives every living descendant of the worker as a member. It is for the teardown, when no helper runs.
func (f *family) lookAll() []procStat { return f.find(func(procStat) bool { return true }) }

func (f *family) isMember(s procStat) bool {
	p, ok := f.seen[s.pid]
	return ok && p.StartTime == s.start || environHas(s.pid, f.marker)
}

func (f *family) find(counts func(child procStat) bool) []procStat {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, me := readProcs(), os.Getpid()
	var live []procStat
	for _, child := range all {
		if child.ppid != me || !counts(child) {
			continue
		}
		for _, s := range append(descendants(all, child.pid), child) {
			if s.state == 'Z' || s.state == 'X' {
				continue
			}
			f.note(s)
			live = append(live, s)
		}
	}
	return live
}

// collect waits for orphans that have exited; keep is the launched process, which its starter waits for.
func (f *family) collect(keep int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for pid, p := range f.seen {
		if pid == keep {
			continue
		}
		if s, err := readProc(pid); err == nil && s.start == p.StartTime && s.state == 'Z' && s.ppid == os.Getpid() {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
}

// note writes a member down once.
func (f *family) note(s procStat) Proc {
	if p, ok := f.seen[s.pid]; ok && p.StartTime == s.start {
		return p
	}
	p := procOf(s, f.boot)
	f.seen[s.pid] = p
	if raw, err := json.Marshal(p); err == nil {
		_, _ = f.log.Write(append(raw, '\n')) // on a full disk the marker in the environment still tells
	}
	return p
}

// readFamily reads procs.jsonl of a run whose worker is gone; a torn last line is skipped.
func readFamily(path string) []Proc {
	var all []Proc
	for _, line := range readLines(path) {
		var p Proc
		if json.Unmarshal(line, &p) == nil {
			all = append(all, p)
		}
	}
	return all
}
