package loop

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/jobs"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// Polling of a run on its host: quick while it is young, so that short runs are not waited for, then slower.
const (
	firstPoll = 100 * time.Millisecond
	lastPoll  = 2 * time.Second
)

// maxLost bounds how often one call plans a run again whose worker was lost.
const maxLost = 3

// step is one run of a job on the host.
type step struct {
	job   string // what the run is for: a side, or a job; with name it makes the run id
	name  string
	plan  worker.Plan
	inbox map[string]worker.Opener
	// use says what a point is for: main, preflight, equality, unseen.
	use map[string]string
	// scenario is whose lengths the run's captures have.
	scenario string
	// done tells how much of the job the run is, for progress.
	from, to float64
}

// runID names a run: the same campaign, job and step give the same folder on the host. A campaign is named by its
// contract's digest, which holds a drawn seed: two homes give their campaigns the same names, and may share a host's account.
func runID(contractDigest, job, step string) string {
	sum := sha256.Sum256([]byte(contractDigest + "\n" + job + "\n" + step))
	return hex.EncodeToString(sum[:10])
}

// execute brings a run to its end: planned in the ledger, started on the host, every event of it recorded. It may be
// called again after any crash; what is recorded is not recorded twice. A run that was lost (its worker killed, the host
// rebooted), failed or canceled is followed by another for the launches that have no end.
func (c *campaign) execute(ctx context.Context, s step, p *jobs.Progress) error {
	for attempt, lost := 1, 0; ; attempt++ {
		state, err := c.state()
		if err != nil {
			return err
		}
		id := runID(state.Digest, s.job, fmt.Sprintf("%s#%d", s.name, attempt))
		if r, over := state.Runs[id]; over && r.State != worker.StateDone {
			continue
		} else if over {
			return nil
		}
		plan, err := c.planned(ctx, state, s, id)
		if err != nil || len(plan.Launches) == 0 {
			return err
		}
		end, err := c.follow(ctx, s, plan, p)
		if err != nil {
			return err
		}
		if err := c.put(ctx, kindRunEnded, end); err != nil {
			return err
		}
		if end.State != worker.StateLost {
			return runError(end)
		}
		if lost++; lost == maxLost {
			return fault.New(fault.FrameworkFailed, "the worker was lost %d times in step %s", lost, s.name).
				Hint("look at the host: reboots, an OOM killer or a session manager that ends detached processes")
		}
		p.Log("the worker was lost on the host; its unfinished launches are planned again")
	}
}

// planned gives the plan of a run: the stored one where the run was planned before, since a repeated start must be the
// same start; else the step's launches that have no end yet, recorded before anything happens on the host.
func (c *campaign) planned(ctx context.Context, st *State, s step, id string) (worker.Plan, error) {
	if r, ok := st.Plans[id]; ok {
		raw, err := c.ledger.ReadAll(r.Plan)
		if err != nil {
			return worker.Plan{}, err
		}
		var plan worker.Plan
		return plan, json.Unmarshal(raw, &plan)
	}
	plan := s.plan
	plan.RunID, plan.Job, plan.Campaign = id, s.job, c.id
	plan.Launches, plan.Tests = unfinished(st, plan.Launches), unfinishedTests(st, plan.Tests)
	if len(plan.Launches) == 0 {
		return plan, nil
	}
	art, err := c.ledger.PutJSON("benchmark/plans/"+id+".json", plan)
	if err != nil {
		return worker.Plan{}, err
	}
	return plan, c.planRun(ctx, RunPlanned{RunID: id, Job: s.job, Step: s.name, Host: st.Contract.Host.Name, Plan: art, Launches: len(plan.Launches)})
}

// runError gives a run's bad end as a fault; failed launches are results, not errors.
func runError(r RunEnded) error {
	if r.Busy {
		return fault.New(fault.Busy, "the host could not be used: %s", fault.Foreign(r.Error, 400)).ByRule("host.owned-only").Hint("wait until they have ended, or ask their owner; then call again: what was measured stays").
			Then("list_hosts", "with refresh it shows which GPUs are busy")
	}
	if r.Changed {
		return fault.New(fault.RuleViolation, "the host is not what the contract froze: %s", fault.Foreign(r.Error, 400)).ByRule("fair.same-contract").At("host", "").
			Hint("put it back as it was and call again: what was measured stays; or open a new campaign for the host as it is").
			Then("open_campaign", "a new campaign, from copies this one's terms")
	}
	switch r.State {
	case worker.StateFailed:
		f := fault.New(fault.FrameworkFailed, "the run on the host failed: %s", fault.Foreign(r.Error, 400))
		if strings.Contains(r.Error, "no space left on device") {
			f.Hint("free space on the host under the workdir of hosts.yaml; old run folders may go")
		}
		return f.Hint("call again to go on with the launches that are missing")
	case worker.StateCanceled:
		return fmt.Errorf("run canceled: %w", jobs.ErrCanceled)
	}
	return nil
}

// unfinished leaves out launches that have an end in the ledger.
func unfinished(s *State, launches []worker.Launch) []worker.Launch {
	done := map[string]bool{}
	for _, l := range s.Launches {
		done[l.Launch] = true
	}
	var out []worker.Launch
	for _, l := range launches {
		if !done[l.ID] {
			out = append(out, l)
		}
	}
	return out
}

