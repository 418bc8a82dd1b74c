package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
)

const (
	captureLoad = 20 * time.Minute
)

// capture takes one profiler trace.
func (r *runner) capture(ctx context.Context, e *engine, c *Capture) {
	ev := Event{Kind: EventCaptureDone, Launch: e.launch.ID, Capture: c.ID, Proc: &e.proc, Port: e.port}
	files, why := r.tryCapture(ctx, e, c)
	ev.Files, ev.Failure = files, why
	if why != nil {
		ev.Kind = EventCaptureFailed
	}
	r.emit(ev)
}

func (r *runner) tryCapture(ctx context.Context, e *engine, c *Capture) ([]File, *Failure) {
	if why := r.checkEngine(ctx, e); why != nil {
		return nil, why
	}
	r.hold()
	p := e.launch.Protocol.Profile
	if p.Start == nil {
		return nil, &Failure{Class: FailCapture, Reason: "this server has no profiler endpoint"}
	}
	shot, err := r.aim(e, c)
	if err == nil {
		r.doing(0, "%s: warming up for the %s profile", e.launch.ID, c.Stage)
		err = shot.warmUp(ctx)
	}
	if err == nil {
		r.doing(0.3, "%s: capturing %s", e.launch.ID, c.Stage)
		err = shot.take(ctx)
	}
	if err == nil {
		r.doing(0.7, "%s: waiting for the trace of %s", e.launch.ID, c.Stage)
		err = shot.await(ctx)
	}
	files := shot.files()
	why := r.keepsSecrets(files)
	if why != nil {
		files = []File{}
	}
	switch {
	case err == nil:
		return files, why
	case ctx.Err() != nil:
		return files, canceledBy(context.Cause(ctx).Error())
	case e.isDead():
		return files, r.deadFailure(e)
	default:
		return files, r.failure(e, FailCapture, e.said(err))
	}
}

// shot is one capture under way.
type shot struct {
	r      *runner
	e      *engine
	c      *Capture
	dir    string           // where traces land
	before map[string]int64 // files that were there, with their sizes
	vocab  bench.TokenRange
	calls  *strings.Replacer
}

func (r *runner) aim(e *engine, c *Capture) (*shot, error) {
	p := &e.launch.Protocol.Profile
	s := &shot{r: r, e: e, c: c, vocab: c.Vocab, dir: filepath.Join(e.dir, "captures", c.ID)}
	if p.DirAtLaunch {
		s.dir = filepath.Join(e.dir, tracesDir)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return s, err
	}
	s.calls = strings.NewReplacer(framework.OutputPlaceholder, s.dir, framework.StepsPlaceholder, strconv.Itoa(c.Steps+p.ExtraSteps),
		framework.StagePlaceholder, c.Stage, framework.RunDirPlaceholder, e.dir)
	for i := range e.launch.Points {
		if spec := &e.launch.Points[i].Spec; s.vocab.Size() < 2 && spec.Scenario.Kind == contract.KindRandom {
			s.vocab = spec.Vocab
		}
	}
	if s.vocab.Size() < 2 {
		return s, errors.New("the capture names no token range and the launch has no random point")
	}
	s.before = s.list()
	return s, nil
}

// spec is n requests at once of the capture's shape: prefill is input → 1 token, decode is 1 → output tokens.
func (s *shot) spec(n int, seed uint64) bench.Spec {
	in, out := s.c.InputLen, 1
	if s.c.Stage == stageDecode {
		in, out = 1, s.c.OutputLen
	}
	return bench.Spec{
		Scenario: contract.Scenario{Name: "capture", Kind: contract.KindRandom, InputLen: max(1, in), OutputLen: max(1, out), NumPrompts: n,
			Arrival: contract.ArrivalBurst, IgnoreEOS: true, Stream: true, Primary: contract.PrimaryMetric(contract.ArrivalBurst)},
		Seed:  bench.MixSeed(s.c.Seed, "profile/"+s.c.ID, "capture", int(seed)), //nolint:gosec // small
		Phase: "profile", Vocab: s.vocab, Deadline: captureLoad,
	}
}

func (s *shot) send(ctx context.Context, n int, seed uint64) error {
	point, err := s.r.load(ctx, s.e, s.spec(n, seed), nil)
	if err != nil {
		return fmt.Errorf("load for the profile: %w", err)
	}
	if point.Status != bench.StatusOK || point.Counts.OK < n {
		return fmt.Errorf("load for the profile: %d of %d requests succeeded: %s", point.Counts.OK, n, point.Reason)
	}
	return nil
}

func (s *shot) warmUp(ctx context.Context) error {
	for i := range s.c.Warmup {
		if err := s.send(ctx, s.width(), uint64(1000+i)); err != nil {
			return err
		}
	}
	return nil
}

// width is how many requests go at once: prefill is sequential, so that a step holds one prompt.
func (s *shot) width() int {
	if s.c.Stage == stageDecode {
		return max(1, s.c.Batch)
	}
	return 1
}

