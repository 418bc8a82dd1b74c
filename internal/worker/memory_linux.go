package worker

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// sampleShare bounds what sampling costs: after a sample that took t, the next comes t × sampleShare later at the
// earliest. The kernel walks every page of a process to tell its proportional size.
const sampleShare = 100

// memoryWatch samples the memory resident in an engine's process tree from its start to its end: the counterpart of a
// GPU's memory in use. What it sees of a tree between two samples is nothing.
type memoryWatch struct {
	family *family
	end    chan struct{}
	done   chan struct{}

	mu     sync.Mutex
	method string  // of every sample so far; rss once the kernel did not tell a proportional size
	launch float64 // peak since the start, MiB
	point  float64 // peak since the last call of begin, MiB
}

// watchMemory begins with the launch's process.
func watchMemory(f *family) *memoryWatch {
	w := &memoryWatch{family: f, method: MemoryPSS, end: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(w.done)
		wait := time.NewTimer(0)
		defer wait.Stop()
		for {
			select {
			case <-w.end:
				return
			case <-wait.C:
			}
			began := time.Now()
			w.sample()
			wait.Reset(max(quietEvery, sampleShare*time.Since(began)))
		}
	}()
	return w
}

// sample looks at the whole tree once.
func (w *memoryWatch) sample() {
	w.mu.Lock()
	defer w.mu.Unlock()
	var pss, rss float64
	for _, s := range w.family.look() {
		rss += float64(s.rssPages) * float64(os.Getpagesize()) / (1 << 20)
		if w.method != MemoryPSS {
			continue
		}
		mib, err := proportional(s.pid)
		if err != nil {
			if _, gone := readProc(s.pid); gone == nil { // it lives and does not tell
				w.method = MemoryRSS
			}
			continue
		}
		pss += mib
	}
	now := pss
	if w.method == MemoryRSS {
		now = rss
	}
	w.launch, w.point = max(w.launch, now), max(w.point, now)
}

// begin starts a point's peak.
func (w *memoryWatch) begin() {
	w.mu.Lock()
	w.point = 0
	w.mu.Unlock()
	w.sample()
}

// peak ends a point's peak.
func (w *memoryWatch) peak() *TreeMemory {
	w.sample()
	w.mu.Lock()
	defer w.mu.Unlock()
	return &TreeMemory{PeakMiB: w.point, Method: w.method}
}

// stop ends the watch and gives the launch's peak; nil where nothing was seen.
func (w *memoryWatch) stop() *TreeMemory {
	close(w.end)
	<-w.done
	if w.launch == 0 {
		return nil
	}
	return &TreeMemory{PeakMiB: w.launch, Method: w.method}
}

// proportional is a process's proportional set size in MiB.
func proportional(pid int) (float64, error) {
	raw, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return 0, err
	}
	return parseRollup(string(raw))
}

// parseRollup reads the line "Pss:" of /proc/PID/smaps_rollup, in MiB.
func parseRollup(text string) (float64, error) {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, "Pss:"); ok {
			kib, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 10, 64)
			return float64(kib) / 1024, err
		}
	}
	return 0, errNoProc
}
