package loop

import (
	"maps"
	"slices"

	"fmt"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Phases of a campaign, in order.
const (
	PhaseOpened      = "opened"
	PhaseFlags       = "flags"
	PhaseSearch      = "search"
	PhaseBlocks      = "blocks"
	PhaseMeasured    = "measured"
	PhaseCompared    = "compared"
	PhaseProfiled    = "profiled"
	PhaseAnalyzed    = "analyzed"
	PhaseProposed    = "proposed"
	PhaseApproved    = "approved"
	PhaseApplied     = "applied"
	PhaseRevalidated = "revalidated"
	PhaseReported    = "reported"
)

// Families of verdicts.
const (
	familyCampaign = "campaign" // target against comparison sides
	familyPatched  = "patched"  // patched against base
	familyUnseen   = "unseen"   // patched against base on shapes drawn after the approval
)

// Phase says where the campaign stands.
func (s *State) Phase() string {
	if n := len(s.Proposals); n > 0 {
		p := s.Proposals[n-1]
		switch {
		case p.Reval != nil && s.isReported():
			return PhaseReported
		case p.Reval != nil:
			return PhaseRevalidated
		case p.Branch != nil:
			return PhaseApplied
		case p.decision() == "approve":
			return PhaseApproved
		case p.decision() == "":
			return PhaseProposed
		}
	}
	switch {
	case s.isReported():
		return PhaseReported
	case len(s.Analyses) > 0:
		return PhaseAnalyzed
	case len(s.Traces) > 0:
		return PhaseProfiled
	case len(s.Verdicts) > 0:
		return PhaseCompared
	case s.blocks() >= s.Contract.Blocks.Looks[0]:
		return PhaseMeasured
	case s.searched() && len(s.uncaptured()) == 0:
		return PhaseBlocks
	case len(s.uncaptured()) == 0 || len(s.Searches) > 0:
		return PhaseSearch
	case len(s.Help) > 0:
		return PhaseFlags
	}
	return PhaseOpened
}

// isReported says whether the newest report tells of everything: a campaign may go on after one.
func (s *State) isReported() bool { return s.reported > s.worked }

// Round counts gap → profile → proposal → revalidation passes, from 1.
func (s *State) Round() int {
	round := 1
	for _, p := range s.Proposals {
		if p.Reval != nil {
			round++
		}
	}
	if s.Phase() == PhaseReported || s.Phase() == PhaseRevalidated {
		round = max(1, round-1)
	}
	return round
}

// decision is the last recorded decision on a proposal, "" while it waits.
func (p *ProposalState) decision() string {
	if n := len(p.Approvals); n > 0 {
		return p.Approvals[n-1].Decision
	}
	return ""
}

// State names what became of a proposal.
func (p *ProposalState) State() string {
	switch {
	case p.Reval != nil:
		return "revalidated"
	case p.Branch != nil:
		return "applied"
	case p.decision() == "approve":
		return "approved"
	case p.decision() == "reject":
		return "rejected"
	}
	return "waiting"
}

// searched says whether every side that needs a search has one.
func (s *State) searched() bool {
	for _, side := range s.Contract.Sides() {
		if _, ok := s.Searches[side.Entry]; !ok && side.Flags == nil {
			return false
		}
	}
	return true
}

// blocks counts the blocks that a verdict can rest on.
func (s *State) blocks() int {
	full, _ := s.blockNumbers()
	return len(full)
}

// blockNumbers gives the numbers of complete blocks, ascending: those in which every side has a row of every scenario
// that counts, and those that are void because a point's own audit says that it cannot. A failed launch counts: it is a
// result.
func (s *State) blockNumbers() (full, void []int) {
	have := map[int][]*compare.Row{}
	rows := s.Rows(compare.PhaseBlock, useMain)
	for i := range rows {
		if b := rows[i].Block; b != nil {
			have[*b] = append(have[*b], &rows[i])
		}
	}
	for _, b := range slices.Sorted(maps.Keys(have)) {
		switch {
		case len(have[b]) < len(s.Contract.Scenarios)*len(s.Contract.Sides()):
		case voidBlock(have[b]) != "":
			void = append(void, b)
		default:
			full = append(full, b)
		}
	}
	return full, void
}

// voidBlock says why the rows of a block cannot count, empty where they can.
func voidBlock(rows []*compare.Row) string {
	for _, r := range rows {
		if why := r.Void(); why != "" {
			return why
		}
	}
	return compare.UnevenLoad(rows...)
}

// firstBlocks gives the rows of the first n blocks that count.
func (s *State) firstBlocks(n int) []compare.Row {
	full, _ := s.blockNumbers()
	full = full[:min(n, len(full))]
	var out []compare.Row
	for _, r := range s.Rows(compare.PhaseBlock, useMain) {
		if r.Block != nil && slices.Contains(full, *r.Block) {
			out = append(out, r)
		}
	}
	return out
}

// Allowed lists the calls that move the campaign on now, the most useful first.
func (s *State) Allowed() []fault.Next {
	switch s.Phase() {
	case PhaseOpened, PhaseFlags:
		return s.nextFlags()
	case PhaseSearch:
		return s.nextSearch()
	case PhaseBlocks:
		return append(s.nextFlags(), fault.Next{Tool: "run_benchmark", Why: "measure each side's best candidate in interleaved blocks"})
	case PhaseMeasured:
		return []fault.Next{{Tool: "compare_results", Why: "take the verdict on the measured blocks"}}
	case PhaseCompared:
		return s.nextCompared()
	case PhaseProfiled:
		return []fault.Next{{Tool: "analyze_trace", Why: "tables whose rows evidence can cite"}}
	case PhaseAnalyzed:
		return []fault.Next{{Tool: "analyze_trace", Why: "more tables, or a diff against a competitor's trace"}, {Tool: "propose_patch", Why: "a diff that cites rows of the slow stage"}, {Tool: "write_report", Why: "end here without a patch"}}
	case PhaseProposed:
		return []fault.Next{{Tool: "wait_job", Why: "the proposal's job ends when the human has decided"}}
	case PhaseApproved:
		return []fault.Next{{Tool: "apply_patch_branch", Why: "the proposal is approved"}}
	case PhaseApplied:
		return []fault.Next{{Tool: "revalidate", Why: "measure the patched target against base and leader"}}
	case PhaseRevalidated:
		return []fault.Next{{Tool: "write_report", Why: "report, predicted against measured"}, {Tool: "capture_profile", Why: "another round, where a gap is left"}}
	}
	return s.nextReported()
}

// allowedNow is Allowed with the jobs that run before it.
func (s *State) allowedNow() []fault.Next {
	var out []fault.Next
	for _, j := range s.Jobs {
		switch {
		case j.End == nil && j.Tool == "propose_patch":
			out = append(out, fault.Next{Tool: "wait_job", Why: j.Job + " ends when the human has decided; end the turn and come back, nothing is lost"})
		case j.End == nil:
			out = append(out, fault.Next{Tool: "wait_job", Why: fmt.Sprintf("%s (%s) goes on", j.Job, j.Tool)})
		}
	}
	for _, n := range s.Allowed() {
		if n.Tool != "wait_job" || len(out) == 0 {
			out = append(out, n)
		}
	}
	return out
}

// nextReported is what may follow a report: another round where the target is still behind, or other terms.
func (s *State) nextReported() []fault.Next {
	next := []fault.Next{{Tool: "get_campaign", Why: "sections verdicts, rows and traces have the figures; the report has them all"}}
	if s.Verdict() == "loss" {
		next = append(next, fault.Next{Tool: "capture_profile", Why: "another round: the target is still behind"})
	}
	return append(next, fault.Next{Tool: "open_campaign", Why: "from: this campaign, for other terms"})
}

// uncaptured are the engine entries whose flags have not been captured; a tuning study's two sides are one engine.
func (s *State) uncaptured() []string {
	var out []string
	for _, side := range s.Contract.Sides() {
		entry := baseEntry(side.Entry)
		if _, ok := s.Help[entry]; !ok && !slices.Contains(out, entry) {
			out = append(out, entry)
		}
	}
	return out
}

// nextFlags asks for the flags of every engine once.
func (s *State) nextFlags() []fault.Next {
	var next []fault.Next
	for _, entry := range s.uncaptured() {
		next = append(next, fault.Next{Tool: "list_flags", Why: "capture help and version of " + entry})
	}
	return next
}

func (s *State) nextSearch() []fault.Next {
	var next []fault.Next
	for _, side := range s.Contract.Sides() {
		if _, ok := s.Searches[side.Entry]; !ok && side.Flags == nil && s.searching(side.Entry) == "" {
			next = append(next, fault.Next{Tool: "search_deployments", Why: "find the best deployment of " + side.Entry})
		}
	}
	return next
}

func (s *State) nextCompared() []fault.Next {
	if s.Behind() {
		return []fault.Next{{Tool: "capture_profile", Why: "the target is behind: profile it at the losing scenario's lengths"}, {Tool: "write_report", Why: "end here without a patch"}}
	}
	next := []fault.Next{{Tool: "write_report", Why: "the target is not behind"}}
	if n := s.nextLook(); n > 0 {
		next = append(next, fault.Next{Tool: "run_benchmark", Why: "an undecided gap may be decided at the next look"})
	}
	return next
}

// nextLook is the next frozen block count beyond what is measured, 0 where there is none.
func (s *State) nextLook() int {
	have := s.blocks()
	for _, n := range s.Contract.Blocks.Looks {
		if n > have {
			return n
		}
	}
	return 0
}

// Verdict sums the campaign up: the patched verdict where there is one, else loss, win, equivalent, inconclusive or none.
func (s *State) Verdict() string {
	phase := string(compare.PhaseBlock)
	if _, ok := s.LastVerdict(string(compare.PhaseRevalidate), familyCampaign); ok {
		phase = string(compare.PhaseRevalidate)
	}
	v, ok := s.LastVerdict(phase, familyCampaign)
	if !ok || len(v.Result.Verdicts) == 0 {
		return "none"
	}
	worst := map[string]int{"loss": 0, "inconclusive": 1, "equivalent": 2, "win": 3}
	out := "win"
	for _, x := range v.Result.Verdicts {
		if worst[string(x.Verdict)] < worst[out] {
			out = string(x.Verdict)
		}
	}
	return out
}

// CanClaimSOTA says whether the word is available at all: study sota on a real GPU host.
func (s *State) CanClaimSOTA() bool {
	return s.Contract.Study == contract.StudySOTA && !s.Contract.Host.Simulated && s.Contract.Host.Device == "cuda"
}
