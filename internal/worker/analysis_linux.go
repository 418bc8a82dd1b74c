package worker

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/trace"
)

// niceness of an analysis: whatever else the host does comes first.
const niceness = 19

// analyze computes a trace's tables here.
func analyze(ctx context.Context, o HostOptions) (any, error) {
	r, err := request[AnalysisRequest](o)
	if err != nil {
		return nil, err
	}
	path, err := traceFile(o, r.Workdir, r.Trace)
	if err != nil {
		return nil, err
	}
	opt := trace.Options{Labels: map[string]string{path: r.Stage}, Server: r.Server}
	if r.Mapping != nil {
		mapping, err := traceFile(o, r.Workdir, *r.Mapping)
		if err != nil {
			return nil, err
		}
		opt.Mapping = []string{mapping}
	}
	for _, thread := range threads(os.Getpid()) { // later ones are as those that make them
		_ = unix.Setpriority(unix.PRIO_PROCESS, thread, niceness)
	}
	said, note := time.Now(), progressName(path)
	opt.Progress = func(done, total int64) {
		if now := time.Now(); now.Sub(said) >= progressEvery/2 {
			said = now
			_ = refreshJSON(note, bytesRead{Done: done, Total: total}) // a reader's comfort: without space there is none
		}
	}
	defer func() { _ = os.Remove(note) }()
	a, err := trace.Analyze(ctx, []string{path}, opt)
	if err != nil {
		return nil, err
	}
	if got := a.Files[0].Digest; r.SHA256 != "" && got != r.SHA256 {
		return nil, fault.New(fault.Corrupt, "trace %q is not the one that was captured", r.Trace.Name).At("sha256", got, r.SHA256).Hint("capture it again")
	}
	a.Rename(path, r.Trace.Name)
	for _, mapping := range opt.Mapping {
		a.Rename(mapping, r.Mapping.Name)
	}
	return a, nil
}

// traceFile finds a run's trace; nothing outside the run folder is read, by whatever name.
func traceFile(o HostOptions, workdir string, t TraceOnHost) (string, error) {
	workdir, err := expand(workdir, o.Home)
	if err != nil {
		return "", err
	}
	dir, err := runPath(workdir, t.RunID)
	if err != nil {
		return "", err
	}
	if !filepath.IsLocal(t.Name) {
		return "", fault.New(fault.InvalidInput, "%q is not a name inside the run folder", t.Name).At("name", t.Name)
	}
	root, err := os.OpenRoot(dir)
	if err == nil {
		defer func() { _ = root.Close() }()
		var info os.FileInfo
		if info, err = root.Lstat(t.Name); err == nil && !info.Mode().IsRegular() {
			err = errors.New("it is no regular file")
		}
	}
	if err != nil {
		return "", fault.Wrap(fault.NotFound, err, "the host no longer has trace %q of run %q", t.Name, t.RunID).At("name", t.Name).
			Hint("capture the profile again: large traces stay in the run folders of their host")
	}
	return filepath.Join(dir, t.Name), nil
}