// follow starts the plan (a repeated start is the same start) and records its events until it has ended. A lost
// connection is dialled again; the run on the host goes on meanwhile.
func (c *campaign) follow(ctx context.Context, s step, plan worker.Plan, p *jobs.Progress) (RunEnded, error) {
	st, err := c.state()
	if err != nil {
		return RunEnded{}, err
	}
	h, _, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return RunEnded{}, err
	}
	in := newIntake(c, s, plan)
	wait, started, broken, unsigned := firstPoll, false, 0, 0
	for {
		client, _, err := h.worker(ctx)
		if err == nil && !started {
			err = client.Start(ctx, plan, s.inbox)
			started = err == nil
		}
		var status worker.Status
		if err == nil {
			status, err = client.Status(ctx, plan.RunID, in.seq)
		}
		switch {
		case ctx.Err() != nil:
			return c.abandon(ctx, client, in)
		case err != nil && fault.CodeOf(err) == fault.HostUnreachable && broken < 60:
			broken++
			p.Set(0, "the host cannot be reached; the run goes on there, trying again")
			h.close()
		case err != nil:
			return RunEnded{}, err
		default:
			broken = 0
			if err := in.take(ctx, client, status.Events); err != nil {
				return RunEnded{}, err
			}
			p.Set(s.from+(s.to-s.from)*status.Fraction, status.Doing)
			if !ended(status.State) {
				break
			}
			err := c.keepReceipt(ctx, client, plan.RunID, p)
			switch {
			case err == nil:
				return in.ended(status), nil
			case fault.CodeOf(err) != fault.HostUnreachable && ctx.Err() == nil, unsigned == 60:
				return RunEnded{}, err
			}
			unsigned++
			h.close()
		}
		if err := pause(ctx, wait); err != nil {
			return c.abandon(ctx, client, in)
		}
		wait = min(wait*5/4, lastPoll)
	}
}

// abandon ends following: a canceled job cancels its run and waits for the teardown; a server that is shut down just
// leaves, and the run goes on.
func (c *campaign) abandon(ctx context.Context, client *worker.Client, in *intake) (RunEnded, error) {
	plan := in.plan
	if !errors.Is(context.Cause(ctx), jobs.ErrCanceled) || client == nil {
		return RunEnded{}, context.Cause(ctx)
	}
	clean, stop := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute)
	defer stop()
	if err := client.Cancel(clean, plan.RunID, "canceled by the caller"); err != nil {
		return RunEnded{}, err
	}
	if err := c.keepCanceled(clean, client, in); err != nil {
		return RunEnded{}, err
	}
	end := RunEnded{RunID: plan.RunID, State: worker.StateCanceled, Error: "canceled by the caller"}
	status, err := client.Status(clean, plan.RunID, in.seq)
	if err == nil && status.State == worker.StateDone { // it was over before it could be canceled
		err = in.take(clean, client, status.Events)
		end = in.ended(status)
	}
	if err == nil {
		err = c.keepReceipt(clean, client, plan.RunID, jobs.Discard())
	}
	if err != nil {
		return RunEnded{}, err
	}
	if err := c.put(clean, kindRunEnded, end); err != nil {
		return RunEnded{}, err
	}
	return RunEnded{}, context.Cause(ctx)
}

// keepCanceled records the launch that a canceled search was at: its candidate is skipped and the launch is spent, else
// canceling would be a way to measure again what looked bad. Candidate 0 is launched again, since every search begins
// with the shipped default; so are the launches of blocks, which need all of theirs.
func (c *campaign) keepCanceled(ctx context.Context, client *worker.Client, in *intake) error {
	st, err := c.state()
	if err != nil {
		return err
	}
	for _, l := range in.plan.Launches {
		if cand, ok := st.Candidate(l.Candidate); !ok || cand.Index == 0 || l.Phase != string(compare.PhaseSearch) {
			return nil
		}
	}
	status, err := client.Status(ctx, in.plan.RunID, in.seq)
	if err != nil {
		return err
	}
	return in.take(ctx, client, status.Events)
}

func ended(state string) bool {
	return state == worker.StateDone || state == worker.StateFailed || state == worker.StateCanceled || state == worker.StateLost
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fetch brings a file of a run into the ledger's artifacts.
func (c *campaign) fetch(ctx context.Context, client *worker.Client, run string, f worker.File, name string) (ledger.Artifact, error) {
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(client.Fetch(ctx, run, f.Name, pw)) }()
	art, err := c.ledger.Put(name, pr)
	if err != nil {
		_ = pr.CloseWithError(err)
		return ledger.Artifact{}, err
	}
	if art.SHA256 != f.SHA256 {
		return ledger.Artifact{}, fault.New(fault.Corrupt, "%s changed on its way from the host", f.Name).At("sha256", art.SHA256, f.SHA256).Hint("call again")
	}
	return art, nil
}

// fetchText brings a log into the artifacts, without secrets and control sequences.
func (c *campaign) fetchText(ctx context.Context, client *worker.Client, run string, f worker.File, name string) (ledger.Artifact, error) {
	var b strings.Builder
	if err := client.Fetch(ctx, run, f.Name, &b); err != nil {
		return ledger.Artifact{}, err
	}
	return c.ledger.Put(name, strings.NewReader(c.loop.opt.Redact.String(b.String())))
}

// once appends an entry unless its key is in the ledger.
func (c *campaign) once(ctx context.Context, kind, key string, payload any) error {
	return c.record(ctx, func(s *State) ([]chain.Pending, error) {
		if s.has(kind, key) {
			return nil, nil
		}
		p, err := entry(kind, payload)
		return []chain.Pending{p}, err
	})
}

// decodeArgs reads a job's stored arguments.
func decodeArgs[T any](j JobStarted) (T, error) {
	var args T
	err := json.Unmarshal(j.Args, &args)
	return args, err
}
