package loop

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/jobs"
	"github.com/sotaloop/sotaloop/internal/policy"
	"github.com/sotaloop/sotaloop/internal/rules"
	"github.com/sotaloop/sotaloop/internal/search"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// searchArgs are a search job's arguments.
type searchArgs struct {
	Entry    string           `json:"entry"`
	Base     map[string]any   `json:"base"`
	Space    map[string][]any `json:"space"`
	Strategy string           `json:"strategy"`
	Default  bool             `json:"default_space,omitempty"` // the caller named no space
}

// Search finds one side's best deployment within the budget that every side gets. A side is searched once a campaign.
func (l *Loop) Search(ctx context.Context, r SearchRequest) (Search, error) {
	c, st, err := l.open(r.Campaign)
	if err != nil {
		return Search{}, err
	}
	side, err := sideOf(st.Contract, r.Framework)
	if err != nil {
		return Search{}, err
	}
	if r.Strategy == "" {
		r.Strategy = string(search.Auto)
	}
	if !slices.Contains(strategies(), r.Strategy) {
		return Search{}, fault.New(fault.InvalidInput, "unknown strategy %q", r.Strategy).At("strategy", r.Strategy, strategies()...)
	}
	args, fw, help, err := c.searchCall(st, side, r)
	if err != nil {
		return Search{}, err
	}
	if done, ok := st.Searches[side.Entry]; ok && c.openJob(st, "search_deployments", args) == nil {
		answer, err := c.searchAnswer(Answer{State: StateDone, Next: st.allowedNow()}, side.Entry)
		answer.Warnings = append(answer.Warnings, fmt.Sprintf("%s was searched already with %d launches; this is that result, and the arguments of this call were not used", side.Entry, done.Launches))
		return answer, err
	}
	check := func(now *State) *rules.Violation {
		return rules.Check(rules.AtSearch, &rules.Facts{Contract: now.Contract, Search: c.searchFacts(now, fw, help, side, args)})
	}
	if c.openJob(st, "search_deployments", args) == nil {
		if v := check(st); v != nil {
			return Search{}, c.refuse(ctx, "search_deployments", v)
		}
	}
	j, err := c.ensureJob(ctx, "search_deployments", args, check)
	if err != nil {
		return Search{}, err
	}
	answer, err := c.jobAnswer(j)
	if err != nil {
		return Search{}, err
	}
	if len(r.Space) == 0 {
		answer.Warnings = append(answer.Warnings, spaceWarnings(st.Contract, fw, help, args, len(r.BaseFlags))...)
	}
	return c.searchAnswer(answer, side.Entry)
}

// searchCall reads a call's arguments by the side's captured help; help is nil where none is captured yet.
func (c *campaign) searchCall(st *State, side contract.Side, r SearchRequest) (searchArgs, framework.Framework, *framework.Help, error) {
	args := searchArgs{Entry: side.Entry, Base: map[string]any{}, Space: map[string][]any{}, Strategy: r.Strategy}
	maps.Copy(args.Base, r.BaseFlags)
	maps.Copy(args.Space, r.Space)
	fw, err := framework.Of(side.Framework)
	if err != nil {
		return args, nil, nil, err
	}
	help, err := c.help(st, side.Entry)
	if err == nil && help != nil {
		args, err = args.spelled(st.Contract, fw, help)
	}
	return args, fw, help, err
}

func strategies() []string {
	var out []string
	for _, s := range search.Strategies {
		out = append(out, string(s))
	}
	return out
}

// searchFacts gathers what rules ask about a search.
func (c *campaign) searchFacts(st *State, fw framework.Framework, help *framework.Help, side contract.Side, args searchArgs) *rules.SearchFacts {
	f := &rules.SearchFacts{Side: side, Captured: help != nil, Running: st.searching(side.Entry)}
	if help != nil {
		f.Flags = flagUses(fw, help, args, c.listedFlag(st, side, help))
	}
	for i := range f.Flags {
		if v, set := c.setInHosts(st, side, f.Flags[i].Name); set {
			f.Flags[i].Problem, f.Flags[i].Value = "hosts.yaml sets it for every side of this engine", v
		}
	}
	return f
}