// take starts the profiler, offers the stage's load and stops the profiler. Prefill needs a request a step; one decode
// request takes a step for every token, so load is repeated only where the output is shorter than the steps wanted.
func (s *shot) take(ctx context.Context) error {
	p := &s.e.launch.Protocol.Profile
	if err := s.call(ctx, *p.Start); err != nil {
		return fmt.Errorf("start the profiler: %w", err)
	}
	steps := s.c.Steps + p.ExtraSteps
	rounds := steps
	if s.c.Stage == stageDecode {
		rounds = (steps + max(1, s.c.OutputLen) - 1) / max(1, s.c.OutputLen)
	}
	var loadErr error
	for i := range max(1, rounds) {
		if loadErr = s.send(ctx, s.width(), uint64(i)); loadErr != nil {
			break
		}
	}
	if p.Stop != nil {
		if err := s.call(context.WithoutCancel(ctx), *p.Stop); err != nil && !p.StopMayFail && loadErr == nil {
			return fmt.Errorf("stop the profiler: %w", err)
		}
	}
	return loadErr
}

// call sends a profiler call. Stopping blocks while the trace is written.
func (s *shot) call(ctx context.Context, call framework.Call) error {
	ctx, stop := context.WithTimeout(ctx, s.r.plan.TraceWait)
	defer stop()
	call.Body = s.calls.Replace(call.Body)
	call.Path = s.calls.Replace(call.Path)
	r, err := s.e.control.send(ctx, s.e.port+s.e.launch.Protocol.ControlOff, call)
	if err != nil {
		return err
	}
	if !r.isOK() {
		return fmt.Errorf("%s %s: status %d: %s", call.Method, call.Path, r.status, cleanLine(string(r.body), 200))
	}
	return nil
}

// list gives the trace files that are there, with their sizes.
func (s *shot) list() map[string]int64 {
	found := map[string]int64{}
	_ = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // what cannot be read is no trace yet
		}
		for _, pattern := range s.e.launch.Protocol.Profile.FilePatterns {
			if ok, _ := filepath.Match(s.calls.Replace(pattern), d.Name()); !ok {
				continue
			}
			if info, err := d.Info(); err == nil {
				found[path] = info.Size()
			}
		}
		return nil
	})
	return found
}

// fresh gives the files of this capture: new ones, and those that grew.
func (s *shot) fresh() map[string]int64 {
	now := s.list()
	for path, size := range s.before {
		if now[path] == size {
			delete(now, path)
		}
	}
	return now
}

// await waits until at least one trace is there, every one is complete, and none has changed for a while (ranks write
// theirs one after the other).
func (s *shot) await(ctx context.Context) error {
	var last string
	still := time.Now()
	for end := time.Now().Add(s.r.plan.TraceWait); ; {
		now := s.fresh()
		if view := fmt.Sprint(now); view != last {
			last, still = view, time.Now()
		}
		torn := ""
		for path := range now {
			if !isComplete(path) {
				torn = filepath.Base(path)
			}
		}
		switch {
		case len(now) > 0 && torn == "" && time.Since(still) >= s.r.plan.TraceSettle:
			return nil
		case s.e.isDead():
			return errors.New("the server died while it wrote the trace")
		case time.Now().After(end) && torn != "":
			return fmt.Errorf("trace %s is still incomplete after %s", torn, s.r.plan.TraceWait)
		case time.Now().After(end):
			return fmt.Errorf("no trace that matches %s appeared: %s", s.calls.Replace(strings.Join(s.e.launch.Protocol.Profile.FilePatterns, ", ")), s.seen())
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// seen says what lies in the folder instead.
func (s *shot) seen() string {
	entries, _ := os.ReadDir(s.dir)
	if len(entries) == 0 {
		return "the folder is empty"
	}
	var names []string
	for _, d := range entries[:min(10, len(entries))] {
		names = append(names, d.Name())
	}
	return "the folder holds " + cleanLine(strings.Join(names, ", "), 200)
}

func (s *shot) files() []File {
	files := []File{}
	if s.before == nil {
		return files
	}
	for path := range s.fresh() {
		if f, err := s.r.file(path, "trace"); err == nil {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return files
}

// isComplete says whether a trace file ends as it should: a gzip file in a member whose size field is not zero, JSON in
// a closing bracket.
func isComplete(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || info.Size() < 20 {
		return false
	}
	if strings.HasSuffix(path, ".gz") {
		return gzipEnds(f)
	}
	tail := make([]byte, 64)
	n, _ := f.ReadAt(tail, max(0, info.Size()-64))
	end := bytes.TrimSpace(tail[:n])
	return len(end) > 0 && (end[len(end)-1] == '}' || end[len(end)-1] == ']' || !strings.HasSuffix(path, ".json"))
}

// gzipEnds unpacks the file to its end: only then checksum and size are known to be there.
func gzipEnds(f io.Reader) bool {
	return drainGzip(f) == nil
}
