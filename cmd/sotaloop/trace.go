package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/trace"
)

// traceUsage is the help of `sotaloop trace`.
const traceUsage = `usage: sotaloop trace analyze PATH… [--mapping PATH] [--diff PATH] [--html FILE] [--json] [--min-share 0.01]

Reads torch-profiler traces (files or directories; every rank and stage) and prints where the GPU's time went;
of a host without a GPU, where the time of the threads that call operators went.

  --mapping PATH    trace of the same server without CUDA graphs: source locations for replayed kernels (repeatable)
  --diff PATH       second trace or set of traces: prints what changed, stage by stage (after minus before)
  --html FILE       also writes the tables as one page for a browser, with the timeline of a step of each stage
  --json            one JSON document on standard output; with --html the timelines are in it, too
  --min-share F     hide kernel rows below this share of their stage (default 0.01)
  --model NAME, --tp N, --quantization NAME
                    what is known of the server: fuse patterns that depend on it are undecided without
`

// traceFlags are the flags of `trace analyze`.
type traceFlags struct {
	paths, mapping []string
	diff, html     string
	json           bool
	minShare       float64
	server         trace.Server
}

// runTrace is `sotaloop trace analyze`.
func runTrace(ctx context.Context, s streams, args []string) error {
	if len(args) == 0 || args[0] != "analyze" {
		got := ""
		if len(args) > 0 {
			got = args[0]
		}
		fmt.Fprint(s.Err, traceUsage)
		return fault.New(fault.InvalidInput, "unknown trace command %q", got).At("command", got, "analyze")
	}
	f, err := parseTraceFlags(args[1:], s.Err)
	if err != nil {
		return err
	}
	opt := trace.Options{MinShare: f.minShare, Mapping: f.mapping, Server: f.server, Progress: traceProgress(s.Err)}
	if f.html != "" {
		if err := f.checkPage(); err != nil { // now rather than after minutes of reading
			return err
		}
		opt.Strip = true
	}
	a, err := trace.Analyze(ctx, f.paths, opt)
	if err != nil {
		return err
	}
	if f.diff == "" {
		if err := f.writePage(s.Err, func(w io.Writer) error { return trace.WriteHTML(w, a) }); err != nil {
			return err
		}
		return writeTrace(s.Out, a, f.json)
	}
	after, err := trace.Analyze(ctx, []string{f.diff}, opt)
	if err == nil {
		err = trace.Comparable(a, after)
	}
	if err != nil {
		return err
	}
	rows := trace.Diff(a, after)
	if err := f.writePage(s.Err, func(w io.Writer) error { return trace.WriteDiffHTML(w, a, after, rows) }); err != nil {
		return err
	}
	return writeTraceDiff(s.Out, a, after, rows, f.json)
}

// parseTraceFlags reads flags and paths in any order.
func parseTraceFlags(args []string, errs io.Writer) (traceFlags, error) {
	var f traceFlags
	set := flag.NewFlagSet("trace analyze", flag.ContinueOnError)
	set.SetOutput(errs)
	set.Usage = func() { fmt.Fprint(errs, traceUsage) }
	set.Func("mapping", "", func(v string) error { f.mapping = append(f.mapping, v); return nil })
	set.StringVar(&f.diff, "diff", "", "")
	set.StringVar(&f.html, "html", "", "")
	set.BoolVar(&f.json, "json", false, "")
	set.Float64Var(&f.minShare, "min-share", 0.01, "")
	set.StringVar(&f.server.Model, "model", "", "")
	set.IntVar(&f.server.TP, "tp", 0, "")
	set.StringVar(&f.server.Quantization, "quantization", "", "")
	for len(args) > 0 {
		if err := set.Parse(args); err != nil {
			return f, fault.Wrap(fault.InvalidInput, err, "cannot read the flags of trace analyze")
		}
		if args = set.Args(); len(args) > 0 {
			f.paths = append(f.paths, args[0])
			args = args[1:]
		}
	}
	switch {
	case len(f.paths) == 0:
		return f, fault.New(fault.InvalidInput, "no trace named").Hint("name a trace file or a directory: sotaloop trace analyze PATH")
	case !(f.minShare >= 0 && f.minShare <= 1): // also refuses NaN
		return f, fault.New(fault.InvalidInput, "--min-share is %v", f.minShare).At("min-share", fmt.Sprint(f.minShare), "0 to 1")
	}
	return f, nil
}

