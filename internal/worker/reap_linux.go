package worker

import (
	"cmp"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	reapGrace = time.Second // between SIGTERM and SIGKILL of what a lost run left
	killWait  = 10 * time.Second
)

// leftovers finds the living engine processes of a run whose worker is gone: those written down (by pid, start time and
// boot), those that carry the run's marker in their environment, and the descendants of both.
func leftovers(dir string) []Proc {
	boot := bootID()
	all := readProcs()
	ours := map[int]Proc{}
	add := func(s procStat) {
		if s.state != 'Z' && s.state != 'X' {
			ours[s.pid] = procOf(s, boot)
		}
	}
	for _, p := range readFamily(filepath.Join(dir, procsFile)) {
		if s, ok := all[p.PID]; ok && s.start == p.StartTime && p.BootID == boot {
			add(s)
		}
	}
	for _, s := range all {
		if _, known := ours[s.pid]; !known && dir != "" && environHas(s.pid, runMarker+"="+dir) {
			add(s)
		}
	}
	for pid := range ours {
		for _, s := range descendants(all, pid) {
			add(s)
		}
	}
	left := make([]Proc, 0, len(ours))
	for _, p := range ours {
		left = append(left, p)
	}
	slices.SortFunc(left, func(a, b Proc) int { return cmp.Compare(a.PID, b.PID) })
	return left
}

// reap ends what a lost run left: SIGTERM, then SIGKILL, then a look that none is there.
func reap(dir string) Reaped {
	killed := map[int]Proc{}
	end := time.Now().Add(reapGrace + killWait)
	soft := time.Now().Add(reapGrace)
	for {
		left := leftovers(dir)
		if len(left) == 0 || time.Now().After(end) {
			r := Reaped{Killed: []Proc{}, Left: left}
			for _, p := range killed {
				if !slices.Contains(left, p) {
					r.Killed = append(r.Killed, p)
				}
			}
			slices.SortFunc(r.Killed, func(a, b Proc) int { return cmp.Compare(a.PID, b.PID) })
			return r
		}
		for _, p := range left {
			_, again := killed[p.PID]
			switch {
			case time.Now().After(soft):
				signalProc(p, unix.SIGKILL)
			case !again:
				signalProc(p, unix.SIGTERM)
			}
			killed[p.PID] = p
		}
		time.Sleep(50 * time.Millisecond) //nolint:forbidigo // waits for other processes
	}
}

// signalProc signals p and nothing else: a pidfd names the process itself, so that a pid reused between the check and
// the signal is not hit. Kernels without pidfds (before 5.3) get check and kill.
func signalProc(p Proc, sig unix.Signal) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		if p.isAlive(bootID()) {
			_ = unix.Kill(p.PID, sig)
		}
		return
	}
	defer func() { _ = unix.Close(fd) }()
	if p.isAlive(bootID()) {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
}
