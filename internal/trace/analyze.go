package trace

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// filesAtOnce bounds how many files are read at the same time; each keeps about two cores busy.
const filesAtOnce = 4

// Analyze reads the traces at paths (files or directories) and computes their tables. Damaged files give
// what could be read, marked incomplete. It fails when no file holds GPU work or operators, and when some hold
// GPU work and others (or the mapping) only operators.
func Analyze(ctx context.Context, paths []string, opt Options) (*Analysis, error) {
	if len(opt.Mapping) == 0 {
		return analyze(ctx, paths, opt, nil)
	}
	sources, err := analyze(ctx, opt.Mapping, Options{Files: opt.Files}, nil)
	if err != nil {
		return nil, fmt.Errorf("reading mapping traces: %w", err)
	}
	a, err := analyze(ctx, paths, opt, newMapping(sources))
	if err == nil {
		err = Comparable(sources, a)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// analyze reads files, several at once, and puts their stages together.
func analyze(ctx context.Context, paths []string, opt Options, m *mapping) (*Analysis, error) {
	inputs, notes, err := discover(paths, opt)
	if err != nil {
		return nil, err
	}
	results := make([]result, len(inputs))
	meter := newMeter(inputs, opt.Progress)
	slots := make(chan struct{}, min(filesAtOnce, max(runtime.GOMAXPROCS(0)/2, 1)))
	var wg sync.WaitGroup
	for i, in := range inputs {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			results[i] = readFile(ctx, in, opt, m, meter.add)
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	a := &Analysis{Stages: []Stage{}, Files: []File{}, Notes: append([]string{}, notes...)}
	if err := a.collect(inputs, results); err != nil {
		return nil, err
	}
	a.Ranks = Spreads(a.Stages)
	a.hide(opt.MinShare)
	return a, nil
}

// collect adds the files' results. A file that is no trace is an error when it was asked for by name and
// nothing else could be read, else a note.
func (a *Analysis) collect(inputs []input, results []result) error {
	var failure error
	for i, r := range results {
		a.Notes = append(a.Notes, r.notes...)
		if r.err != nil {
			failure = cmp.Or(failure, r.err)
			a.Notes = append(a.Notes, r.err.Error())
			if inputs[i].trusted {
				r.file.Incomplete, r.file.Error = true, r.err.Error()
				a.Files = append(a.Files, r.file)
				a.Incomplete = true
			}
			continue
		}
		a.Files = append(a.Files, r.file)
		a.Stages = append(a.Stages, r.stages...)
		a.Incomplete = a.Incomplete || r.file.Incomplete
	}
	if len(a.Stages) == 0 {
		return failure
	}
	if err := a.oneSource(); err != nil {
		return err
	}
	slices.SortStableFunc(a.Stages, func(x, y Stage) int {
		return cmp.Or(cmp.Compare(stageNumber(x.Stage), stageNumber(y.Stage)), cmp.Compare(x.Rank, y.Rank), cmp.Compare(x.Path, y.Path))
	})
	return nil
}

// hide leaves out kernel rows below a share; their numbers and the totals stay.
func (a *Analysis) hide(minShare float64) {
	for i := range a.Stages {
		s := &a.Stages[i]
		s.Kernels = []Kernel{}
		for _, k := range s.all {
			if k.Share >= minShare {
				s.Kernels = append(s.Kernels, k)
			}
		}
	}
}

// result is what one file gave.
type result struct {
	file   File
	stages []Stage
	notes  []string
	err    error
}

// readFile reads and analyses one file.
func readFile(ctx context.Context, in input, opt Options, m *mapping, read func(n int)) result {
	p, digest, err := scanFile(ctx, in, false, read)
	if err == nil && p.store.idless {
		// GPU work without ids: read again, with the arrows that join it to its launches.
		p, digest, err = scanFile(ctx, in, true, func(int) {})
	}
	f := File{Path: in.path, Digest: digest, Label: in.label, SizeBytes: in.size, OffsetBytes: -1, Rank: max(in.rank, 0)}
	var stopped *stopError
	if err != nil && !errors.As(err, &stopped) {
		return result{file: f, err: missing(in.path, err)}
	}
	if ctx.Err() != nil {
		return result{file: f, err: ctx.Err()}
	}
	if stopped != nil {
		f.Incomplete, f.OffsetBytes, f.Error = true, stopped.offset, stopped.Error()
	}
	return tabulate(f, p, in, opt, m)
}

// scanFile runs the parser over one file.
func scanFile(ctx context.Context, in input, arrows bool, read func(n int)) (*parser, string, error) {
	src, err := openSource(ctx, in.open, read)
	if err != nil {
		return nil, "", err
	}
	p := &parser{window: window{ctx: ctx, src: src}, store: newStore()}
	p.store.arrows = arrows
	err = p.run()
	digest, hashErr := src.stop()
	if err == nil && hashErr != nil {
		err = hashErr
	}
	return p, digest, err
}

// tabulate computes the tables of what was read.
func tabulate(f File, p *parser, in input, opt Options, m *mapping) result {
	f.Events, f.Device = p.events, p.header.Device
	if p.header.Rank >= 0 {
		f.Rank = p.header.Rank
	}
	r := result{file: f, notes: p.notes(in.path)}
	if p.store.gpu.len() == 0 && p.store.ops.len() == 0 {
		r.err = noWork(in.path, f, p.found)
		return r
	}
	host := gpuHost(f, p.store)
	if host != "" && f.Incomplete {
		r.err = fault.New(fault.Corrupt, "%q is of %s and ends before its GPU work: %s", in.path, host, f.Error).At("path", in.path).Hint("capture the trace again")
		return r
	}
	if p.skipped > 0 || p.store.names.full {
		r.file.Incomplete = true
	}
	p.store.device = f.Device
	b := newBuilder(p.store, in.label, f.Digest[:min(len(f.Digest), digestLen)], m)
	for _, n := range b.warnings {
		r.notes = append(r.notes, fmt.Sprintf("%q: %s", in.path, n))
	}
	if host != "" {
		r.notes = append(r.notes, fmt.Sprintf("%q is of %s but holds no GPU work: its operators' times are of dispatching the work, not of the work", in.path, host))
	}
	r.file.Framework = b.frameworkName()
	r.stages = b.stages(&r.file, opt)
	return r
}

// noWork is the fault of a file without anything to tabulate.
func noWork(path string, f File, found bool) error {
	e := fault.New(fault.InvalidInput, "%q holds neither GPU events nor operators", path)
	switch {
	case f.Error != "":
		e = fault.New(fault.Corrupt, "%q could not be read: %s", path, f.Error)
	case !found:
		e = fault.New(fault.InvalidInput, "%q is no torch-profiler trace: it has no list of events (traceEvents)", path)
	}
	return e.At("path", path).Hint("capture the trace again, with GPU or CPU activities")
}

// notes reports what was left out while reading.
func (p *parser) notes(path string) []string {
	var list []string
	say := func(n int64, what string) {
		if n > 0 {
			list = append(list, fmt.Sprintf("%q: left out %d %s", path, n, what))
		}
	}
	say(p.store.bad, "events with impossible times")
	say(p.skipped, fmt.Sprintf("events larger than %d MiB", maxEvent>>20))
	say(p.store.dropped, fmt.Sprintf("events of threads or streams beyond %d", maxPlaces))
	if p.store.names.full {
		list = append(list, fmt.Sprintf("%q: more than %d MiB of distinct names; the rest have none", path, maxNames>>20))
	}
	return list
}