// searching is the job of a side's search that has not ended, "" where none runs.
func (s *State) searching(entry string) string {
	for _, j := range s.Jobs {
		if args, err := decodeArgs[searchArgs](j.JobStarted); err == nil && j.End == nil && j.Tool == "search_deployments" && args.Entry == entry {
			return j.Job
		}
	}
	return ""
}

// flagUses describes every flag of a base command and a space with all its values.
func flagUses(fw framework.Framework, help *framework.Help, args searchArgs, listed func(name string) bool) []rules.FlagUse {
	values := map[string][]any{}
	for name, v := range args.Base {
		values[name] = append(values[name], v)
	}
	for name, vs := range args.Space {
		values[name] = append(values[name], vs...)
	}
	var out []rules.FlagUse
	for _, name := range sortedKeys(values) {
		_, varied := args.Space[name]
		use := rules.FlagUse{Name: name, Values: values[name], Base: args.Base[name], Varied: varied, Role: fw.Role(name)}
		flag, ok := help.Find(name)
		if use.Known = ok; !ok {
			use.Nearest = help.Nearest(name, 3)
			if framework.IsVariable(name) {
				use.Known, use.Kind, use.Class = true, framework.KindString, foreignVariable(name)
			}
			out = append(out, use)
			continue
		}
		use.Kind, use.Class, use.Choices = flag.Kind, fw.Class(flag), flag.Choices
		use.Allowed = listed(flag.Name)
		for _, v := range use.Values {
			if err := flag.Accepts(v); err != nil {
				use.Problem, use.Value = err.Error(), fmt.Sprint(v)
				break
			}
		}
		out = append(out, use)
	}
	return out
}

// listedFlag says whether the policies of then and now both list a flag for a side, under whichever of its names. A policy
// that cannot be read lists nothing.
func (c *campaign) listedFlag(st *State, side contract.Side, help *framework.Help) func(name string) bool {
	f, err := c.force(st)
	return func(name string) bool {
		lists := func(p policy.Policy) bool {
			return slices.ContainsFunc(p.Flags[string(side.Framework)], func(listed string) bool {
				same, ok := help.Find(listed)
				return ok && same.Name == name
			})
		}
		return err == nil && lists(f.Now) && lists(f.Frozen)
	}
}

// foreignVariable is the class of a variable that the side's adapter does not name. No help lists variables, so that there
// is nothing else to know it by.
func foreignVariable(name string) framework.FlagClass {
	if framework.IsLoader(strings.TrimPrefix(name, framework.VariablePrefix)) {
		return framework.ClassForbidden
	}
	return framework.ClassHost
}

// setInHosts is the value that hosts.yaml gives a variable of a side's engine.
func (c *campaign) setInHosts(st *State, side contract.Side, name string) (value string, set bool) {
	variable, ok := strings.CutPrefix(name, framework.VariablePrefix)
	_, host, err := c.loop.host(st.Contract.Host.Name)
	if !ok || err != nil {
		return "", false
	}
	if value, set = host.Engines[baseEntry(side.Entry)].Env[variable]; set {
		return value, true
	}
	value, set = host.Env[variable]
	return value, set
}

// runSearch is the job: launch after launch until the strategy or the budget ends it. Every candidate stays.
func (c *campaign) runSearch(ctx context.Context, j JobStarted, p *jobs.Progress) error {
	args, err := decodeArgs[searchArgs](j)
	if err != nil {
		return err
	}
	st, err := c.state()
	if err != nil {
		return err
	}
	budget := searchBudget(st.Contract)
	space := search.NewSpace(args.Base, args.Space)
	if space, err = pruned(st.Contract, args, space); err != nil {
		return err
	}
	shipped, err := shippedDefault(st.Contract, args)
	if err != nil {
		return err
	}
	first := len(shipped) // candidates in front of the space's own
	budget.Launches -= first
	for {
		all := c.trials(st, args.Entry)
		var next search.Step
		if len(all) < first {
			next.Candidate = shipped[len(all)]
		} else {
			next = search.Next(all[first:], space, budget, search.Strategy(args.Strategy))
		}
		if next.Done && first > 0 {
			next.Why += ", beside the shipped default"
		}
		if next.Done {
			race, err := c.race(ctx, args, space, first, p)
			if err != nil {
				return err
			}
			return c.endSearch(ctx, args, searchEnd{why: next.Why, coverage: next.Coverage, race: race})
		}
		if first > 0 && len(all) == first {
			next.Candidate.Why = "the base flags alone"
		}
		p.Set(float64(len(all))/float64(budget.Launches+first), fmt.Sprintf("%s: launch %d of at most %d (%s)", args.Entry, len(all)+1, budget.Launches+first, next.Candidate.Why))
		if err := c.tryCandidate(ctx, args, len(all), first, next, p); err != nil {
			return err
		}
		if st, err = c.state(); err != nil {
			return err
		}
		if why := preflightFailure(st, args.Entry, first); why != "" {
			return c.endSearch(ctx, args, searchEnd{why: fmt.Sprintf("candidate %d does not serve the model", first), coverage: next.Coverage, failed: why})
		}
	}
}

