package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// Opener opens a file for upload; it may be called more than once.
type Opener func() (io.ReadCloser, error)

// Client drives workers on one host. It holds no state of a run: any client with the same connection and workdir sees
// the same runs. It is safe for concurrent use.
type Client struct {
	conn    hosts.Conn
	binary  string
	workdir string
}

// maxAnswer is far above the largest answer, a status with every event of a long run.
const maxAnswer = 64 << 20

// startWait is how long Start waits for a detached worker's first sign of life.
const startWait = 30 * time.Second

// NewClient makes a client for the program remoteBinary (absolute) and the folder workdir ("~/" allowed) on conn's host.
func NewClient(conn hosts.Conn, remoteBinary, workdir string) *Client {
	return &Client{conn: conn, binary: remoteBinary, workdir: workdir}
}

// Start makes p run on the host: it prepares the run folder, uploads the inbox files that are missing there and starts
// the worker, detached. It returns when the worker holds its lease or has ended. A repeated Start of one RunID attaches
// to the same run, whatever its state. A GPU in other hands is a fault.Busy that names the owner, after which the same
// plan may be started again; a run folder with another plan is a fault.Conflict.
func (c *Client) Start(ctx context.Context, p Plan, inbox map[string]Opener) error {
	if p.Workdir == "" {
		p.Workdir = c.workdir
	}
	var ready prepared
	if err := c.call(ctx, VerbPrepare, p, &ready); err != nil {
		return err
	}
	if ready.State != StateStarting {
		return nil
	}
	for _, name := range ready.Missing {
		open, ok := inbox[name]
		if !ok {
			return fault.New(fault.InvalidInput, "the plan needs inbox file %q", name).
				At("inbox", name, slices.Sorted(maps.Keys(inbox))...)
		}
		if err := c.upload(ctx, open, path.Join(ready.Dir, inboxDir, name)); err != nil {
			return err
		}
	}
	if _, err := c.conn.Start(ctx, hosts.Cmd{Argv: []string{c.binary, "worker", VerbRun, "--dir", ready.Dir}}); err != nil {
		return err
	}
	return c.awaitStart(ctx, p.RunID)
}

func (c *Client) upload(ctx context.Context, open Opener, dst string) error {
	r, err := open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	return c.conn.Upload(ctx, r, dst, 0o600)
}

