package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// maxCores is how many cores an affinity mask of this kernel interface can name.
const maxCores = 1024

// pinPasses bounds how often the worker's threads are pinned anew until no unpinned one is left.
const pinPasses = 20

// allowedCores are the cores that a thread may run on; 0 is the caller's.
func allowedCores(tid int) ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(tid, &set); err != nil {
		return nil, fmt.Errorf("read affinity: %w", err)
	}
	cores := []int{}
	for core := range maxCores {
		if set.IsSet(core) {
			cores = append(cores, core)
		}
	}
	return cores, nil
}

// maskOf is the affinity mask of cores.
func maskOf(cores []int) unix.CPUSet {
	var set unix.CPUSet
	for _, core := range cores {
		set.Set(core)
	}
	return set
}

// findCPU tells what this host computes with where it has no GPU.
func findCPU() *contract.CPU {
	raw, _ := os.ReadFile("/proc/cpuinfo")
	c := &contract.CPU{MemoryMiB: memoryMiB()}
	c.Model, c.Cores, c.Flags = parseCPUInfo(string(raw))
	c.Allowed, _ = allowedCores(0)
	return c
}

// share splits the host's cores between engines and client. The client gets what the worker may run on and nobody has
// leased; where others have leased all the rest, or the plan has, it shares, and the warning says so.
func (r *runner) share(allowed []int) error {
	p := &r.plan
	for _, core := range p.Cores {
		if !slices.Contains(allowed, core) {
			return fault.New(fault.InvalidInput, "core %d is planned and the worker may run on %v only", core, allowed).
				At("cores", fmt.Sprint(p.Cores), fmt.Sprint(allowed)).Hint("correct cores in hosts.yaml and open a new campaign, or give the account back its cores")
		}
	}
	without := func(from []int, taken func(int) bool) []int { return slices.DeleteFunc(slices.Clone(from), taken) }
	pin := &Pinning{Cores: slices.Sorted(slices.Values(p.Cores))}
	rest := without(allowed, func(core int) bool { return slices.Contains(p.Cores, core) })
	others := leasedCores(p.LeaseDir)
	free := without(rest, func(core int) bool { return slices.Contains(others, core) })
	switch {
	case len(free) > 0:
		pin.ClientCores = free
	case len(rest) > 0:
		pin.ClientCores, pin.Warning = rest, fmt.Sprintf("the load client runs on cores %v, which another campaign has leased", rest)
	default:
		pin.ClientCores, pin.Warning = pin.Cores, fmt.Sprintf("no core is left for the load client: it shares %v with the engine", pin.Cores)
	}
	r.pinning = pin
	return nil
}

// leasedCores are the cores that anybody holds now.
func leasedCores(dir string) []int {
	var cores []int
	for _, l := range readLeases(dir) {
		if n, ok := strings.CutPrefix(l.GPU, CorePrefix); ok {
			if core, err := strconv.Atoi(n); err == nil {
				cores = append(cores, core)
			}
		}
	}
	return cores
}

// pinSelf moves every thread of this process, those to come included, to its cores for good. A thread inherits its
// maker's cores, so it goes on until a pass finds nothing to move.
func pinSelf(cores []int) error {
	for range pinPasses {
		moved, err := pinProcess(os.Getpid(), cores)
		if err != nil {
			return err
		}
		if moved == 0 {
			runtime.GOMAXPROCS(len(cores)) // the audit's CPU share is of what the client really has
			return nil
		}
	}
	return errors.New("the worker's threads cannot be pinned: new ones keep coming")
}

// pinProcess moves a process's threads that may run elsewhere to cores, and counts them.
func pinProcess(pid int, cores []int) (moved int, err error) {
	set := maskOf(cores)
	for _, tid := range threads(pid) {
		if now, err := allowedCores(tid); err != nil || within(now, cores) {
			continue
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return moved, fmt.Errorf("pin thread %d to cores %v: %w", tid, cores, err)
		}
		moved++
	}
	return moved, nil
}

// threads gives the thread ids of a process.
func threads(pid int) []int {
	names, _ := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/task/[0-9]*")
	var tids []int
	for _, name := range names {
		if tid, err := strconv.Atoi(filepath.Base(name)); err == nil {
			tids = append(tids, tid)
		}
	}
	return tids
}

// pinThread moves the calling thread, to which the caller has locked itself.
func pinThread(cores []int) error {
	set := maskOf(cores)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("pin a thread to cores %v: %w", cores, err)
	}
	return nil
}

// within says whether every core is one of those.
func within(cores, those []int) bool {
	return !slices.ContainsFunc(cores, func(core int) bool { return !slices.Contains(those, core) })
}

// hold puts the engine's threads back that have taken themselves other cores than the leased ones, as engines do which
// bind their thread pools to the machine's cores; it counts them. A thread inside the lease stays where it bound itself.
func (r *runner) hold() (moved int) {
	if r.pinning == nil {
		return 0
	}
	for _, s := range r.family.look() {
		n, _ := pinProcess(s.pid, r.pinning.Cores) // what cannot be moved is named after the point
		moved += n
	}
	return moved
}

// offCores names the engine's processes of which a thread may run on other cores than the leased ones: an engine can
// take itself the cores that it was not given.
func (r *runner) offCores() []string {
	var off []string
	if r.pinning == nil {
		return nil
	}
	for _, s := range r.family.look() {
		for _, tid := range threads(s.pid) {
			if now, err := allowedCores(tid); err == nil && !within(now, r.pinning.Cores) {
				off = append(off, fmt.Sprintf("%s on cores %v", procOf(s, r.family.boot).name(), now))
				break
			}
		}
	}
	return off
}

// pinned is the launch's share of the host, for its record; nil where nothing is pinned.
func (r *runner) pinned(l *Launch) *Pinning {
	if r.pinning == nil {
		return nil
	}
	p := *r.pinning
	p.Threads = Threads(l.Env)
	return &p
}
