package loop

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/jobs"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/rules"
)

// campaign is one campaign as this process holds it.
type campaign struct {
	loop   *Loop
	id     string
	ledger *ledger.Ledger

	mu       sync.Mutex
	cached   *State
	told     map[string]bool // failed jobs whose failure a call has answered with
	unlock   func()          // held runner lock
	runLocal sync.Mutex
	showing  sync.Mutex // one head at a time is shown to the witness
}

func newCampaign(l *Loop, id, dir string) (*campaign, error) {
	led, err := ledger.Open(dir, l.locks(), Kinds)
	if err != nil {
		return nil, err
	}
	return &campaign{loop: l, id: id, ledger: led, told: map[string]bool{}}, nil
}

// state replays the ledger, or gives the last replay where nothing was added.
func (c *campaign) state() (*State, error) {
	entries, err := c.ledger.Entries()
	if err != nil {
		return nil, err
	}
	return c.replay(entries)
}

func (c *campaign) replay(entries []chain.Entry) (*State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cached != nil && c.cached.Entries == len(entries) && len(entries) > 0 && c.cached.Head == entries[len(entries)-1].Hash {
		return c.cached, nil
	}
	s, err := Replay(entries)
	if err != nil {
		return nil, fault.Wrap(fault.Corrupt, err, "the ledger of %s cannot be replayed", c.id).Hint("run `sotaloop verify %s`", c.ledger.Dir())
	}
	if s.Contract == nil {
		return nil, fault.New(fault.Corrupt, "the ledger of %s holds no contract", c.id).Hint("open a new campaign")
	}
	c.cached = s
	return s, nil
}

// record appends what decide gives, seen under the ledger's lock; nil pending writes nothing.
func (c *campaign) record(ctx context.Context, decide func(*State) ([]chain.Pending, error)) error {
	_, err := c.ledger.Append(ctx, func(entries []chain.Entry) ([]chain.Pending, error) {
		s, err := c.replay(entries)
		if err != nil {
			return nil, err
		}
		return decide(s)
	})
	return err
}

// put appends one entry unconditionally; replay ignores a repeated key.
func (c *campaign) put(ctx context.Context, kind string, payload any) error {
	p, err := entry(kind, payload)
	if err != nil {
		return err
	}
	_, err = c.ledger.Append(ctx, func([]chain.Entry) ([]chain.Pending, error) { return []chain.Pending{p}, nil })
	return err
}

// refuse records a rule's refusal and gives it as a fault.
func (c *campaign) refuse(ctx context.Context, tool string, v *rules.Violation) error {
	f := v.Fault()
	if err := c.put(ctx, kindRefused, RuleRefused{Tool: tool, Rule: v.Rule, What: v.What}); err != nil {
		c.loop.opt.Log.Warn("record refusal", "campaign", c.id, "err", err)
	}
	if len(f.Next) == 0 {
		if s, err := c.state(); err == nil {
			f.Next = s.allowedNow()
		}
	}
	return f
}

// specDigest identifies a call: the same tool with the same arguments is the same job.
func specDigest(tool string, args any) (string, json.RawMessage, error) {
	raw, err := json.Marshal(args)
	if err != nil {
		return "", nil, fmt.Errorf("serialise arguments: %w", err)
	}
	sum := sha256.Sum256(append([]byte(tool+"\n"), raw...))
	return hex.EncodeToString(sum[:16]), raw, nil
}

// ensureJob finds the job of a call or records a new one, and sees that somebody runs it. The first call after a job
// failed or was canceled answers with that; the next one starts it anew under a new id. What was measured stays. A new
// job is recorded only where no check objects to the state seen under the ledger's lock: of two calls at once that
// exclude each other, one is refused.
func (c *campaign) ensureJob(ctx context.Context, tool string, args any, checks ...func(*State) *rules.Violation) (*Job, error) {
	spec, raw, err := specDigest(tool, args)
	if err != nil {
		return nil, err
	}
	var id string
	var objection *rules.Violation
	err = c.record(ctx, func(s *State) ([]chain.Pending, error) {
		if j := s.lastJob(spec); j != nil && (j.End == nil || j.End.State == "done" || c.tellOnce(j.Job)) {
			id = j.Job
			return nil, nil
		}
		var err error
		if objection, err = c.policed(s, tool); err != nil || objection != nil {
			return nil, err
		}
		for _, check := range checks {
			if objection = check(s); objection != nil {
				return nil, nil
			}
		}
		id = fmt.Sprintf("job-%d", len(s.Jobs)+1)
		p, err := entry(kindJob, JobStarted{Job: id, Tool: tool, Spec: spec, Args: raw})
		return []chain.Pending{p}, err
	})
	if err != nil {
		return nil, err
	}
	if objection != nil {
		return nil, c.refuse(ctx, tool, objection)
	}
	if err := c.adopt(ctx); err != nil {
		return nil, err
	}
	s, err := c.state()
	if err != nil {
		return nil, err
	}
	return s.Job(id), nil
}

// tellOnce says whether a job's bad end has still to be told, and marks it as told.
func (c *campaign) tellOnce(job string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	told := c.told[job]
	c.told[job] = true
	return !told
}

// openJob finds the newest job of a call without starting one.
func (c *campaign) openJob(s *State, tool string, args any) *Job {
	spec, _, err := specDigest(tool, args)
	if err != nil {
		return nil
	}
	return s.lastJob(spec)
}

