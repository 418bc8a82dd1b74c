package loop

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/rules"
)

// Sections of a campaign that get_campaign lists.
var sections = []string{"contract", "candidates", "rows", "launches", "verdicts", "traces", "refusals", "cost"}

// pageItems is how many items one answer holds.
const (
	pageItems = 25
	pageBytes = 5000 // of items; a client has some 25,000 tokens for an answer, and an agent better things to read
)

// Get gives a campaign's phase, what is allowed now and why the rest is not; without a campaign, the list of them.
func (l *Loop) Get(_ context.Context, id, section, cursor string) (CampaignView, error) {
	if id == "" {
		return l.list(cursor)
	}
	c, st, err := l.open(id)
	if err != nil {
		return CampaignView{}, err
	}
	if section != "" && !slices.Contains(sections, section) {
		return CampaignView{}, fault.New(fault.InvalidInput, "unknown section %q", section).At("section", section, sections...)
	}
	allowed := st.allowedNow()
	out := CampaignView{
		Answer:   Answer{State: StateDone, Next: allowed[:min(1, len(allowed))], Warnings: st.marks()},
		Campaign: id, Phase: st.Phase(), Round: st.Round(), Verdict: st.Verdict(), Digest: st.Digest,
		Allowed: allowed, Blocked: []Blocked{}, Jobs: []JobView{}, Proposals: []ProposalView{}, Items: []map[string]any{}, Summary: map[string]any{},
	}
	if section == "" {
		out.Blocked, out.Jobs, out.Proposals, out.Summary = st.blocked(c), c.jobViews(st), c.proposalViews(st), st.summary()
		limits, changes := c.inForce(st)
		out.Summary["policy"], out.Summary["trust_roots"], out.Summary["host_level"] = limits, c.loop.trustRoots().Level(), st.HostLevel()
		out.Warnings = append(out.Warnings, changes...)
	}
	items := c.items(st, section)
	from, err := cursorAt(cursor, len(items))
	if err != nil {
		return CampaignView{}, err
	}
	page, next := pageOf(items, from, pageItems, pageBytes)
	out.Items = append(out.Items, page...)
	if next > 0 {
		out.Cursor = strconv.Itoa(next)
		out.Next = append(out.Next, fault.Next{Tool: "get_campaign", Why: fmt.Sprintf("section %s with cursor %d has the rest of %d items", section, next, len(items))})
	}
	return out, nil
}

// list gives every campaign with phase and verdict, newest first.
func (l *Loop) list(cursor string) (CampaignView, error) {
	names, err := l.Campaigns()
	if err != nil {
		return CampaignView{}, err
	}
	out := CampaignView{Answer: Answer{State: StateDone, Next: []fault.Next{{Tool: "open_campaign", Why: "opens a campaign"}}}, Summary: map[string]any{},
		Allowed: []fault.Next{}, Blocked: []Blocked{}, Jobs: []JobView{}, Proposals: []ProposalView{}, Items: []map[string]any{}}
	from, err := cursorAt(cursor, len(names))
	if err != nil {
		return CampaignView{}, err
	}
	for _, name := range names[from:min(from+pageItems, len(names))] {
		c, err := l.campaign(name)
		if err != nil {
			continue
		}
		st, err := c.state()
		if err != nil {
			out.Items = append(out.Items, map[string]any{"campaign": name, "problem": short(err.Error(), 200)})
			continue
		}
		out.Items = append(out.Items, map[string]any{"campaign": name, "phase": st.Phase(), "verdict": st.Verdict(), "model": st.Contract.Model.ID, "host": st.Contract.Host.Name})
	}
	if next := from + pageItems; next < len(names) {
		out.Cursor = strconv.Itoa(next)
	}
	if len(names) > 0 {
		out.Next = append([]fault.Next{{Tool: "get_campaign", Why: "with a campaign: where it stands and what is allowed next"}}, out.Next...)
	}
	return out, nil
}

// blocked names the tools that a rule refuses now, with the rule and what would open them.
func (s *State) blocked(c *campaign) []Blocked {
	out := []Blocked{}
	add := func(tool string, v *rules.Violation) {
		if v != nil {
			out = append(out, Blocked{Tool: tool, Rule: v.Rule, Fix: v.Fix})
		}
	}
	add("run_benchmark", rules.Check(rules.AtBenchmark, &rules.Facts{Contract: s.Contract, Blocks: s.blockFacts(nil, 0, s.bestCandidates())}))
	add("compare_results", rules.Check(rules.AtCompare, &rules.Facts{Contract: s.Contract, Blocks: s.blockFacts(nil, 0, nil)}))
	add("capture_profile", rules.Check(rules.AtProfile, &rules.Facts{Contract: s.Contract, Blocks: &rules.BlockFacts{}, Verdicts: s.verdictFacts()}))
	branch := ""
	if n := len(s.Proposals); n > 0 {
		p := s.Proposals[n-1]
		if p.Branch != nil {
			branch = p.Branch.Branch
		} else {
			add("apply_patch_branch", rules.Check(rules.AtApply, &rules.Facts{Contract: s.Contract, Approval: c.approvalFacts(s, p)}))
		}
	}
	add("revalidate", rules.Check(rules.AtRevalidate, &rules.Facts{Contract: s.Contract, Blocks: &rules.BlockFacts{}, Branch: branch}))
	return out
}

