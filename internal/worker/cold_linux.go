package worker

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

const (
	coldLog    = "cold.log"
	warmMarker = ".sotaloop-warm" // in a cache folder: an engine of this build has carried load with it

	coldSeed        = 0x636f6c64 // keeps the prompts of a cold launch apart from every measured one
	smallestColdRun = 4          // requests of a burst
	largestColdRun  = 64         // the same
	namedWrites     = 3          // files of a cache that a point names
)

// isCold says whether no engine of this build has carried load with the folder of JIT caches yet.
func isCold(cache string) bool {
	_, err := os.Stat(filepath.Join(cache, warmMarker))
	return errors.Is(err, fs.ErrNotExist)
}

// warmUp is a build's first launch on this host, in which kernels are compiled: it comes up, carries bursts of the
// launch's own requests, and goes down. It measures nothing and is no candidate's. ok is false where the launch itself
// must not follow; its failure is recorded then, since what does not come up cold does not come up.
func (r *runner) warmUp(ctx context.Context, e *engine, before gpuView) (ok bool) {
	l := e.launch
	r.doing(0, "%s: first launch of this build here, it compiles kernels and measures nothing", l.ID)
	phases, why := r.await(ctx, e)
	if why == nil {
		r.compile(ctx, e)
		why = r.checkEngine(ctx, e)
	}
	files := r.logFile(e)
	if why != nil {
		r.emit(Event{Kind: EventLaunchFailed, Launch: l.ID, Proc: &e.proc, Port: e.port, Phases: phases, Failure: why})
	} else {
		r.emit(Event{Kind: EventLaunchCold, Launch: l.ID, Proc: &e.proc, Port: e.port, Phases: phases, ColdS: time.Since(e.began).Seconds(), Files: files})
	}
	if !r.down(e, before) {
		return false
	}
	if why != nil {
		code, _ := e.exit()
		r.emit(Event{Kind: EventLaunchStopped, Launch: l.ID, Proc: &e.proc, Port: e.port, Files: files, Exit: code})
		return false
	}
	r.warmed[e.cache] = true // also where the marker cannot be written: a launch is not warmed up for ever
	_ = os.WriteFile(filepath.Join(e.cache, warmMarker), []byte(l.ID+"\n"), 0o600)
	return true
}

// compile offers a burst of each shape that the launch will measure, until it is answered: engines compile some kernels at
// the first request that needs them. Requests that fail, or take too long, are the measured launch's to judge.
func (r *runner) compile(ctx context.Context, e *engine) {
	for i := range e.launch.Points {
		p := &e.launch.Points[i]
		if p.Gate != nil || ctx.Err() != nil || e.isDead() {
			continue
		}
		spec := bench.Spec{Scenario: p.Spec.Scenario, Seed: p.Spec.Seed ^ coldSeed, Phase: "cold", Vocab: p.Spec.Vocab, Deadline: r.plan.LaunchDeadline}
		s := &spec.Scenario
		if s.Dataset != "" { // no row is sent for it: random prompts of its median lengths
			s.Kind, s.Dataset, s.Reuse, s.IgnoreEOS = contract.KindRandom, "", "", true
			s.InputLen, s.OutputLen = max(1, s.InputLen), max(1, s.OutputLen)
		}
		slots := smallestColdRun
		if s.MaxConcurrency != nil {
			slots = *s.MaxConcurrency
		}
		s.Arrival, s.Primary, s.RequestRate, s.MaxConcurrency, s.RateSearch, s.WarmupWaves = contract.ArrivalBurst, contract.PrimaryMetric(contract.ArrivalBurst), nil, nil, nil, 0
		s.NumPrompts = min(max(slots, smallestColdRun), largestColdRun)
		_, _ = r.load(ctx, e, spec, func(g bench.Progress) {
			r.doing(0, "%s: first launch of this build here, %d of %d requests of %s answered", e.launch.ID, g.Done, s.NumPrompts, p.ID)
		})
	}
}

// cacheWrites finds files of a JIT cache that were written in a window: kernels were still being compiled, and the
// requests waited for it. Logs and locks are written without that.
func cacheWrites(cache string, from, to time.Time) (n int, names []string) {
	_ = filepath.WalkDir(cache, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || slices.Contains([]string{".log", ".lock", ".tmp"}, filepath.Ext(path)) || d.Name() == warmMarker {
			return nil //nolint:nilerr // what is gone again, or cannot be read, says nothing
		}
		info, err := d.Info()
		if err != nil || info.ModTime().Before(from) || info.ModTime().After(to) {
			return nil //nolint:nilerr // as above
		}
		if n++; len(names) < namedWrites {
			rel, _ := filepath.Rel(cache, path)
			names = append(names, strings.ToValidUTF8(filepath.ToSlash(rel), "?"))
		}
		return nil
	})
	return n, names
}
