package rules

import (
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// Facts is what rules are checked over; the parts that a moment does not need are nil.
type Facts struct {
	Contract *contract.Contract
	Decide   *DecideFacts
	Search   *SearchFacts
	Blocks   *BlockFacts
	Verdicts []VerdictFact
	Evidence *EvidenceFacts
	Patch    *PatchFacts
	Approval *ApprovalFacts
	Capture  *CaptureFacts
	Claim    *ClaimFacts
	Words    []Words // of the agent, that end in a report
	Policy   []PolicyFact
	Budgets  []BudgetFact
	Entry    []EntryFact
	Branch   string // applied branch, empty = none
	Rows     int    // rows of any status
	Reason   string // why there are none
	// Threads is the size of each side's thread pools, by variable of the environment; empty on hosts with GPUs.
	Threads map[string]map[string]int
}

// DecideFacts says how many blocks a verdict needs.
type DecideFacts struct {
	Need int // fewest blocks at which a test can reject
}

// SearchFacts is a search asked for.
type SearchFacts struct {
	Side     contract.Side
	Captured bool   // help captured in this campaign
	Running  string // job of another search of this side that has not ended, empty = none
	Flags    []FlagUse
}

// FlagUse is a flag of a base command or space, with every value it would take.
type FlagUse struct {
	Name    string
	Kind    string // of the captured help: bool, int, float, enum, string, json, list
	Values  []any
	Base    any  // the base command's value, nil = it does not set the flag
	Varied  bool // named in the space: the base's own value is tried beside the listed ones
	Known   bool // in the captured help
	Nearest []string
	Class   framework.FlagClass
	Allowed bool   // an unlisted flag that the policy lists
	Problem string // why a value does not fit the flag's type, empty = fits
	Value   string // the value at fault
	Choices []string
	Role    string // "", tp, pp, dp, ep, context, backend: what the adapter says the flag decides
}

// EntryFact is something that hosts.yaml says of how engines are launched.
type EntryFact struct {
	Key  string // env.NCCL_DEBUG, engines.vllm.venv
	Then string // when the campaign opened, "" = it was not there
	Now  string
}

// BlockFacts is a run of blocks, a comparison or a profile asked for.
type BlockFacts struct {
	Scenarios  []string // asked for
	Blocks     int      // asked for, 0 = the contract's
	Candidates []CandidateFact
	Searched   map[string]bool // entry → its search is finished
	Measured   int             // interleaved blocks that exist
	Uncaptured []string        // engine entries whose flags have not been captured
	// Finalists is what blocks were begun with, entry → candidate; one whose launch failed is not among them.
	Finalists map[string]string
}

// CandidateFact is one named candidate.
type CandidateFact struct {
	ID     string
	Entry  string // empty = unknown id
	Status string // ok, or how it failed
	Reason string
	Best   []string // what its side's search found best, any scenario; empty = nothing, or the command is fixed
}

// VerdictFact is one recorded verdict.
type VerdictFact struct {
	Scenario, Metric, Verdict, Against, Reason string
}

// EvidenceFacts is what a proposal cites.
type EvidenceFacts struct {
	Rows           []RowFact
	Stage          string
	Location       string
	LocationExists bool
	Scenario       string
	Metric         string
	Measured       []string           // metrics that rows of the scenario hold
	RequestMS      map[string]float64 // time of one request in each stage, as the target's traces of the scenario have it
	TTFTMS         float64            // median over the target's measured launches, 0 = not measured
	BaseCommit     string
	HostSimulated  bool
	// Was and Now are the host as the trace and the contract had it and as it is when a patch is proposed, by what could
	// differ; nil before anybody looked.
	Was, Now map[string]string
}

// RowFact is one cited table row.
type RowFact struct {
	ID        string
	Found     bool
	Stage     string
	Share     float64
	Locations []string // path:line func
	Paths     []string
	Candidate string
	Entry     string
	Target    bool    // trace of the target's measured candidate
	Mapping   bool    // traced with graphs off
	Scenario  string  // whose lengths the trace has
	Mapped    float64 // share of the stage's GPU time that is mapped to source
	Paired    bool    // a mapping trace was read beside the formal one
	OnCPU     bool    // no GPU's trace: operators are named, not launched from source
	Commit    string  // source commit that the traced process ran
	Simulated bool
}

// PatchFacts is a parsed and applied diff.
type PatchFacts struct {
	Paths         []string
	Beside        []string // files that the diff adds beside the target's package, where any import finds them first
	ChangedTests  []string // existing test files whose lines change or go
	Tests         []string // what pytest is to be given
	MissingTests  []string // those that are no test files of the patched tree
	TouchesCited  bool
	Elsewhere     string
	Gain          float64
	Unlicensed    []string // lines about a licence or an author that the diff takes away, as path: line
	Borrowed      []string // added lines that say code came from elsewhere, in files that name no licence with them
	OpenProposals []string
}

// ApprovalFacts is what is known of a proposal's approval.
type ApprovalFacts struct {
	Proposal string
	Decision string // "", approve, reject
	Problem  string // why a recorded approval does not hold
	Reason   string // of a rejection
	Command  string
}

// CaptureFacts is a profile about to be taken.
type CaptureFacts struct {
	Entry    string
	Endpoint bool // the build has a profiler that can be started
	Scenario contract.Scenario
	Stages   []StageFact
	Windows  map[string]WindowFact // of every profile of a campaign, by stage
}

// WindowFact is which steps of a capture are traced.
type WindowFact struct{ Warmup, Steps int }

// StageFact is one planned capture.
type StageFact struct {
	Stage               string
	InputLen, OutputLen int
	Warmup, Steps       int
}

// Words are a text of the agent's.
type Words struct {
	Field string
	Text  string
}

// ClaimFacts is what a report's claim would rest on.
type ClaimFacts struct {
	Verdict   string // of the campaign, after the patch where there is one
	Simulated bool
	Mark      string // of a host whose rows carry no claim about GPUs, with what it means
	Effort    []EffortFact
	Modified  map[string]string // comparison side whose engine is not what it is called → why
	Patched   bool              // the verdict is of a patched target
	Outputs   string            // equal, differ, not_measured
	OutputWhy string
	Tests     string // none, passed, failed, failed_without_it, not_run; "" = of before tests were run
	TestsWhy  string
	Unseen    []VerdictFact // patched against base on shapes drawn after the approval
	Gone      []string      // campaigns on the same model, target and GPU class whose run directories are no more
}

// EffortFact is what one side's search got.
type EffortFact struct {
	Side      string
	Launches  int
	Knobs     int
	Tried     int
	Exhausted bool // nothing was left to try
	Default   bool // the space was ours, not the caller's
	Failed    bool // the framework does not serve the model
}