// frameworkOf is the adapter of a side.
func frameworkOf(c *contract.Contract, entry string) (framework.Framework, error) {
	side, ok := c.Side(entry)
	if !ok {
		return nil, fmt.Errorf("no side %q", entry)
	}
	return framework.Of(side.Framework)
}

// shippedDefault is the candidate in front of a search with base flags: the engine as it is shipped, with no more of the
// base than its layout. Base flags hold for every other candidate of a side, so without this one they could hobble a side
// that is then called tuned.
func shippedDefault(c *contract.Contract, args searchArgs) ([]search.Candidate, error) {
	fw, err := frameworkOf(c, args.Entry)
	if err != nil {
		return nil, err
	}
	without := map[string]any{}
	for name := range args.Base {
		if fw.Role(name) == "" {
			without[name] = nil
		}
	}
	if len(without) == 0 {
		return nil, nil
	}
	return []search.Candidate{{Flags: without, Why: "shipped default, without base_flags"}}, nil
}

// tryCandidate records a candidate and runs its launch; the launch of the space's first, which has first candidates in
// front of it, begins with the preflight requests.
func (c *campaign) tryCandidate(ctx context.Context, args searchArgs, n, first int, next search.Step, p *jobs.Progress) error {
	st, err := c.state()
	if err != nil {
		return err
	}
	cand := next.Candidate
	flags := maps.Clone(args.Base)
	for k, v := range cand.Flags {
		flags[k] = v
		if v == nil {
			delete(flags, k)
		}
	}
	added := CandidateAdded{ID: fmt.Sprintf("%s-%02d", args.Entry, n), Entry: args.Entry, Index: n, Flags: flags, Knobs: cand.Flags, Why: cand.Why}
	if err := c.once(ctx, kindCandidate, added.ID, added); err != nil {
		return err
	}
	_, host, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return err
	}
	load := points(st.Contract, string(compare.PhaseSearch), 0)
	switch {
	case screens(st.Contract, args.Strategy) && n <= first:
		load = screened(st.Contract, openingRungs, 1, launchAt{phase: string(compare.PhaseSearch)})
	case screens(st.Contract, args.Strategy):
		load = screened(st.Contract, next.Rungs, st.probeScale(args.Entry), launchAt{phase: string(compare.PhaseSearch)})
	}
	if n == first {
		load = append([]worker.Point{preflightPoint(st.Contract)}, load...)
	}
	l, err := c.launch(st, host, launchSpec{id: added.ID + ".search", candidate: added, phase: string(compare.PhaseSearch), points: load})
	if err != nil {
		return err
	}
	budget := float64(st.Contract.Budget.Launches)
	launches := []worker.Launch{l}
	return c.execute(ctx, step{
		job: args.Entry, name: "search/" + added.ID, plan: c.plan(st, host, launches),
		use: uses(launches, map[string]string{usePreflight: usePreflight}), from: float64(n) / budget, to: float64(n+1) / budget,
	}, p)
}

