package loop

import (
	"encoding/json"
	"fmt"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// Kinds of ledger entries, past tense. Each has one payload type below; replay ignores a repeated key.
const (
	kindContract  = "contract.frozen"
	kindJob       = "job.started"
	kindJobEnded  = "job.ended"
	kindHelp      = "help.captured"
	kindCandidate = "candidate.added"
	kindRun       = "run.planned"
	kindRunEnded  = "run.ended"
	kindLaunch    = "launch.ended"
	kindPoint     = "point.measured"
	kindSearch    = "search.ended"
	kindVerdict   = "verdict.taken"
	kindTrace     = "trace.captured"
	kindAnalysis  = "trace.analyzed"
	kindProposed  = "patch.proposed"
	kindApproval  = "approval.recorded"
	kindBranch    = "branch.created"
	kindReval     = "revalidation.ended"
	kindRefused   = "rule.refused"
	kindReport    = "report.written"
	kindCost      = "cost.corrected"
	kindSealed    = "report.sealed"
	kindWitnessed = "ledger.witnessed"
	kindRecovered = "ledger.recovered"
	kindFamily    = "family.counted"
	kindReceipt   = "receipt.recorded"
	kindTests     = "tests.run"
)

// Kinds is every kind of a campaign's ledger with its newest known version.
var Kinds = chain.Kinds{
	kindContract: 1, kindJob: 1, kindJobEnded: 1, kindHelp: 1, kindCandidate: 1, kindRun: 1, kindRunEnded: 1, kindLaunch: 1, kindPoint: 1,
	kindSearch: 1, kindVerdict: 1, kindTrace: 1, kindAnalysis: 1, kindProposed: 1, kindApproval: 1, kindBranch: 1, kindReval: 1, kindRefused: 1,
	kindReport: 1, kindCost: 1, kindSealed: 1, kindWitnessed: 1, kindRecovered: 1, kindFamily: 1, kindReceipt: 1, kindTests: 1,
}

// ContractFrozen opens a campaign.
type ContractFrozen struct {
	Contract json.RawMessage `json:"contract"`
	Digest   string          `json:"digest"`
	Key      string          `json:"key,omitempty"` // the caller's idempotency key

	// Datasets are the indexes of the contract's datasets, without text.
	Datasets []ledger.Artifact `json:"datasets,omitempty"`
	// Policy holds the bytes of the engineer's policy, none where there was no file; the contract has their digest.
	Policy *ledger.Artifact `json:"policy,omitempty"`
}

// JobStarted is on disk before anything happens on a host.
type JobStarted struct {
	Job  string          `json:"job"`
	Tool string          `json:"tool"`
	Spec string          `json:"spec"` // digest of tool and arguments: the same spec is the same job
	Args json.RawMessage `json:"args"`
}

// JobEnded says how a job ended.
type JobEnded struct {
	Job   string          `json:"job"`
	State string          `json:"state"` // done, failed, canceled
	Error json.RawMessage `json:"error,omitempty"`
}

// HelpCaptured is a framework's flags and version on the host.
type HelpCaptured struct {
	Entry   string            `json:"entry"`
	Command string            `json:"command"`
	Version framework.Version `json:"version"`
	Digest  string            `json:"digest"` // of the help text
	Text    ledger.Artifact   `json:"text"`
	Flags   ledger.Artifact   `json:"flags"`
}

// CandidateAdded names one configuration of one side.
type CandidateAdded struct {
	ID    string         `json:"id"`
	Entry string         `json:"entry"`
	Index int            `json:"index"` // 0 is the shipped default
	Flags map[string]any `json:"flags"` // all search flags of the launch, base included
	Knobs map[string]any `json:"knobs"` // what the search set
	Why   string         `json:"why"`
}

// RunPlanned precedes a run on a host.
type RunPlanned struct {
	RunID string          `json:"run_id"`
	Job   string          `json:"job"`
	Step  string          `json:"step"`
	Host  string          `json:"host"`
	Plan  ledger.Artifact `json:"plan"`

	Launches  int    `json:"launches,omitempty"`     // that the plan holds
	Policy    string `json:"policy,omitempty"`       // digest of the policy read then; beside the contract's it was in force
	HostEntry string `json:"entry_digest,omitempty"` // of the host's entry then
}

// RunEnded says that a run is over and everything of it is in the ledger.
type RunEnded struct {
	RunID string `json:"run_id"`
	State string `json:"state"`
	Error string `json:"error,omitempty"`
	Busy  bool   `json:"busy,omitempty"` // somebody else's processes on the GPUs kept launches from beginning
	// Changed says that launches were not begun because host or model are not the contract's any more.
	Changed bool `json:"changed,omitempty"`
}

// LaunchEnded is one server process lifetime.
type LaunchEnded struct {
	Launch    string             `json:"launch"`
	RunID     string             `json:"run_id"`
	Candidate string             `json:"candidate"`
	Entry     string             `json:"entry"`
	Phase     string             `json:"phase"`
	Block     int                `json:"block"`
	State     string             `json:"state"` // ok, failed
	Failure   *worker.Failure    `json:"failure,omitempty"`
	PhasesS   map[string]float64 `json:"phases_s"`
	SecondsS  float64            `json:"seconds_s"` // from start to confirmed teardown
	Tree      string             `json:"tree,omitempty"`
	Loaded    map[string]string  `json:"loaded,omitempty"`
	Log       *ledger.Artifact   `json:"log,omitempty"`
	Command   string             `json:"command"`
	Pinning   *worker.Pinning    `json:"pinning,omitempty"` // on CPU hosts
	Memory    *worker.TreeMemory `json:"memory,omitempty"`  // on CPU hosts
	// Engine is what the ready engine was: its identity, names in its environment, foreign libraries, processes.
	Engine *worker.EngineFacts `json:"engine,omitempty"`
	Cold   *ColdLaunch         `json:"cold,omitempty"` // before it, where it was a build's first on the host
}

// ColdLaunch is a build's first launch on a host, in which kernels are compiled: it measures nothing, is no candidate's,
// and counts in no budget.
type ColdLaunch struct {
	SecondsS float64            `json:"seconds_s"`
	PhasesS  map[string]float64 `json:"phases_s"`
	Log      *ledger.Artifact   `json:"log,omitempty"`
}

// PointMeasured is one row with its raw records.
type PointMeasured struct {
	Key     string           `json:"key"` // run id and point id
	Point   string           `json:"point"`
	Use     string           `json:"use"` // main, preflight, equality, unseen
	Row     compare.Row      `json:"row"`
	Records *ledger.Artifact `json:"records,omitempty"`
	// Repeated says why a first try did not count; First is its records.
	Repeated string           `json:"repeated,omitempty"`
	First    *ledger.Artifact `json:"first,omitempty"`
	// Rates are the records of a rate search, one a load point in the order of the row's tried; Records is then that of
	// the one that stands for it.
	Rates []RateRecords `json:"rates,omitempty"`
}

// SearchEnded closes one side's search.
type SearchEnded struct {
	Entry    string             `json:"entry"`
	Strategy string             `json:"strategy"`
	Launches int                `json:"launches"`
	GPUHours float64            `json:"gpu_hours"`
	Knobs    int                `json:"knobs"`
	Tried    int                `json:"values_tried"`
	Listed   int                `json:"values_listed"`
	Best     map[string]string  `json:"best"` // scenario → candidate
	Scores   map[string]float64 `json:"scores"`
	Why      string             `json:"why"`
	Failed   string             `json:"failed,omitempty"`        // preflight failure: the framework did not serve the model
	Default  bool               `json:"default_space,omitempty"` // the caller named no space
	Race     *RaceEnded         `json:"race,omitempty"`
}

// RaceEnded is how the race of a search's finalists ended. Winner holds every scenario in which no other candidate's mean
// lies more than 1 % above its own.
type RaceEnded struct {
	Winner   string            `json:"winner,omitempty"`
	Launches int               `json:"launches"`
	GPUHours float64           `json:"gpu_hours"`
	Why      string            `json:"why"`
	Out      map[string]string `json:"out"` // finalist → why it was raced no further
}

// VerdictTaken is a look at the blocks, recorded once a look.
type VerdictTaken struct {
	Look   int            `json:"look"`
	Phase  string         `json:"phase"`  // block or revalidate
	Family string         `json:"family"` // campaign, patched, unseen
	Result compare.Result `json:"result"`
	Rows   int            `json:"rows"`
	Digest string         `json:"digest"` // of the row keys it rests on
	// Proposal is the patch that a revalidation's verdict is about.
	Proposal string `json:"proposal,omitempty"`
}

// TraceCaptured is one profiler trace.
type TraceCaptured struct {
	ID        string    `json:"id"`
	Candidate string    `json:"candidate"`
	Entry     string    `json:"entry"`
	Scenario  string    `json:"scenario"`
	Stage     string    `json:"stage"`
	Rank      int       `json:"rank"`
	Launch    string    `json:"launch"`
	Mapping   bool      `json:"mapping"`
	Commit    string    `json:"commit"` // source commit of the traced process, where the entry has a checkout
	Tree      string    `json:"tree,omitempty"`
	Patch     string    `json:"patch,omitempty"`
	Simulated bool      `json:"simulated"`
	InputLen  int       `json:"input_len"`
	OutputLen int       `json:"output_len"`
	Batch     int       `json:"batch"`
	File      TraceFile `json:"file"`
	Run       string    `json:"run,omitempty"`       // run on the host that captured it
	HostFile  string    `json:"host_file,omitempty"` // its name in the run's folder there
	BootID    string    `json:"boot_id,omitempty"`   // of the host that captured it
}

// TraceFile is a trace's file: an artifact, or where it is too large to travel, what it would be.
type TraceFile struct {
	ledger.Artifact
	// OnHost says that the file stayed in the run folder of its host; its tables are made there and cannot be
	// recomputed from the run directory.
	OnHost bool `json:"on_host,omitempty"`
}

// TraceAnalyzed is the tables of one trace.
type TraceAnalyzed struct {
	Trace    string          `json:"trace"`
	Mapping  string          `json:"mapping,omitempty"` // trace that gave source locations, never times
	Tables   ledger.Artifact `json:"tables"`
	Markdown ledger.Artifact `json:"markdown"`
}

// PatchProposed is a diff with its evidence.
type PatchProposed struct {
	ID         string          `json:"id"`
	BaseCommit string          `json:"base_commit"`
	BaseTree   string          `json:"base_tree"`
	RootCommit string          `json:"root_commit"`
	ResultTree string          `json:"result_tree"`
	Branch     string          `json:"branch"`
	Diff       ledger.Artifact `json:"diff"`  // our rendering
	Given      ledger.Artifact `json:"given"` // as the agent gave it
	Digest     string          `json:"patch_digest"`
	Files      json.RawMessage `json:"files"`
	Findings   []string        `json:"findings"`
	Stage      string          `json:"stage"`
	Location   string          `json:"location"`
	Symptom    Symptom         `json:"symptom"`
	Rows       []string        `json:"rows"`
	Evidence   []string        `json:"evidence"` // digests of the tables that hold the rows
	Verdict    string          `json:"verdict_digest"`
	Ceiling    float64         `json:"ceiling"` // largest gain of stage step time, a ratio − 1
	Share      float64         `json:"share"`
	Predicted  float64         `json:"predicted_gain"`
	Rationale  string          `json:"rationale"`
	Elsewhere  string          `json:"elsewhere,omitempty"`
	Tests      []string        `json:"tests"`
}

// ApprovalRecorded is a human's decision: the exact signed bytes and the signature. Whoever writes it, it counts only
// as far as the signature verifies against the approvers file.
type ApprovalRecorded struct {
	Proposal  string `json:"proposal"`
	Decision  string `json:"decision"`
	Statement []byte `json:"statement"` // base64 in JSON
	Signature string `json:"signature"` // armored SSHSIG; empty for a rejection without key
	Principal string `json:"principal"`
	Level     string `json:"level"` // independent or agent-reachable
	Reason    string `json:"reason,omitempty"`
	// LevelWhy says what the level rests on; Origin is where the signature was made, as far as the recorder can tell:
	// terminal (by the approve command), imported, demo.
	LevelWhy string `json:"level_why,omitempty"`
	Origin   string `json:"origin,omitempty"`
	// Key is the signing key's fingerprint, KeyType its kind; Touched says that it is a security key that somebody touched.
	Key     string `json:"key,omitempty"`
	KeyType string `json:"key_type,omitempty"`
	Touched bool   `json:"touched,omitempty"`
}

// BranchCreated is the applied patch.
type BranchCreated struct {
	Proposal string `json:"proposal"`
	Branch   string `json:"branch"`
	Commit   string `json:"commit"`
	Tree     string `json:"tree"`
	// Object is the commit's bytes as git stores them: a reader without the checkout computes its id and reads its trailers.
	Object *ledger.Artifact `json:"object,omitempty"`
	// Level is the approval's level as it was judged anew when the branch was made, LevelWhy what it rests on.
	Level    string `json:"level,omitempty"`
	LevelWhy string `json:"level_why,omitempty"`
}

// RevalidationEnded is predicted against measured.
type RevalidationEnded struct {
	Proposal  string         `json:"proposal"`
	Predicted float64        `json:"predicted"`
	Measured  *float64       `json:"measured"`
	Interval  []float64      `json:"interval"`
	Verdict   string         `json:"verdict"` // patched against base on the primary metric
	Outputs   string         `json:"outputs"`
	Equality  Equality       `json:"equality"`
	Lengths   []OutputLength `json:"output_lengths,omitempty"` // of scenarios with a natural end
	Tests     string         `json:"tests"`
	Results   []VerdictTaken `json:"results"`
	// TestOutcome is none, passed, failed, failed_without_it or not_run; "" in campaigns of before, which ran none.
	TestOutcome string `json:"test_outcome,omitempty"`
}

// Equality counts requests whose output digests differ, between launches of one build and across the patch.
type Equality struct {
	Requests    int `json:"requests"`
	BaseBase    int `json:"base_base_differ"`
	BasePatched int `json:"base_patched_differ"`
	Comparisons int `json:"comparisons"`
	// Envelope is by how much log-probabilities of two launches of the base differ, Largest by how much those of base and
	// patched do; null where none were told.
	Envelope *float64 `json:"envelope,omitempty"`
	Largest  *float64 `json:"largest,omitempty"`
}

// RuleRefused records that a rule refused a call.
type RuleRefused struct {
	Tool string `json:"tool"`
	Rule string `json:"rule"`
	What string `json:"what"`
}

// ReportWritten names the report's files.
type ReportWritten struct {
	Report     ledger.Artifact `json:"report"`
	Manifest   ledger.Artifact `json:"manifest"`
	Transcript ledger.Artifact `json:"transcript"`
	Verdict    string          `json:"verdict"`
	Claim      string          `json:"claim"`
}

// ReportSealed closes a report: its statement names every file by digest, and how far ledger and transcript went. What is
// appended later is not of it.
type ReportSealed struct {
	Lines     int              `json:"lines"` // of the ledger before this entry; the statement is about them
	Head      string           `json:"head"`  // hash of the last of these lines
	Statement ledger.Artifact  `json:"statement"`
	Envelope  *ledger.Artifact `json:"envelope,omitempty"` // DSSE around the statement, where a key is configured
	Key       string           `json:"key,omitempty"`      // fingerprint of the key that signed it
}

// LedgerWitnessed is what a witness answered to the ledger's head: somebody under another account has seen these lines.
type LedgerWitnessed struct {
	Seq       int    `json:"seq"` // of the last line that was shown
	Head      string `json:"head"`
	Statement []byte `json:"statement"` // the exact bytes that the witness signed; base64 in JSON
	Signature string `json:"signature"` // armored SSHSIG
	Key       string `json:"key"`       // fingerprint, as the signature claims it
}

// LedgerRecovered says that the lines before it are what was left of a damaged ledger.
type LedgerRecovered struct {
	Lines   int      `json:"lines"`   // kept
	Damage  string   `json:"damage"`  // what is wrong behind them
	Bytes   int64    `json:"bytes"`   // of the damaged file that were not kept
	SHA256  string   `json:"sha256"`  // of the damaged file
	Missing []string `json:"missing"` // artifacts of these lines that are gone or were changed
}

// CostCorrected is a projection corrected by the first launch.
type CostCorrected struct {
	LaunchS  float64 `json:"launch_s"`
	LoadS    float64 `json:"load_s"`
	Launch   string  `json:"launch"`
	GPUHours float64 `json:"gpu_hours"` // of the whole campaign, projected anew
}

// entry makes a pending line of a payload.
func entry(kind string, payload any) (chain.Pending, error) {
	raw, err := json.Marshal(payload)
	if err != nil {
		return chain.Pending{}, fmt.Errorf("serialise %s: %w", kind, err)
	}
	return chain.Pending{Kind: kind, Payload: raw}, nil
}