// bestCandidates are the searches' winners of the first scenario, or the fixed commands.
func (s *State) bestCandidates() []string {
	var out []string
	for _, side := range s.Contract.Sides() {
		if e, ok := s.Searches[side.Entry]; ok {
			out = append(out, e.Best[s.Contract.Scenarios[0].Name])
		} else if side.Flags != nil {
			out = append(out, side.Entry+"-00")
		}
	}
	return out
}

func (c *campaign) jobViews(st *State) []JobView {
	out := []JobView{}
	for _, j := range st.Jobs[max(0, len(st.Jobs)-8):] {
		out = append(out, c.jobView(st, j))
	}
	return out
}

// jobView is a job as the ledger and, where it runs here, this process know it.
func (c *campaign) jobView(st *State, j *Job) JobView {
	v := JobView{Job: j.Job, Tool: j.Tool, State: StateRunning}
	if j.End != nil {
		v.State, v.Progress = j.End.State, 1
		if j.End.State == "failed" {
			v.Error = short(parseError(j.End.Error).Error(), 300)
		}
		return v
	}
	if live, ok := c.loop.jobs.View(c.key(j.Job), 0); ok {
		v.Progress, v.Doing, v.ETA = round(live.Fraction), live.Doing, round(live.ETA.Seconds())
	}
	if j.Tool == "propose_patch" {
		v.State = "waiting_for_human"
	}
	return v
}

func (c *campaign) proposalViews(st *State) []ProposalView {
	out := []ProposalView{}
	for _, p := range st.Proposals {
		v := ProposalView{Proposal: p.ID, State: p.State(), Digest: p.Digest}
		if n := len(p.Approvals); n > 0 {
			v.Reason = p.Approvals[n-1].reason()
		}
		switch {
		case p.Branch != nil:
			v.Branch = p.Branch.Branch
			level := p.level()
			v.Level, v.LevelWhy = level.Level, level.Why
		case p.decision() == "approve":
			facts, x := c.judged(st, p)
			v.Level, v.LevelWhy = x.level.Level, x.level.Why
			if facts.Problem != "" {
				v.LevelWhy = "the approval does not hold: " + facts.Problem
			}
		}
		out = append(out, v)
	}
	return out
}

// items lists a section.
func (c *campaign) items(st *State, section string) []map[string]any {
	out := []map[string]any{}
	switch section {
	case "contract":
		out = append(out, rounded(asMap(st.Contract)))
	case "candidates":
		for _, cand := range st.Candidates {
			out = append(out, candidateLine(st, cand))
		}
	case "rows":
		for _, phase := range []compare.Phase{compare.PhaseSearch, compare.PhaseRace, compare.PhaseBlock, compare.PhaseRevalidate} {
			rows := st.Rows(phase, useMain)
			lines := rowLines(st, rows, nil)
			for i, r := range rows {
				if r.Rate != nil {
					lines[i]["tried"] = triedLines(r.Rate)
				}
			}
			out = append(out, lines...)
		}
	case "launches":
		for _, x := range st.Launches {
			line := map[string]any{"launch": x.Launch, "phase": x.Phase, "state": x.State, "seconds_s": round(x.SecondsS), "command": short(x.Command, 300)}
			if x.Failure != nil {
				line["class"], line["reason"] = x.Failure.Class, fault.Foreign(x.Failure.Reason, 200)
			}
			out = append(out, line)
		}
	case "verdicts":
		for _, v := range st.Verdicts {
			for _, x := range v.Result.Verdicts {
				line := verdictLine(x)
				line["family"], line["look"], line["phase"] = v.Family, v.Look, v.Phase
				out = append(out, line)
			}
		}
	case "traces":
		for _, t := range st.Traces {
			_, analysed := st.Analyses[t.ID]
			out = append(out, map[string]any{"trace": t.ID, "candidate": t.Candidate, "stage": t.Stage, "mapping": t.Mapping, "patch": t.Patch, "digest": t.File.SHA256[:16], "on_host": t.File.OnHost, "analysed": analysed})
		}
	case "refusals":
		for _, r := range st.Refusals {
			out = append(out, map[string]any{"tool": r.Tool, "rule": r.Rule, "what": r.What})
		}
	case "cost":
		for _, x := range st.Contract.Cost {
			out = append(out, rounded(asMap(x)))
		}
		for _, x := range st.Costs {
			out = append(out, rounded(asMap(x)))
		}
	}
	return out
}

// shortWait is how long a call waits for work that usually takes less than a second.
const shortWait = 3 * time.Second

// waits bounds wait_job: longer calls are lost by clients.
const (
	defaultWait = 45 * time.Second
	maxWait     = 50 * time.Second
	watchPoll   = 250 * time.Millisecond
	logLines    = 20 // the newest lines that an answer holds
)