// trials gives what a side's search has tried, in order.
func (c *campaign) trials(st *State, entry string) []search.Trial {
	var out []search.Trial
	scale := st.probeScale(entry)
	for _, cand := range st.Candidates {
		if cand.Entry != entry {
			continue
		}
		status, _ := st.candidateStatus(cand.ID)
		if status == "" {
			continue // recorded, its launch has not ended
		}
		t := search.Trial{Flags: cand.Knobs, Status: status}
		rows := searchRows(st, cand.ID)
		if score, ok := trialScore(st.Contract, rows); ok {
			t.Score = &score
		}
		if raw, full := fullScore(st.Contract, rows, 0); t.Score == nil || (full && raw == *t.Score) { // one that breaks the SLA is worth what its full load is
			for _, v := range st.probeScores(cand.ID) {
				t.Probes = append(t.Probes, v*scale)
			}
		}
		out = append(out, t)
	}
	return out
}

// searchRows are a candidate's rows of the search.
func searchRows(st *State, candidate string) []compare.Row {
	return st.rowsOf(candidate, compare.PhaseSearch, useMain)
}

// candidateStatus sums a candidate's search launch up: "" = not ended, ok, or how it failed with the reason.
func (s *State) candidateStatus(id string) (status, reason string) {
	for _, l := range s.Launches {
		if l.Candidate != id || l.Phase != string(compare.PhaseSearch) {
			continue
		}
		if l.State == "ok" {
			status, reason = "ok", ""
		} else if l.Failure != nil {
			status, reason = string(statusOf(l.Failure.Class)), l.Failure.Reason
		}
		for _, r := range append(searchRows(s, id), probeRows(s, id)...) {
			if status == "ok" && r.Status != compare.StatusOK {
				status, reason = string(r.Status), r.FailureReason
			}
		}
	}
	return status, reason
}

// preflightFailure says why the space's first candidate, number first, shows that the framework cannot serve the model
// here; an OOM is a candidate's failure, not the framework's.
func preflightFailure(st *State, entry string, first int) string {
	if shipped, _ := st.candidateStatus(entry + "-00"); first > 0 && shipped == "ok" {
		return "" // it is the base flags that do not
	}
	status, reason := st.candidateStatus(fmt.Sprintf("%s-%02d", entry, first))
	if status == "" || status == "ok" || status == string(compare.StatusOOM) {
		return ""
	}
	return short(reason, 300)
}

// searchEnd is how a search ended.
type searchEnd struct {
	why, failed string
	coverage    search.Coverage
	race        racing
}

// endSearch records effort, coverage and the best candidate of each scenario.
func (c *campaign) endSearch(ctx context.Context, args searchArgs, e searchEnd) error {
	st, err := c.state()
	if err != nil {
		return err
	}
	end := SearchEnded{Entry: args.Entry, Strategy: args.Strategy, Knobs: len(args.Space), Tried: e.coverage.Tried, Listed: e.coverage.Listed, Why: e.why, Failed: e.failed, Default: args.Default}
	if st.Contract.Budget.Race > 0 && e.failed == "" {
		e.race.told(&end)
	}
	scoreSearch(st, &end)
	return c.put(ctx, kindSearch, end)
}

// scoreSearch fills in what follows from the launches and rows of a side's search: effort, scores and the best.
func scoreSearch(st *State, end *SearchEnded) {
	end.Launches, end.GPUHours, end.Best, end.Scores = 0, 0, map[string]string{}, map[string]float64{}
	for _, l := range st.Launches {
		if l.Entry == end.Entry && l.Phase == string(compare.PhaseSearch) {
			end.Launches++
			end.GPUHours += l.SecondsS / 3600 * float64(st.Contract.GPUCount())
		}
	}
	for _, cand := range st.Candidates {
		if cand.Entry != end.Entry {
			continue
		}
		if score, ok := trialScore(st.Contract, searchRows(st, cand.ID)); ok {
			end.Scores[cand.ID] = score
		}
	}
	scoreRace(st, end)
	for _, s := range st.Contract.Scenarios {
		if best := bestOf(st, *end, s); best != "" {
			end.Best[s.Name] = best
		}
	}
}

// bestOf is the candidate with the best rows of a scenario, SLA first: the race's winner, unless another's mean lies
// above its own by more than is worth a launch.
func bestOf(st *State, end SearchEnded, s contract.Scenario) string {
	best, score := "", math.Inf(-1)
	for _, cand := range st.Candidates {
		if cand.Entry != end.Entry {
			continue
		}
		if v, ok := st.meanScore(cand.ID, s); ok && v > score {
			best, score = cand.ID, v
		}
	}
	if end.Race == nil || end.Race.Winner == "" {
		return best
	}
	if v, ok := st.meanScore(end.Race.Winner, s); ok && v >= score-heldWithin {
		return end.Race.Winner
	}
	return best
}

