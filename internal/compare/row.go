package compare

import (
	"time"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// Status says whether a row's metrics can be trusted.
type Status string

// The statuses. Only StatusOK accounts for every offered request.
const (
	StatusOK      Status = "ok"
	StatusFailed  Status = "failed"
	StatusOOM     Status = "oom"
	StatusTimeout Status = "timeout"
	StatusSkipped Status = "skipped"
)

// Statuses lists the valid statuses.
var Statuses = []string{string(StatusOK), string(StatusFailed), string(StatusOOM), string(StatusTimeout), string(StatusSkipped)}

// Phase says what a row was measured for. Verdicts use block or revalidate rows only: a search score is never a result.
type Phase string

// The phases. An empty phase is a foreign row's and counts as PhaseBlock when the row has a block.
const (
	PhaseSearch     Phase = "search"
	PhaseRace       Phase = "race" // of a search's finalists
	PhaseBlock      Phase = "block"
	PhaseRevalidate Phase = "revalidate"
	PhaseAA         Phase = "aa"
	PhaseCross      Phase = "cross_check" // of another load client: it enters no verdict and no ranking
)

// Searching says whether a phase only chooses what is measured again.
func (p Phase) Searching() bool { return p == PhaseSearch || p == PhaseRace }

// Phases lists the valid phases.
var Phases = []string{string(PhaseSearch), string(PhaseRace), string(PhaseBlock), string(PhaseRevalidate), string(PhaseAA), string(PhaseCross)}

// Row is one measured point: one candidate under one scenario in one launch, one JSON object a line of
// benchmark/candidates.jsonl. Pointers are null where nothing was measured or declared; 0 is never a placeholder.
type Row struct {
	Framework        contract.Framework `json:"framework"`
	FrameworkVersion string             `json:"framework_version"`
	FrameworkCommit  string             `json:"framework_commit"`
	Side             string             `json:"side"` // engine entry of hosts.yaml; empty in foreign rows: the framework is the side
	CandidateID      string             `json:"candidate_id"`
	Model            string             `json:"model"`
	Status           Status             `json:"status"`
	FailureReason    string             `json:"failure_reason"`
	Phase            Phase              `json:"phase"`
	Block            *int               `json:"block"`        // interleaved block of launches, from 0; null outside blocks
	LaunchID         string             `json:"launch_id"`    // one server process lifetime: the unit of replication
	RepeatIndex      *int               `json:"repeat_index"` // repetition of the point within its launch
	StartedAt        *time.Time         `json:"started_at"`   // UTC
	Client           string             `json:"client"`       // load generator, e.g. "sotaloop"
	ClientVersion    string             `json:"client_version"`
	Simulated        bool               `json:"simulated"`
	Mark             string             `json:"mark,omitempty"` // contract.NoGPUClaim: measured on a host without GPUs
	Interference     bool               `json:"interference"`   // foreign load was seen during the window: untrusted
	ContractDigest   string             `json:"contract_digest"`

	WeightsRevision string   `json:"weights_revision"`
	TokenizerHash   string   `json:"tokenizer_hash"`
	Precision       string   `json:"precision"`
	Quantization    *string  `json:"quantization"` // "" = declared none, null = unknown
	WarmupRequests  *int     `json:"warmup_requests"`
	Hardware        Hardware `json:"hardware"`
	Workload        Workload `json:"workload"`
	SLA             SLA      `json:"sla"`
	Metrics         Metrics  `json:"metrics"`
	Audit           *Audit   `json:"audit"`

	Rate *bench.RateResult `json:"rate_search,omitempty"` // of a rate search; the metrics are of its Chosen load point

	Engine *Engine `json:"engine,omitempty"` // what the engine was found to be after the point

	SpecDecode    *SpecDecode    `json:"spec_decode"`
	PhaseMetrics  *PhaseMetrics  `json:"phase_metrics"`
	Cache         *Cache         `json:"cache"`
	Memory        *Memory        `json:"memory"`
	Normalization *Normalization `json:"normalization"`

	ServerCommand     string         `json:"server_command"`
	BenchmarkCommand  string         `json:"benchmark_command"`
	ValidatedCLIFlags ValidatedFlags `json:"validated_cli_flags"`
	Artifacts         Artifacts      `json:"artifacts"`
	RawSHA256         string         `json:"raw_sha256"` // of the raw per-request records

	// Line is the row's place in the file it was read from, 0 otherwise.
	Line int `json:"-"`
}

// SideName is the side a row belongs to: its engine entry, else its framework.
func (r *Row) SideName() string {
	if r.Side != "" {
		return r.Side
	}
	return string(r.Framework)
}

// Scenario is the name of the row's scenario.
func (r *Row) Scenario() string { return r.Workload.Scenario }

// Hardware is what the row was measured on.
type Hardware struct {
	GPUModel       string `json:"gpu_model"`
	GPUCount       *int   `json:"gpu_count"`
	VisibleDevices string `json:"visible_devices"`
	GPUMemoryMiB   *int64 `json:"gpu_memory_mib"`
	Driver         string `json:"driver"`
	CPUModel       string `json:"cpu_model,omitempty"`    // these five only in rows that are marked
	Cores          string `json:"cores,omitempty"`        // that the engine ran on, as 0,1
	Threads        string `json:"threads,omitempty"`      // of its thread pools, as MKL_NUM_THREADS=1 OMP_NUM_THREADS=1
	ClientCores    string `json:"client_cores,omitempty"` // that the load client ran on
	MemoryMiB      *int64 `json:"memory_mib,omitempty"`   // of the machine
	BootID         string `json:"boot_id"`
	Host           string `json:"host"`
}

// Workload is what was offered.
type Workload struct {
	Kind           string           `json:"kind"`
	Scenario       string           `json:"scenario"`
	DatasetPath    string           `json:"dataset_path"` // sha256:… of a stored dataset, or a path in foreign rows
	Endpoint       string           `json:"endpoint"`
	Arrival        contract.Arrival `json:"arrival"` // empty in foreign rows: derived from rate and concurrency
	InputLen       *int             `json:"input_len"`
	OutputLen      *int             `json:"output_len"`
	InputLenP50    *int             `json:"input_len_p50"`
	InputLenP95    *int             `json:"input_len_p95"`
	OutputLenP50   *int             `json:"output_len_p50"`
	OutputLenP95   *int             `json:"output_len_p95"`
	NumPrompts     *int             `json:"num_prompts"`
	RequestRate    *float64         `json:"request_rate"`    // requests/s; null = unbounded
	MaxConcurrency *int             `json:"max_concurrency"` // slots; null = unbounded
	Temperature    *float64         `json:"temperature"`
	IgnoreEOS      *bool            `json:"ignore_eos"`
	Stream         *bool            `json:"stream"`
	DrawDigest     string           `json:"draw_digest"` // of prompts and arrivals: equal for every side of a block
}

// Audit is the client's and host's own examination of a point.
type Audit struct {
	ClientLimited bool     `json:"client_limited"` // such a point can neither win nor lose
	Unsettled     bool     `json:"unsettled"`
	Overloaded    bool     `json:"overloaded"` // more was offered than the engine can take: fails the SLA
	Untrusted     bool     `json:"untrusted"`  // foreign load, cache files written during the window
	Cold          bool     `json:"cold"`       // first launch of a build: never a block's row
	Reasons       []string `json:"reasons"`

	// LoadTest is what Overloaded rests on; null in closed loops, bursts and rows of before.
	LoadTest *bench.LoadTest `json:"load_test,omitempty"`

	LateSendP99MS *float64 `json:"late_send_p99_ms"`
	LoopLagP99MS  *float64 `json:"loop_lag_p99_ms"`
	GCPauseMaxMS  *float64 `json:"gc_pause_max_ms"`
	StealShare    *float64 `json:"steal_share"`
	ClientCPU     *float64 `json:"client_cpu_share"`
	ForeignCPU    *float64 `json:"foreign_cpu_share,omitempty"` // CPU time outside the campaign ÷ the host's capacity
	PSICPU        *float64 `json:"psi_cpu_some_pct,omitempty"`  // of the time some task waited for a CPU, the campaign's own included
}

// Engine is what was found of the engine that a row was measured with.
type Engine struct {
	Identity string `json:"identity"` // wheel, editable, simulated, or none: nothing is known of it
	SHA256   string `json:"sha256"`   // of programs, packages and what runs before them: equal in all launches of one build
	// Modified says why it is not the engine that it is called: such a row supports no claim against it.
	Modified []string `json:"modified,omitempty"`
}

// Undecided says whether the row's window could not tell its load from more than the engine can take.
func (r *Row) Undecided() bool {
	return r.Audit != nil && r.Audit.LoadTest != nil && r.Audit.LoadTest.State == bench.LoadUndecided
}

// SpecDecode is the speculative decoding state of a launch.
type SpecDecode struct {
	Enabled          *bool    `json:"enabled"`
	Algorithm        string   `json:"algorithm"`
	NumSteps         *int     `json:"num_steps"`
	NumDraftTokens   *int     `json:"num_draft_tokens"`
	MeanAcceptLength *float64 `json:"mean_accept_length"`
	AcceptanceRate   *float64 `json:"acceptance_rate"`
}

// PhaseMetrics is time per request spent in the engine's stages, in milliseconds.
type PhaseMetrics struct {
	PreSchedulerMS *float64 `json:"pre_scheduler_ms"`
	SchedulerMS    *float64 `json:"scheduler_ms"`
	TokenizerMS    *float64 `json:"tokenizer_ms"`
	DetokenizerMS  *float64 `json:"detokenizer_ms"`
	QueueMS        *float64 `json:"queue_ms"`
}

// Cache is the prefix and KV cache state of a launch.
type Cache struct {
	PrefixCacheEnabled *bool    `json:"prefix_cache_enabled"`
	PrefixCacheHitRate *float64 `json:"prefix_cache_hit_rate"`
	KVCacheTokens      *int64   `json:"kv_cache_tokens"`
	KVCacheUtilization *float64 `json:"kv_cache_utilization"`
}

// Memory is what the launch did with the GPU's memory.
type Memory struct {
	// PeakRSSMethod says how the metric PeakRSS was summed over processes: pss counts a shared page once, rss once a process.
	PeakRSSMethod        string   `json:"peak_rss_method,omitempty"`
	GPUMemoryUtilization *float64 `json:"gpu_memory_utilization"`
	KVCacheDtype         string   `json:"kv_cache_dtype"`
	CPUOffloadGB         *float64 `json:"cpu_offload_gb"`
	GPUResidentWeightGB  *float64 `json:"gpu_resident_weight_gb"`
}

// Normalization is what the measuring side declares to be equal; shown, never trusted.
type Normalization struct {
	SameGPUCount     *bool  `json:"same_gpu_count"`
	SameModelWeights *bool  `json:"same_model_weights"`
	SameTokenizer    *bool  `json:"same_tokenizer"`
	SameEndpoint     *bool  `json:"same_endpoint"`
	Notes            string `json:"notes"`
}

// ValidatedFlags is the flags that were found in the captured help.
type ValidatedFlags struct {
	Server    []string `json:"server"`
	Benchmark []string `json:"benchmark"`
}

// Artifacts is where a row's files lie, relative to the run directory.
type Artifacts struct {
	ServerLog     string `json:"server_log"`
	RawResult     string `json:"raw_result"`
	ServerHelp    string `json:"server_help"`
	BenchmarkHelp string `json:"benchmark_help"`
	BenchmarkLog  string `json:"benchmark_log"`
	Summary       string `json:"summary"`
}
