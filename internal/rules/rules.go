// Package rules holds every rule of the product: an id, one line of doc, the number in the seed where it has one, and a
// pure check over facts. A rule never looks anything up; internal/loop gathers the facts. docs/RULES.md is generated
// from All.
package rules

import (
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Moment is when a rule is checked.
type Moment string

// The moments, in the order a campaign meets them.
const (
	AtOpen       Moment = "open"
	AtSearch     Moment = "search"
	AtBenchmark  Moment = "benchmark"
	AtCompare    Moment = "compare"
	AtProfile    Moment = "profile"
	AtPropose    Moment = "propose"
	AtApply      Moment = "apply"
	AtRevalidate Moment = "revalidate"
	AtReport     Moment = "report"
)

// Rule is one rule.
type Rule struct {
	ID      string
	Doc     string   // what it demands, one line
	Seed    []int    // numbers of the seed's rules it enforces
	Moments []Moment // when it is checked
	Check   func(*Facts) *Violation
}

// Violation is a rule broken: what is wrong, the field with both values, and what would be allowed.
type Violation struct {
	Rule  string
	What  string
	Field string
	Got   string
	Want  []string
	Fix   string
	Next  []fault.Next
}

// Fault renders the violation for the caller.
func (v *Violation) Fault() *fault.Error {
	f := fault.New(fault.RuleViolation, "%s", v.What).ByRule(v.Rule).At(v.Field, v.Got, v.Want...)
	if v.Rule == patchApproved {
		f.Code = fault.NeedsApproval
	}
	if v.Fix != "" {
		f.Hints = append(f.Hints, v.Fix)
	}
	f.Next = v.Next
	return f
}

// Check gives the first violation at a moment, nil where every rule holds. Rules are checked in the order of All.
func Check(at Moment, f *Facts) *Violation {
	for _, r := range All {
		for _, m := range r.Moments {
			if m != at {
				continue
			}
			if v := r.Check(f); v != nil {
				v.Rule = r.ID
				return v
			}
		}
	}
	return nil
}

// Find gives a rule by its id.
func Find(id string) (Rule, bool) {
	for _, r := range All {
		if r.ID == id {
			return r, true
		}
	}
	return Rule{}, false
}

// All is every rule, in the order of checking.
var All = []Rule{
	{"fair.one-target", "The target is one engine entry and no comparison side is the target itself.", []int{2, 5}, []Moment{AtOpen}, oneTarget},
	{"fair.sequence-limit", "Input plus output of every scenario fits the context limit of every side.", []int{15}, []Moment{AtOpen, AtSearch}, sequenceLimit},
	{"fair.decidable", "The frozen number of blocks can decide at the frozen error rate.", []int{41}, []Moment{AtOpen}, decidable},
	{"fair.same-threads", "On a CPU host the engines of every side have thread pools of the same size.", nil, []Moment{AtOpen}, sameThreads},
	{"flow.help-first", "A framework's flags are captured on that host before it is launched.", []int{7, 8}, []Moment{AtSearch, AtBenchmark}, helpFirst},
	{"flow.one-search", "A side has one search, with one base command and one space.", []int{19, 20}, []Moment{AtSearch}, oneSearch},
	{"fair.trt-backend", "TensorRT-LLM is served by trtllm-serve with the PyTorch backend or not at all.", []int{10}, []Moment{AtSearch}, trtBackend},
	{"flow.unknown-flag", "Every flag is in the captured help of that build.", []int{9}, []Moment{AtSearch}, unknownFlag},
	{"flow.flag-class", "The caller sets search knobs only: contract terms, host flags and code-loading flags are not its to set.", []int{67, 79}, []Moment{AtSearch}, flagClass},
	{"flow.flag-value", "Values fit the type, the choices and any range of their flag.", []int{9}, []Moment{AtSearch}, flagValue},
	{"fair.pinned-knob", "Memory fractions and SGLang's schedule policy are searched only in a capacity study.", []int{18}, []Moment{AtSearch}, pinnedKnob},
	{"fair.legal-layout", "Tensor, pipeline, data and expert parallelism fit the contract's GPUs.", []int{87}, []Moment{AtSearch}, legalLayout},
	{"flow.contract-frozen", "Scenarios, SLA, threshold and block counts are the contract's; a change is a new campaign.", []int{22}, []Moment{AtBenchmark, AtCompare, AtProfile, AtRevalidate}, contractFrozen},
	{"fair.tuned-competitor", "Every side has finished its own search before winners are compared.", []int{19}, []Moment{AtBenchmark}, tunedCompetitor},
	{"fair.known-candidate", "Only candidates that a search of this campaign found working are measured.", []int{30, 31}, []Moment{AtBenchmark, AtProfile}, knownCandidate},
	{"fair.every-side", "Blocks hold the target and every comparison side.", []int{5, 21}, []Moment{AtBenchmark}, everySide},
	{"fair.best-candidate", "Every side is measured with what its own search found best.", []int{19, 21}, []Moment{AtBenchmark}, bestCandidate},
	{"fair.one-pairing", "Blocks go on with the candidates they were begun with.", []int{21, 40}, []Moment{AtBenchmark}, onePairing},
	{"flow.blocks-first", "A comparison rests on interleaved blocks, never on search scores.", []int{3, 40}, []Moment{AtCompare}, blocksFirst},
	{"evid.gap-decided", "A profile or a patch follows a decided gap; an undecided one is no gap.", []int{41, 42}, []Moment{AtProfile}, gapDecided},
	{"evid.row-known", "Cited rows are rows of this campaign's analysed traces.", []int{61}, []Moment{AtPropose}, rowKnown},
	{"evid.real-host", "Simulated rows and traces are never mixed with real ones.", nil, []Moment{AtPropose}, realHost},
	{"evid.target-trace", "Evidence comes from a trace of the target's measured candidate.", []int{45, 63}, []Moment{AtPropose}, targetTrace},
	{"evid.fresh", "Evidence is of the commit the patch starts from.", []int{63}, []Moment{AtPropose}, fresh},
	{"evid.symptom", "The symptom is a scenario of the contract that the target lost, and a metric that was measured.", []int{61}, []Moment{AtPropose}, symptom},
	{"evid.agrees", "The cited stage is the slow one and the cited rows are at least 1 % of it.", []int{62}, []Moment{AtPropose}, agrees},
	{"evid.location", "The source location is one of the cited rows' and exists in the base commit.", []int{61, 64}, []Moment{AtPropose}, location},
	{"patch.harness-untouched", "Benchmark clients, datasets, profiler and timing code, test and build settings and existing test expectations stay as they are.", []int{65, 66}, []Moment{AtPropose}, harnessUntouched},
	{"patch.location", "The diff touches the cited location, or says with evidence why another place causes it.", []int{69}, []Moment{AtPropose}, patchLocation},
	{"patch.predicted", "The predicted gain is stated before anything is measured.", nil, []Moment{AtPropose}, predicted},
	{"patch.tests", "Tests are ids or paths inside the repository, never options or commands.", nil, []Moment{AtPropose}, testIDs},
	{"flow.one-proposal", "One proposal is open at a time.", []int{69}, []Moment{AtPropose}, oneProposal},
	{patchApproved, "A human outside the agent's reach signed exactly this proposal.", []int{75, 77}, []Moment{AtApply}, approved},
	{"flow.branch-first", "Revalidation measures an applied patch branch.", []int{90}, []Moment{AtRevalidate}, branchFirst},
	{"flow.rows-first", "A report needs measured rows, or a reason why there are none.", []int{100}, []Moment{AtReport}, rowsFirst},
}

const patchApproved = "patch.approved"