// searchAnswer lists every candidate, failed ones with their reasons.
func (c *campaign) searchAnswer(a Answer, entry string) (Search, error) {
	st, err := c.state()
	if err != nil {
		return Search{}, err
	}
	out := Search{Answer: a, Candidates: []map[string]any{}, Effort: map[string]any{}}
	for _, cand := range st.Candidates {
		if cand.Entry == entry {
			out.Candidates = append(out.Candidates, candidateLine(st, cand))
		}
	}
	end, ok := st.Searches[entry]
	if !ok {
		return out, nil
	}
	out.Warnings = append(out.Warnings, coreWarnings(st.Contract.Host)...)
	if bests := st.bests(entry); len(bests) > 0 {
		out.Best = bests[0] // of the first scenario; effort has all of them
	}
	out.Effort = map[string]any{"launches": end.Launches, "gpu_hours": round(end.GPUHours), "knobs": end.Knobs, "values_tried": end.Tried, "values_listed": end.Listed, "ended": end.Why, "best": end.Best}
	if r := end.Race; r != nil {
		out.Effort["race"] = map[string]any{"launches": r.Launches, "of": st.Contract.Budget.Race, "gpu_hours": round(r.GPUHours), "winner": r.Winner, "ended": r.Why, "out": r.Out}
	}
	if end.Failed != "" {
		return out, fault.New(fault.FrameworkFailed, "%s does not serve this model here: %s", entry, fault.Foreign(end.Failed, 300)).
			Hint("the failure is recorded and counts as an exhausted search; write_report says so, or open a campaign without this side").
			Then("write_report", "reports what was found")
	}
	if end.Best == nil || out.Best == "" {
		out.Warnings = append(out.Warnings, "no candidate worked: all are kept with their reasons")
	}
	return out, nil
}

// TriedCandidate is what became of one candidate of a search.
type TriedCandidate struct {
	CandidateAdded
	Status string        // ok, screened, running, not measured, or how it failed
	Reason string        // cleaned and capped
	Rows   []compare.Row // of the full load, in the search and in the race
}

// Tried sums one candidate's search up.
func (s *State) Tried(cand CandidateAdded) TriedCandidate {
	out := TriedCandidate{CandidateAdded: cand, Rows: searchRows(s, cand.ID)}
	status, reason := s.candidateStatus(cand.ID)
	if out.Status = status; reason != "" {
		out.Reason = fault.Foreign(reason, 200)
	}
	if out.Status == "" {
		if out.Status = "running"; s.searching(cand.Entry) == "" {
			out.Status = "not measured"
		}
	}
	out.Rows = append(out.Rows, s.rowsOf(cand.ID, compare.PhaseRace, useMain)...)
	if text := s.behind(cand); text != "" && out.Status == "ok" && len(out.Rows) == 0 {
		out.Status, out.Reason = "screened", text
	}
	return out
}

// candidateLine is one candidate as answers show it.
func candidateLine(st *State, cand CandidateAdded) map[string]any {
	t := st.Tried(cand)
	line := map[string]any{"candidate": cand.ID, "flags": cand.Flags, "why": cand.Why, "status": t.Status}
	if t.Reason != "" {
		line["reason"] = t.Reason
	}
	for _, r := range t.Rows {
		primary := st.SearchMetric(r.Workload.Scenario)
		if v, ok := r.Metrics.Get(primary); ok {
			line[r.Workload.Scenario] = map[string]any{primary: round(v), "sla_passed": r.SLA.Passed}
		}
	}
	return line
}

func primaryOf(c *contract.Contract, scenario string) string {
	s, _ := c.Scenario(scenario)
	return s.Primary
}

// round keeps four significant digits in answers; the ledger keeps all.
func round(v float64) float64 {
	out, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	if err != nil {
		return v
	}
	return out
}

// asMap renders a struct for answers whose rows stay objects.
func asMap(v any) map[string]any {
	raw, err := json.Marshal(v)
	if err != nil {
		return map[string]any{}
	}
	out := map[string]any{}
	_ = json.Unmarshal(raw, &out)
	return out
}