// WaitJob waits for a job for at most timeout. Still running is no error.
func (l *Loop) WaitJob(ctx context.Context, campaignID, job string, timeout time.Duration, cursor string, progress func(done, total float64, message string)) (JobAnswer, error) {
	c, st, err := l.open(campaignID)
	if err != nil {
		return JobAnswer{}, err
	}
	j := st.Job(job)
	if j == nil {
		return JobAnswer{}, noJob(st, job)
	}
	from, err := strconv.Atoi(cmp.Or(cursor, "0"))
	if err != nil || from < 0 {
		return JobAnswer{}, fault.New(fault.InvalidInput, "unknown cursor %q", cursor).At("cursor", cursor).Hint("pass the cursor of the answer before, or none for the whole log")
	}
	if timeout <= 0 {
		timeout = defaultWait
	}
	timeout = min(timeout, maxWait)
	end := time.Now().Add(timeout)
	for j.End == nil && time.Now().Before(end) && ctx.Err() == nil {
		if v, ok := l.jobs.Wait(ctx, c.key(job), min(time.Until(end), time.Second), from); ok {
			if progress != nil {
				progress(v.Fraction, 1, v.Doing)
			}
		} else if err := pause(ctx, watchPoll); err != nil {
			break
		}
		if st, err = c.state(); err != nil {
			return JobAnswer{}, err
		}
		j = st.Job(job)
	}
	return c.waited(st, j, from), nil
}

// waited renders a job's state after a wait.
func (c *campaign) waited(st *State, j *Job, cursor int) JobAnswer {
	v := c.jobView(st, j)
	out := JobAnswer{Answer: Answer{State: v.State, Job: j.Job}, Progress: v.Progress, Doing: v.Doing, ETA: v.ETA, Error: v.Error, Log: []string{}}
	if live, ok := c.loop.jobs.View(c.key(j.Job), cursor); ok {
		out.Log, out.Cursor = live.Log[max(0, len(live.Log)-logLines):], strconv.Itoa(live.Cursor)
	}
	switch {
	case j.End == nil && j.Tool == "propose_patch":
		out.Next = []fault.Next{{Tool: "wait_job", Why: "a human decides; end the turn and come back, nothing is lost"}}
	case j.End == nil:
		out.Next = []fault.Next{{Tool: "wait_job", Why: "the job goes on; while much remains, end the turn: nothing is lost"}}
	case j.End.State == "done":
		out.Next = append([]fault.Next{{Tool: j.Tool, Why: "the same call again answers with the result"}}, st.allowedNow()...)
	case j.End.State == "failed":
		f := parseError(j.End.Error)
		out.Next = append(f.Next, st.allowedNow()...)
		out.Warnings = f.Hints
	default:
		out.Next = st.allowedNow()
	}
	return out
}

// noJob refuses a job id with the newest ones.
func noJob(st *State, job string) error {
	ids := jobIDs(st)
	f := fault.New(fault.NotFound, "no job %q in this campaign", job).At("job", job, ids[max(0, len(ids)-10):]...)
	if len(ids) == 0 {
		return f.Hint("no job was started yet").Then("get_campaign", "says what is allowed now")
	}
	return f.Hint("use a job of want").Then("get_campaign", "lists the newest jobs")
}

func jobIDs(st *State) []string {
	out := []string{}
	for _, j := range st.Jobs {
		out = append(out, j.Job)
	}
	return out
}

// CancelJob ends a job after the confirmed teardown of what it runs. A job that another server runs is refused.
func (l *Loop) CancelJob(ctx context.Context, campaignID, job, reason string) (JobAnswer, error) {
	c, st, err := l.open(campaignID)
	if err != nil {
		return JobAnswer{}, err
	}
	j := st.Job(job)
	if j == nil {
		return JobAnswer{}, noJob(st, job)
	}
	if strings.TrimSpace(reason) == "" {
		return JobAnswer{}, fault.New(fault.InvalidInput, "reason is empty").At("reason", reason).Hint("say in a few words why %s ends: a reader of the transcript will ask", job)
	}
	if v := rules.Check(rules.AtCancel, &rules.Facts{Contract: st.Contract, Words: []rules.Words{{Field: "reason", Text: reason}}}); v != nil {
		return JobAnswer{}, c.refuse(ctx, "cancel_job", v)
	}
	if j.End == nil {
		if err := c.adopt(ctx); err != nil {
			return JobAnswer{}, err
		}
		if !l.jobs.Cancel(ctx, c.key(job)) {
			return JobAnswer{}, fault.New(fault.Busy, "%s is run by another server of this home", job).Hint("cancel it from the client that started it, or close that client; this server takes over then")
		}
		l.opt.Log.Info("job canceled", "campaign", campaignID, "job", job, "reason", reason)
		if st, err = c.state(); err != nil {
			return JobAnswer{}, err
		}
		j = st.Job(job)
		return c.waited(st, j, 0), nil
	}
	out := c.waited(st, j, 0)
	out.Warnings = append(out.Warnings, fmt.Sprintf("%s had ended before (%s); nothing was cancelled", job, j.End.State))
	return out, nil
}
