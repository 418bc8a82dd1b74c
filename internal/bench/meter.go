package bench

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"time"
)

// lagEvery is the interval of the loop-lag probe.
const lagEvery = 20 * time.Millisecond

// meter takes the audit's figures while a load runs.
type meter struct {
	clk     *clock
	started Offset
	cpu     float64 // CPU seconds of this process, NaN where unknown
	ticks   cpuTicks
	pauses  []uint64
	stop    context.CancelFunc
	probe   sync.WaitGroup

	mu   sync.Mutex
	lags []float64 // milliseconds
}

// cpuTicks are the machine's CPU ticks so far.
type cpuTicks struct{ total, stolen uint64 }

// newMeter starts to measure.
func newMeter(ctx context.Context, clk *clock, poll *poller) *meter {
	m := &meter{clk: clk, started: clk.now(), cpu: processCPU(), ticks: machineTicks(), pauses: gcPauses().Counts}
	ctx, m.stop = context.WithCancel(ctx)
	m.probeLag(ctx, poll)
	return m
}

// probeLag measures what a stream's reader goes through. Where a poll loop reads the connections, it watches a timer as
// well; elsewhere a thread of its own writes its clock into a pipe, whose reader waits as those of the connections do.
func (m *meter) probeLag(ctx context.Context, poll *poller) {
	if poll != nil {
		if end, err := poll.probe(m.clk, lagEvery, m.lag); err == nil {
			m.probe.Go(func() {
				<-ctx.Done()
				end()
			})
		}
		return
	}
	r, w, err := os.Pipe()
	if err != nil {
		return
	}
	m.probe.Go(func() {
		defer func() { _ = w.Close() }()
		p := newPacer(m.clk)
		var stamp [8]byte
		for at := m.clk.now() + Offset(lagEvery); p.until(ctx, at); at = max(at, m.clk.now()) + Offset(lagEvery) {
			binary.LittleEndian.PutUint64(stamp[:], uint64(m.clk.now())) //nolint:gosec // a bit pattern
			if _, err := w.Write(stamp[:]); err != nil {
				return
			}
		}
	})
	m.probe.Go(func() {
		defer func() { _ = r.Close() }()
		var stamp [8]byte
		for {
			if _, err := r.Read(stamp[:]); err != nil {
				return
			}
			m.lag(m.clk.now() - Offset(binary.LittleEndian.Uint64(stamp[:]))) //nolint:gosec // a bit pattern
		}
	})
}

// lag notes one delay.
func (m *meter) lag(late Offset) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lags = append(m.lags, float64(late)/1e6)
}

// read ends the measurement and gives the figures.
func (m *meter) read(limits Limits, d *dialer) Audit {
	m.stop()
	m.probe.Wait()
	wall := float64(m.clk.now()-m.started) / 1e9
	a := Audit{Limits: limits, CPUs: runtime.NumCPU(), WallSeconds: wall, Timers: pacerName, SocketsMax: int(d.most.Load()),
		Dials: int(d.dials.Load()), DialsInLoad: int(d.inLoad.Load()), ResolveMS: d.resolver.took()}
	if cpu := processCPU() - m.cpu; !math.IsNaN(cpu) {
		a.CPUSeconds = ptr(cpu)
		a.CPUShare = ptr(cpu / (wall * float64(min(a.CPUs, runtime.GOMAXPROCS(0)))))
	}
	if now := machineTicks(); now.total > m.ticks.total {
		a.Steal = ptr(float64(now.stolen-m.ticks.stolen) / float64(now.total-m.ticks.total))
	}
	a.GCPauseMaxMS = ptr(m.worstPause())
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.lags) > 0 {
		slices.Sort(m.lags)
		a.LoopLagP50MS, a.LoopLagP99MS = ptr(quantile7(m.lags, 0.5)), ptr(quantile7(m.lags, 0.99))
		a.LoopLagMaxMS = ptr(m.lags[len(m.lags)-1])
	}
	return a
}

// worstPause is the upper bound of the longest stop of the runtime since the meter began, in milliseconds; 0 if none.
func (m *meter) worstPause() float64 {
	h := gcPauses()
	for i := len(h.Counts) - 1; i >= 0; i-- {
		if i < len(m.pauses) && h.Counts[i] > m.pauses[i] {
			bound := h.Buckets[i+1]
			if math.IsInf(bound, 1) {
				bound = h.Buckets[i]
			}
			return bound * 1e3
		}
	}
	return 0
}

// gcPauses is the runtime's histogram of its stops for garbage collection, in seconds.
func gcPauses() *metrics.Float64Histogram {
	s := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindFloat64Histogram {
		return &metrics.Float64Histogram{}
	}
	h := s[0].Value.Float64Histogram()
	return &metrics.Float64Histogram{Counts: slices.Clone(h.Counts), Buckets: h.Buckets}
}
