package worker

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	quietEvery = 2 * time.Second
	gpuEvery   = 30 * time.Second // nvidia-smi costs CPU and takes driver locks
)

// cpuTimes is /proc/stat's first line in ticks.
type cpuTimes struct{ busy, all uint64 }

// parseCPUTimes reads /proc/stat's first line, which is of the whole host.
func parseCPUTimes(stat string) (cpuTimes, bool) {
	line, _, _ := strings.Cut(stat, "\n")
	return parseTimes(line, "cpu")
}

// parseCoreTimes adds up the lines of some cores in /proc/stat; false where one is not there.
func parseCoreTimes(stat string, cores []int) (sum cpuTimes, ok bool) {
	found := 0
	for line := range strings.Lines(stat) {
		name, _, _ := strings.Cut(line, " ")
		core, err := strconv.Atoi(strings.TrimPrefix(name, "cpu"))
		if err != nil || !slices.Contains(cores, core) {
			continue
		}
		if t, ok := parseTimes(line, name); ok {
			sum.busy, sum.all = sum.busy+t.busy, sum.all+t.all
			found++
		}
	}
	return sum, found == len(cores)
}

// parseTimes reads one line of /proc/stat. Guest time is part of user time and not counted again; iowait is idle.
func parseTimes(line, name string) (cpuTimes, bool) {
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != name {
		return cpuTimes{}, false
	}
	var t cpuTimes
	for i, v := range f[1:9] {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return cpuTimes{}, false
		}
		t.all += n
		if i != 3 && i != 4 { // idle, iowait
			t.busy += n
		}
	}
	return t, true
}

// parsePressure reads the total of one line ("some" or "full") of /proc/pressure/*, in microseconds.
func parsePressure(text, name string) (us uint64, ok bool) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, name+" ") {
			continue
		}
		_, v, found := strings.Cut(line, "total=")
		n, err := strconv.ParseUint(strings.TrimSpace(v), 10, 64)
		return n, found && err == nil
	}
	return 0, false
}

// hostView is what the host did up to one moment.
type hostView struct {
	at       time.Time
	cpu      cpuTimes
	ours     uint64   // ticks of the worker and the engine, exited descendants included
	cores    cpuTimes // of the leased cores
	hasCores bool
	onCores  uint64   // ticks of what of ours runs on the leased cores: the engine, and the worker where it shares them
	psi      pressure // tasks that waited for a CPU
	memory   pressure // every task waited for memory
}

// pressure is the time of a pressure stall file up to one moment, in microseconds.
type pressure struct {
	us  uint64
	has bool
}

func readPressure(resource, name string) (p pressure) {
	text, _ := os.ReadFile("/proc/pressure/" + resource)
	p.us, p.has = parsePressure(string(text), name)
	return p
}

// share is the part of wall, in percent, that was under pressure since a; nil where the kernel does not tell.
func (p pressure) share(a pressure, wall time.Duration) *float64 {
	if !p.has || !a.has || wall <= 0 || p.us < a.us {
		return nil
	}
	pct := 100 * float64(p.us-a.us) / float64(wall.Microseconds())
	return &pct
}

func (r *runner) viewHost() hostView {
	v := hostView{at: time.Now()}
	stat, _ := os.ReadFile("/proc/stat")
	v.cpu, _ = parseCPUTimes(string(stat))
	v.psi, v.memory = readPressure("cpu", "some"), readPressure("memory", "full")
	if r.pinning != nil {
		v.cores, v.hasCores = parseCoreTimes(string(stat), r.pinning.Cores)
	}
	if me, err := readProc(os.Getpid()); err == nil {
		v.ours = me.cpu + me.reaped
		if r.pinning != nil && slices.Equal(r.pinning.ClientCores, r.pinning.Cores) {
			v.onCores = v.ours
		}
	}
	for _, s := range r.family.look() {
		v.ours += s.cpu + s.reaped
		v.onCores += s.cpu + s.reaped
	}
	return v
}

// onCoresSince gives the share of the leased cores' capacity that others used between two views; nil without such cores.
func (v hostView) onCoresSince(a hostView) *float64 {
	share, ok := foreignShare(v.cores, a.cores, v.onCores, a.onCores)
	if !v.hasCores || !a.hasCores || !ok {
		return nil
	}
	return &share
}

// foreignShare is the capacity between two readings, 0 to 1, that was busy with something else than ours, whose ticks
// stand beside each reading; false where no time passed.
func foreignShare(now, before cpuTimes, ours, oursBefore uint64) (share float64, ok bool) {
	all := float64(now.all) - float64(before.all)
	if all <= 0 {
		return 0, false
	}
	others := float64(now.busy) - float64(before.busy) - (float64(ours) - float64(oursBefore))
	return min(1, max(0, others/all)), true
}

// since gives the share of CPU capacity that others used between two views.
func (v hostView) since(a hostView) float64 {
	foreign, _ := foreignShare(v.cpu, a.cpu, v.ours, a.ours)
	return foreign
}

// quietWatch collects what else runs on the host during a point.
type quietWatch struct {
	r     *runner
	first hostView
	quiet Quiet
	end   chan struct{}
	done  chan struct{}
}

func (r *runner) watchQuiet(ctx context.Context) *quietWatch {
	w := &quietWatch{r: r, end: make(chan struct{}), done: make(chan struct{})}
	w.quiet.ForeignGPU = []string{}
	w.gpus(ctx)
	w.first = r.viewHost()
	go func() {
		defer close(w.done)
		tick := time.NewTicker(quietEvery)
		defer tick.Stop()
		gpuAt := time.Now()
		for {
			w.memory()
			if time.Since(gpuAt) >= gpuEvery {
				w.gpus(ctx)
				gpuAt = time.Now()
			}
			select {
			case <-w.end:
				return
			case <-tick.C:
			}
		}
	}()
	return w
}

func (w *quietWatch) memory() {
	var pages int64
	for _, s := range w.r.family.known() {
		pages += s.rssPages
	}
	w.quiet.PeakRSSMiB = max(w.quiet.PeakRSSMiB, float64(pages)*float64(os.Getpagesize())/(1<<20))
}

// gpus notes foreign processes. Memory is the engine's own where the driver tells it by process, else all that is used.
func (w *quietWatch) gpus(ctx context.Context) {
	v, err := w.r.gpus.look(ctx)
	if err != nil {
		return
	}
	used := v.oursMiB
	if used == 0 {
		used = v.usedMiB
	}
	w.quiet.PeakGPUMiB = max(w.quiet.PeakGPUMiB, used)
	for _, p := range v.foreign {
		if !slices.Contains(w.quiet.ForeignGPU, p) {
			w.quiet.ForeignGPU = append(w.quiet.ForeignGPU, p)
		}
	}
}

// stop ends the watch and gives its figures.
func (w *quietWatch) stop(ctx context.Context) *Quiet {
	close(w.end)
	<-w.done
	w.memory()
	w.gpus(ctx)
	last := w.r.viewHost()
	wall := last.at.Sub(w.first.at)
	w.quiet.ForeignCPUShare = last.since(w.first)
	w.quiet.PSICPU, w.quiet.PSIMemory = last.psi.share(w.first.psi, wall), last.memory.share(w.first.memory, wall)
	w.quiet.ForeignCoreShare, w.quiet.OffCores = last.onCoresSince(w.first), w.r.offCores()
	return &w.quiet
}