// checkPage refuses a place where the page could not be written, or that a trace has.
func (f *traceFlags) checkPage() error {
	refused := func(why string) error {
		return fault.New(fault.InvalidInput, "--html: %q %s", f.html, why).At("html", f.html).Hint("name the page to write: --html page.html")
	}
	name := strings.TrimSuffix(strings.ToLower(f.html), ".gz")
	info, err := os.Stat(f.html)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return refused("is no regular file")
	case strings.HasSuffix(name, ".json"):
		return refused("is a trace's name")
	}
	for _, path := range slices.Concat(f.paths, f.mapping, []string{f.diff}) {
		if input, failed := os.Stat(path); err == nil && failed == nil && os.SameFile(info, input) {
			return refused("is the trace to read")
		}
	}
	part, err := f.pagePart()
	if err != nil {
		return err
	}
	return errors.Join(part.Close(), os.Remove(part.Name()))
}

// pagePath is where the page goes: a link stays one.
func (f *traceFlags) pagePath() string {
	if path, err := filepath.EvalSymlinks(f.html); err == nil {
		return path
	}
	return f.html
}

// pagePart opens a new file beside the page, to become it.
func (f *traceFlags) pagePart() (*os.File, error) {
	part, err := os.CreateTemp(filepath.Dir(f.pagePath()), ".sotaloop-*.part")
	if err != nil {
		return nil, f.pageFault(fault.InvalidInput, err)
	}
	return part, nil
}

// pageFault says why the page could not be written.
func (f *traceFlags) pageFault(code fault.Code, err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		err = at.Err // the path is that of a file nobody asked for
	}
	return fault.Wrap(code, err, "--html: cannot write %q", f.html).At("html", f.html).
		Hint("name a file in a folder that exists, that you may write to and that has space left")
}

// writePage writes the page where one was asked for: whole or not at all.
func (f *traceFlags) writePage(errs io.Writer, render func(w io.Writer) error) error {
	if f.html == "" {
		return nil
	}
	part, err := f.pagePart()
	if err != nil {
		return err
	}
	w := bufio.NewWriter(part)
	err = errors.Join(render(w), w.Flush(), part.Chmod(0o644), part.Close())
	if err == nil {
		err = os.Rename(part.Name(), f.pagePath())
	}
	if err != nil {
		_ = os.Remove(part.Name())
		return f.pageFault(fault.Internal, err)
	}
	fmt.Fprintf(errs, "wrote %s\n", f.html)
	return nil
}

// traceProgress tells the bytes read, at most four times a second.
func traceProgress(w io.Writer) func(done, total int64) {
	const pause = 250 * time.Millisecond
	told := time.Now() // short reads say nothing
	return func(done, total int64) {
		if now := time.Now(); now.Sub(told) >= pause {
			told = now
			fmt.Fprintf(w, "read %d of %d MiB\n", done>>20, total>>20)
		}
	}
}

// writeTrace prints an analysis.
func writeTrace(w io.Writer, a *trace.Analysis, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(a)
	}
	return trace.WriteMarkdown(w, a)
}

// writeTraceDiff prints what changed between two analyses.
func writeTraceDiff(w io.Writer, before, after *trace.Analysis, rows []trace.DiffRow, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(struct {
			Before *trace.Analysis `json:"before"`
			After  *trace.Analysis `json:"after"`
			Diff   []trace.DiffRow `json:"diff"`
		}{before, after, rows})
	}
	return trace.WriteDiffMarkdown(w, rows)
}