// adopt runs the campaign's open jobs in this process when it is, or can become, the campaign's runner.
func (c *campaign) adopt(context.Context) error {
	s, err := c.state()
	if err != nil {
		return err
	}
	open := false
	for _, j := range s.Jobs {
		open = open || j.End == nil
	}
	if !open {
		return nil
	}
	held, err := c.lead()
	if err != nil || !held {
		return err
	}
	for _, j := range s.Jobs {
		if j.End != nil {
			continue
		}
		if v, ok := c.loop.jobs.View(c.key(j.Job), 0); ok && (v.Running || errors.Is(v.Err, context.Canceled)) {
			continue
		}
		c.loop.jobs.Start(c.key(j.Job), c.work(j.JobStarted))
	}
	return nil
}

// lead takes the runner lock, or says that another process holds it.
func (c *campaign) lead() (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unlock != nil {
		return true, nil
	}
	unlock, held, err := chain.TryLock(filepath.Join(c.loop.locks(), c.id+".runner"))
	if err != nil || !held {
		return false, err
	}
	c.unlock = unlock
	return true, nil
}

func (c *campaign) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unlock != nil {
		c.unlock()
		c.unlock = nil
	}
}

func (c *campaign) key(job string) jobs.Key { return jobs.Key{Campaign: c.id, ID: job} }

// work gives a job's function: the tool's effects, then its end in the ledger. A server that is shut down leaves the
// job open; another one goes on with it.
func (c *campaign) work(j JobStarted) jobs.Func {
	return func(ctx context.Context, p *jobs.Progress) error {
		err := c.effects(ctx, j, p)
		end := JobEnded{Job: j.Job, State: "done"}
		switch {
		case err == nil:
		case errors.Is(context.Cause(ctx), jobs.ErrCanceled):
			end.State = "canceled"
		case ctx.Err() != nil:
			return err
		default:
			end.State, end.Error = "failed", renderError(err)
		}
		if perr := c.put(context.WithoutCancel(ctx), kindJobEnded, end); perr != nil {
			return errors.Join(err, perr)
		}
		c.showSoon(ctx)
		return err
	}
}

// effects runs a job by its tool.
func (c *campaign) effects(ctx context.Context, j JobStarted, p *jobs.Progress) error {
	run, ok := map[string]func(context.Context, JobStarted, *jobs.Progress) error{
		"list_flags":         c.runFlags,
		"search_deployments": c.runSearch,
		"run_benchmark":      c.runBlocks,
		"capture_profile":    c.runProfile,
		"analyze_trace":      c.runAnalysis,
		"propose_patch":      c.awaitHuman,
		"revalidate":         c.runRevalidation,
	}[j.Tool]
	if !ok {
		return fmt.Errorf("no job for tool %q", j.Tool)
	}
	if j.Tool != "propose_patch" && j.Tool != "analyze_trace" { // one user of the GPUs at a time
		c.runLocal.Lock()
		defer c.runLocal.Unlock()
	}
	return run(ctx, j, p)
}

// failure is a fault as a job's end stores it.
type failure struct {
	Code    fault.Code   `json:"code"`
	Rule    string       `json:"rule,omitempty"`
	Message string       `json:"message"`
	Field   string       `json:"field,omitempty"`
	Got     string       `json:"got,omitempty"`
	Want    []string     `json:"want,omitempty"`
	Hints   []string     `json:"hints,omitempty"`
	Next    []fault.Next `json:"next,omitempty"`
}

func renderError(err error) json.RawMessage {
	out := failure{Code: fault.Internal, Message: err.Error()}
	if f, ok := fault.As(err); ok {
		out = failure{Code: f.Code, Rule: f.Rule, Message: f.Message, Field: f.Field, Got: f.Got, Want: f.Want, Hints: f.Hints, Next: f.Next}
		if f.Cause != nil {
			out.Message += ": " + fault.Foreign(f.Cause.Error(), 600)
		}
	}
	raw, _ := json.Marshal(out)
	return raw
}

// parseError gives a stored failure back as a fault.
func parseError(raw json.RawMessage) *fault.Error {
	var f failure
	if err := json.Unmarshal(raw, &f); err != nil {
		return fault.New(fault.Internal, "the job failed")
	}
	return &fault.Error{Code: f.Code, Rule: f.Rule, Message: f.Message, Field: f.Field, Got: f.Got, Want: f.Want, Hints: f.Hints, Next: f.Next}
}

// jobAnswer gives the answer's head for a job: running, done, or the fault it ended with.
func (c *campaign) jobAnswer(j *Job) (Answer, error) {
	if j.End == nil {
		return Answer{State: StateRunning, Job: j.Job, Next: []fault.Next{{Tool: "wait_job", Why: "the job goes on; call again after it for the result"}}}, nil
	}
	switch j.End.State {
	case "failed":
		return Answer{}, parseError(j.End.Error).Hint("the same call again starts it anew; what was measured stays")
	case "canceled":
		return Answer{}, fault.New(fault.Canceled, "%s was canceled", j.Job).Hint("call again to start it anew; what was measured stays").Then(j.Tool, "the same call again starts it anew")
	}
	s, err := c.state()
	if err != nil {
		return Answer{}, err
	}
	return Answer{State: StateDone, Job: j.Job, Next: s.allowedNow()}, nil
}