// awaitStart polls until the run has begun, has ended, or was refused before it began.
func (c *Client) awaitStart(ctx context.Context, runID string) error {
	wait := 50 * time.Millisecond
	for began := time.Now(); ; wait = min(2*wait, time.Second) {
		st, err := c.Status(ctx, runID, 0)
		switch {
		case err != nil:
			return err
		case st.Refused != nil:
			return st.Refused.fault()
		case st.State != StateStarting:
			return nil
		case time.Since(began) > startWait:
			return fault.New(fault.Timeout, "the worker of run %q gave no sign of life within %s", runID, startWait).
				Hint("start it again: a repeated start is the same start")
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// Status gives a run's state and its events after seq since. A run that is not there has StateAbsent; that is no error.
func (c *Client) Status(ctx context.Context, runID string, since int) (Status, error) {
	var st Status
	err := c.call(ctx, VerbStatus, runRequest{Workdir: c.workdir, RunID: runID, Since: since}, &st)
	return st, err
}

// Fetch copies the artifact name (relative to the run folder, as in Event.Files) into w and checks it against the digest
// taken on the host; a difference is a fault.Corrupt. After an error w may hold a part of the file.
func (c *Client) Fetch(ctx context.Context, runID, name string, w io.Writer) error {
	var f fileAnswer
	if err := c.call(ctx, VerbFile, runRequest{Workdir: c.workdir, RunID: runID, Name: name}, &f); err != nil {
		return err
	}
	sum := sha256.New()
	if err := c.conn.Download(ctx, f.Path, io.MultiWriter(w, sum)); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return fault.New(fault.Corrupt, "%q arrived with another digest than it has on the host", name).At("sha256", got, f.SHA256)
	}
	return nil
}

// Cancel asks a run to tear down and returns when that is confirmed or ctx ends. What a lost run left behind is reaped.
// A run that is absent or has ended needs nothing.
func (c *Client) Cancel(ctx context.Context, runID, reason string) error {
	var st Status
	if err := c.call(ctx, VerbCancel, runRequest{Workdir: c.workdir, RunID: runID, Reason: reason}, &st); err != nil {
		return err
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		switch st.State {
		case StateRunning, StateStarting:
		case StateLost:
			_, err := c.Reap(ctx, runID)
			return err
		default:
			return nil
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
		var err error
		if st, err = c.Status(ctx, runID, 0); err != nil {
			return err
		}
	}
}

// Reap ends every process that a lost run left behind, and no other, and confirms that none is left; one that stays is a
// fault.Conflict naming it. A run whose worker lives is refused with fault.Busy.
func (c *Client) Reap(ctx context.Context, runID string) (Reaped, error) {
	var r Reaped
	err := c.call(ctx, VerbReap, runRequest{Workdir: c.workdir, RunID: runID}, &r)
	return r, err
}

// Probe gathers facts about the host.
func (c *Client) Probe(ctx context.Context, r ProbeRequest) (Facts, error) {
	if r.Workdir == "" {
		r.Workdir = c.workdir
	}
	var f Facts
	err := c.call(ctx, VerbProbe, r, &f)
	return f, err
}

// Query runs an engine's help or version command (argv from an adapter) with COLUMNS=1000, LC_ALL=C and NO_COLOR=1 and
// gives what it printed: standard output, and standard error after it where the command failed or printed nothing else.
// A command that outlives timeout is killed with its process group: a fault.Timeout. Exit -1 means that a signal ended it.
func (c *Client) Query(ctx context.Context, argv []string, env map[string]string, timeout time.Duration) (out string, exit int, err error) {
	var a queryAnswer
	if err := c.call(ctx, VerbQuery, queryRequest{Argv: argv, Env: env, Timeout: timeout}, &a); err != nil {
		return "", 0, err
	}
	if a.TimedOut {
		return a.Out, a.Exit, fault.New(fault.Timeout, "%q gave no answer within %s", argv, timeout)
	}
	if a.Exit != 0 || len(bytes.TrimSpace([]byte(a.Out))) == 0 {
		return a.Out + a.Err, a.Exit, nil
	}
	return a.Out, a.Exit, nil
}

// ReadInstalled gives the SHA-256 of files (relative to the package) of an engine's installed package e.ImportName; a
// file that is not installed is absent from the map.
func (c *Client) ReadInstalled(ctx context.Context, e framework.Engine, files []string) (map[string]string, error) {
	var a Installed
	p := Package{Venv: e.Venv, ImportName: e.ImportName, Files: files}
	if e.Venv == "" && e.Command != "" {
		p.Program = path.Join(e.Command, "python3")
	}
	err := c.call(ctx, VerbInstalled, p, &a)
	return a.Digests, err
}

// call runs one verb. The request travels as JSON on standard input, so no value ever becomes an argument.
func (c *Client) call(ctx context.Context, verb string, request, answer any) error {
	raw, err := json.Marshal(request)
	if err != nil {
		return err
	}
	res, err := c.conn.Run(ctx, hosts.Cmd{Argv: []string{c.binary, "worker", verb}, Stdin: bytes.NewReader(raw), MaxOutput: maxAnswer})
	if err != nil {
		return err
	}
	if !res.IsSuccess() || res.Truncated {
		return fault.New(fault.Internal, "worker %s ended with exit %d %s: %s", verb, res.ExitCode, res.Signal, fault.Foreign(string(res.Stderr), 400)).
			Hint("run `%s worker %s` on the host by hand", c.binary, verb)
	}
	return decodeAnswer(res.Stdout, answer)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
