package loop

import (
	"encoding/json"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// States of an answer.
const (
	StateRunning = "running"
	StateDone    = "done"
)

// Answer is what every answer to a tool call carries besides its own result. The first call of a long step answers
// StateRunning with a job; after the job the same call answers StateDone with the result.
type Answer struct {
	State    string       `json:"state"`
	Job      string       `json:"job,omitempty"`
	Warnings []string     `json:"warnings"`
	Evidence []string     `json:"evidence"`
	Next     []fault.Next `json:"next"`
}

// Hosts answers list_hosts.
type Hosts struct {
	Answer
	Hosts []HostView `json:"hosts"`
	// Policy is what the engineer's policy lets campaigns use and spend; TrustRoots whether this account could change it.
	Policy     []string `json:"policy"`
	TrustRoots string   `json:"trust_roots"` // protected or unprotected
}

// HostView is the last known state of one host.
type HostView struct {
	Host       string          `json:"host"`
	Transport  string          `json:"transport"` // local or ssh
	Device     string          `json:"device"`
	State      string          `json:"state"` // unknown, ok, unreachable
	ObservedAt string          `json:"observed_at,omitempty"`
	Problem    string          `json:"problem,omitempty"`
	GPUs       []GPUView       `json:"gpus"`
	CPU        *CPUView        `json:"cpu,omitempty"` // of a host without GPUs, once it was looked at
	Frameworks []FrameworkView `json:"frameworks"`
	Models     []string        `json:"models"`
	Datasets   []DatasetView   `json:"datasets,omitempty"` // stored there when it was looked at
}

// DatasetView is a stored dataset, as a scenario may name it.
type DatasetView struct {
	Digest  string `json:"digest"`
	Kind    string `json:"kind"` // text or chat
	Rows    int    `json:"rows"`
	Replay  bool   `json:"replay,omitempty"` // its rows have timestamps
	Private bool   `json:"private,omitempty"`
}

// GPUView is one GPU as nvidia-smi showed it.
type GPUView struct {
	Index     int    `json:"index"`
	Name      string `json:"name"`
	Driver    string `json:"driver"`
	MemoryMiB int64  `json:"memory_mib"`
	UsedMiB   int64  `json:"used_mib"`
	UtilPct   int    `json:"util_pct"`
	Busy      bool   `json:"busy"`
	Lease     string `json:"lease,omitempty"` // campaign that holds it
}

// CPUView is what a host without GPUs computes with.
type CPUView struct {
	Model     string            `json:"model"`
	MemoryMiB int64             `json:"memory_mib"`
	Allowed   []int             `json:"allowed"` // cores that the worker may run on
	Leases    map[string]string `json:"leases"`  // core → campaign that holds it
}

// FrameworkView is one engine entry.
type FrameworkView struct {
	Entry   string `json:"entry"`
	Type    string `json:"type"`
	Target  bool   `json:"can_be_target"` // has a checkout
	Problem string `json:"problem,omitempty"`
}

// OpenRequest asks to open a campaign; empty fields take defaults that Opened.Assumed names.
type OpenRequest struct {
	Model, Host, Study, Target        string
	GPUs                              []int
	Against                           []string
	Incumbent                         string            // a pasted command line (study tune)
	Commands                          map[string]string // entry → pasted command line (studies ab and look)
	Precision, Quantization, KVDtype  string
	Speculation, Revision, Tokenizer  string
	MaxContext                        int
	Endpoint                          string
	Scenarios                         []contract.Scenario
	SLA                               contract.SLA
	SLANone                           bool // "none" was said
	Goodput                           *contract.Goodput
	MinAttainment, Delta, MaxGPUHours float64
	MaxBlocks, BudgetLaunches         int
	RankBy, Accuracy                  string
	CapacityStudy, Plan               bool
	From, Key                         string

	fixed map[string]map[string]any // entry → fixed flags of the campaign that From names
}

// Opened answers open_campaign.
type Opened struct {
	Answer
	Campaign string          `json:"campaign"`
	Contract json.RawMessage `json:"contract"`
	Digest   string          `json:"contract_digest"`
	RunDir   string          `json:"run_dir"`
	Assumed  []string        `json:"assumed"`
	Changed  []string        `json:"changed"`
	Cost     []contract.Cost `json:"cost"`
}

// CampaignView answers get_campaign.
type CampaignView struct {
	Answer
	Campaign  string           `json:"campaign,omitempty"`
	Phase     string           `json:"phase,omitempty"`
	Round     int              `json:"round,omitempty"`
	Verdict   string           `json:"verdict,omitempty"`
	Digest    string           `json:"contract_digest,omitempty"`
	Summary   map[string]any   `json:"summary"` // terms, each side's best and verdicts; empty beside a section
	Allowed   []fault.Next     `json:"allowed"`
	Blocked   []Blocked        `json:"blocked"`
	Jobs      []JobView        `json:"jobs"`
	Proposals []ProposalView   `json:"proposals"`
	Items     []map[string]any `json:"items"`
	Cursor    string           `json:"cursor,omitempty"`
}

// Blocked is a tool that is not allowed now, the rule that refuses it and what would open it.
type Blocked struct {
	Tool string `json:"tool"`
	Rule string `json:"rule"`
	Fix  string `json:"fix"`
}

// JobView is a job as get_campaign and wait_job show it.
type JobView struct {
	Job      string  `json:"job"`
	Tool     string  `json:"tool"`
	State    string  `json:"state"` // running, done, failed, canceled, waiting_for_human
	Progress float64 `json:"progress"`
	Doing    string  `json:"doing,omitempty"`
	ETA      float64 `json:"eta_s,omitempty"`
	Error    string  `json:"error,omitempty"`
}

// ProposalView is a proposed patch and what became of it.
type ProposalView struct {
	Proposal string `json:"proposal"`
	State    string `json:"state"` // waiting, approved, rejected, applied, revalidated
	Digest   string `json:"patch_digest"`
	Reason   string `json:"reason,omitempty"` // of a rejection: data, and by whom
	Branch   string `json:"branch,omitempty"`
	Level    string `json:"approval_level,omitempty"` // independent or agent-reachable
	LevelWhy string `json:"approval_level_why,omitempty"`
}

// FlagsRequest asks for a framework's captured flags.
type FlagsRequest struct {
	Campaign, Framework, Command, Match, Cursor string
}

// Flags answers list_flags.
type Flags struct {
	Answer
	Version    string           `json:"version,omitempty"`
	Commit     string           `json:"commit,omitempty"`
	HelpDigest string           `json:"help_digest,omitempty"`
	Flags      []map[string]any `json:"flags"`
	Total      int              `json:"total"`
	Cursor     string           `json:"cursor,omitempty"`
}

// SearchRequest asks to search one framework's deployments.
type SearchRequest struct {
	Campaign, Framework string
	BaseFlags           map[string]any
	Space               map[string][]any
	Strategy            string
}

// Search answers search_deployments.
type Search struct {
	Answer
	Candidates []map[string]any `json:"candidates"`
	Best       string           `json:"best,omitempty"`
	Effort     map[string]any   `json:"effort"`
}

// BenchmarkRequest asks for blocks of named candidates.
type BenchmarkRequest struct {
	Campaign   string
	Candidates []string
	Blocks     int // in total, 0 = the contract's first look
	Scenarios  []string
	AA         bool // candidate 0 of the target against itself instead
}

// Benchmark answers run_benchmark.
type Benchmark struct {
	Answer
	Blocks int              `json:"blocks"`
	Rows   []map[string]any `json:"rows"`
	// Calibrations is what an A/A found, scenario by scenario.
	Calibrations []Calibration `json:"aa,omitempty"`
}

// Comparison answers compare_results.
type Comparison struct {
	Answer
	Verdicts []map[string]any `json:"verdicts"`
	Winners  []map[string]any `json:"winners"`
	Failed   []map[string]any `json:"failed"`
	Behind   bool             `json:"behind"`
}

// ProfileRequest asks for stage-separated captures of one candidate at a scenario's lengths.
type ProfileRequest struct {
	Campaign, Candidate, Scenario string
	Mapping                       bool // graphs off, for source mapping only
}

// Profile answers capture_profile.
type Profile struct {
	Answer
	Traces []TraceView `json:"traces"`
}

// TraceView is one captured trace.
type TraceView struct {
	Trace     string `json:"trace"`
	Candidate string `json:"candidate"`
	Stage     string `json:"stage"`
	Rank      int    `json:"rank"`
	Digest    string `json:"digest"`
}

// AnalyzeRequest asks for a table of one trace, or a diff against another.
type AnalyzeRequest struct {
	Campaign, Trace, Against, Table, Stage string
	Detail                                 bool // every row with every field
	Cursor                                 string
}

// Analysis answers analyze_trace.
type Analysis struct {
	Answer
	Trace  string           `json:"trace"`
	Table  string           `json:"table"`
	Stage  string           `json:"stage"`
	Stages []map[string]any `json:"stages"` // what the rows are shares of
	Rows   []map[string]any `json:"rows"`
	Total  int              `json:"total"`
	Cursor string           `json:"cursor,omitempty"`
}

// ProposeRequest is a diff with its evidence.
type ProposeRequest struct {
	Campaign, Diff, Stage, Location, Rationale, Elsewhere string
	Rows, Tests                                           []string
	Symptom                                               Symptom
	PredictedGain                                         float64 // ratio − 1
}

// Symptom is the benchmark observation a patch is about.
type Symptom struct {
	Scenario string `json:"scenario"`
	Metric   string `json:"metric"`
}

// Proposal answers propose_patch; its job waits for the human.
type Proposal struct {
	Answer
	Proposal   string   `json:"proposal"`
	Digest     string   `json:"patch_digest"`
	BaseCommit string   `json:"base_commit"`
	ResultTree string   `json:"result_tree"`
	Diff       string   `json:"diff"`
	Findings   []string `json:"findings"`
	Approve    string   `json:"approve_command"`
}

// Branch answers apply_patch_branch.
type Branch struct {
	Answer
	Branch   string `json:"branch"`
	Commit   string `json:"commit"`
	Tree     string `json:"tree"`
	Level    string `json:"approval_level,omitempty"`     // independent or agent-reachable, as it was when the branch was made
	LevelWhy string `json:"approval_level_why,omitempty"` // what that rests on
}

// Revalidation answers revalidate.
type Revalidation struct {
	Answer
	Predicted    float64          `json:"predicted"`
	Measured     *float64         `json:"measured"`
	Interval     []float64        `json:"interval"`
	Verdict      string           `json:"verdict,omitempty"`
	OutputsEqual string           `json:"outputs_equal,omitempty"` // equal, differ, not_measured
	Tests        string           `json:"tests,omitempty"`
	Verdicts     []map[string]any `json:"verdicts"`
}

// JobAnswer answers wait_job and cancel_job.
type JobAnswer struct {
	Answer
	Progress float64  `json:"progress"`
	Doing    string   `json:"doing,omitempty"`
	ETA      float64  `json:"eta_s,omitempty"`
	Error    string   `json:"error,omitempty"`
	Log      []string `json:"log"`
	Cursor   string   `json:"cursor,omitempty"`
}

// Report answers write_report.
type Report struct {
	Answer
	Report  string `json:"report"`
	HTML    string `json:"html,omitempty"`
	Bundle  string `json:"bundle,omitempty"`
	Verdict string `json:"verdict"`
	Claim   string `json:"claim"`
}
