// Package worker is both ends of the protocol by which work runs on a GPU host. Client, on the server's machine, uploads
// a Plan over a hosts.Conn and starts `sotaloop worker run` there, detached; the worker holds the GPU lease, executes
// the plan's launches in order, and writes what happened as Events into its run folder, atomically and in order. The
// caller may die at any time: it reads the events again by RunID, and a repeated start is the same start.
package worker

import (
	"time"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/genuine"
)

// PlanKind and PlanVersion name the format of a plan.
const (
	PlanKind    = "sotaloop.plan"
	PlanVersion = 1
)

// Plan is everything one run does on a host, to its end without a server.
type Plan struct {
	Kind           string        `json:"kind"`
	V              int           `json:"v"`
	RunID          string        `json:"run_id"` // hash of campaign, job and step: the folder's name
	Campaign       string        `json:"campaign"`
	Job            string        `json:"job"`
	ContractDigest string        `json:"contract_digest"`
	Workdir        string        `json:"workdir"`   // on the host; "~/" is the home there
	LeaseDir       string        `json:"lease_dir"` // shared by everyone on the host
	Device         string        `json:"device"`    // cuda or cpu
	GPUs           []int         `json:"gpus"`
	Cores          []int         `json:"cores,omitempty"` // of device cpu: engines are pinned to them, the load client to the others; none: nothing is pinned
	Simulated      bool          `json:"simulated"`
	LaunchDeadline time.Duration `json:"launch_deadline_ns"`     // a launch not ready by then has failed; 0 = 60 min
	StallAfter     time.Duration `json:"stall_after_ns"`         // no log line, CPU, or bytes read for so long: failed; 0 = 10 min
	StopGrace      time.Duration `json:"stop_grace_ns"`          // between SIGTERM and SIGKILL; 0 = 30 s
	ProofWait      time.Duration `json:"proof_wait_ns"`          // after readiness, for an overlay's modules that are loaded late; 0 = 10 s
	TraceSettle    time.Duration `json:"trace_settle_ns"`        // no file of a capture may change for so long; 0 = 2 s
	TraceWait      time.Duration `json:"trace_wait_ns"`          // until a profiler's files are complete; 0 = 15 min
	AuditLimits    *bench.Limits `json:"audit_limits,omitempty"` // nil = the design's
	QuietLimits    *QuietLimits  `json:"quiet_limits,omitempty"` // nil = DefaultQuietLimits
	WarmUp         bool          `json:"warm_up,omitempty"`      // a build's first launch on the host is preceded by one that compiles its kernels
	Expects        *Expected     `json:"expects,omitempty"`      // what the host has to be still; nil: nothing is compared
	Launches       []Launch      `json:"launches"`

	// Tests are run before the launches, on the leased device.
	Tests []TestRun `json:"tests,omitempty"`
	// Asked is the SHA-256 of the plan as it came, with a line feed; the host sets it, in its own copy alone. It is one
	// file with the plan, so that of two plans for one run neither gets the other's.
	Asked string `json:"asked_sha256,omitempty"`
}

// Expected is what a contract froze of its host and model. A launch on anything else is never begun: its rows would say
// what is not so. Empty fields are not compared.
type Expected struct {
	GPUModel string `json:"gpu_model,omitempty"`
	Driver   string `json:"driver,omitempty"`
	Model    string `json:"model,omitempty"`    // folder of the snapshot
	Identity string `json:"identity,omitempty"` // of its files
}

// Launch is one server process lifetime with the points and captures it carries.
type Launch struct {
	ID        string             `json:"id"` // unique in the campaign
	Candidate string             `json:"candidate"`
	Entry     string             `json:"entry"`
	Framework contract.Framework `json:"framework"`
	Phase     string             `json:"phase"` // preflight, search, block, revalidate, profile, aa
	Block     int                `json:"block"`
	Argv      []string           `json:"argv"`
	Env       map[string]string  `json:"env"`
	SecretEnv []string           `json:"secret_env"` // names taken from the host account's environment, never values
	Overlay   *Overlay           `json:"overlay,omitempty"`
	Protocol  framework.Protocol `json:"protocol"`
	Served    string             `json:"served_model"`
	Endpoint  string             `json:"endpoint"`
	Points    []Point            `json:"points"`
	Captures  []Capture          `json:"captures"`
}

// Overlay puts the files of one git tree before the installed package. The worker copies (by links) the installed package
// and lays the tree's files over it; the running process must prove that it loaded them.
type Overlay struct {
	Tree        string            `json:"tree"`         // git tree id, names the folder
	Installed   Package           `json:"installed"`    // where the installed package is; empty = by the launch's program
	Tar         string            `json:"tar"`          // file name in the run's inbox, uploaded before the start
	TarDigest   string            `json:"tar_digest"`   // SHA-256
	ImportName  string            `json:"import_name"`  // e.g. sglang
	PackageRoot string            `json:"package_root"` // where in the archive the package lies, e.g. python/sglang; empty: the archive is the package
	Base        map[string]string `json:"base"`         // touched file (relative to the package) → SHA-256 of the base commit's blob; must equal the installed file
	Want        map[string]string `json:"want"`         // touched file → SHA-256 that the process must have loaded
}

// TestRun runs tests of a patch's tree by pytest of the engine's own environment, with an overlay first on its path.
type TestRun struct {
	ID          string             `json:"id"`
	Entry       string             `json:"entry"`
	Framework   contract.Framework `json:"framework"`
	Python      string             `json:"python"`  // the environment's interpreter
	Options     []string           `json:"options"` // of pytest, from hosts.yaml
	Tests       []string           `json:"tests"`   // paths or node ids from the repository's root
	PackageRoot string             `json:"package_root"`
	Env         map[string]string  `json:"env"`
	Overlay     *Overlay           `json:"overlay"`
	Tar         string             `json:"tar"` // of test files and settings, from the repository's root; in the inbox
	TarDigest   string             `json:"tar_digest"`
	Timeout     time.Duration      `json:"timeout_ns"`       // 0 = 10 min
	Unless      string             `json:"unless,omitempty"` // an earlier one: where all of its tests passed this one is left out
}

// TestResult is how a TestRun ended.
type TestResult struct {
	ID       string   `json:"id"`
	Argv     []string `json:"argv"`
	Exit     int      `json:"exit"` // pytest's: 0 all passed, 1 some failed; -1 where a signal or the time limit ended it
	Passed   int      `json:"passed"`
	Failed   int      `json:"failed"` // failures and errors
	Skipped  int      `json:"skipped"`
	Failing  []string `json:"failing"` // node ids, sorted; the first 200
	Summary  string   `json:"summary"` // pytest's last line; untrusted
	TimedOut bool     `json:"timed_out,omitempty"`
	SecondsS float64  `json:"seconds_s"`
	// Counted says that pytest got to its end: it told its counts, and they fit its exit code.
	Counted bool `json:"counted"`
}

// Point is one load level within a launch.
type Point struct {
	ID    string     `json:"id"`
	Spec  bench.Spec `json:"spec"`
	Flush bool       `json:"flush"` // flush the prefix cache before it
	Gate  *Gate      `json:"gate,omitempty"`

	Rows *DatasetDraw `json:"rows,omitempty"` // text, chat, replay: the rows to send
	// Rate makes the point a search for the highest rate under the SLA: many load points of the spec's scenario, on one
	// engine, one event.
	Rate *bench.RateTerms `json:"rate,omitempty"`
}

// Capture is one profiler capture within a launch.
type Capture struct {
	ID        string `json:"id"`
	Stage     string `json:"stage"` // prefill or decode
	InputLen  int    `json:"input_len"`
	OutputLen int    `json:"output_len"`
	Batch     int    `json:"batch"`  // concurrent requests while capturing
	Warmup    int    `json:"warmup"` // requests before
	Steps     int    `json:"steps"`  // profiler steps wanted
	Seed      uint64 `json:"seed,string"`

	Vocab bench.TokenRange `json:"vocab"` // ids of the load's prompts; empty = those of the launch's first random point
}

// EventKind names what happened in a run.
type EventKind string

// The kinds of events, in the order a run emits them.
const (
	EventRunStarted    EventKind = "run.started"    // lease held
	EventLaunchStarted EventKind = "launch.started" // process exists
	EventLaunchCold    EventKind = "launch.cold"    // it was the build's first here and compiled kernels; it goes down and the measured one starts
	EventLaunchReady   EventKind = "launch.ready"
	EventLaunchFailed  EventKind = "launch.failed"
	EventPointDone     EventKind = "point.done"
	EventPointFailed   EventKind = "point.failed"
	EventPointSkipped  EventKind = "point.skipped" // its gate stayed shut
	EventCaptureDone   EventKind = "capture.done"
	EventCaptureFailed EventKind = "capture.failed"
	EventLaunchStopped EventKind = "launch.stopped" // teardown confirmed; ends every launch, one that never had a process too
	EventTestsDone     EventKind = "tests.done"     // of one TestRun
	EventRunDone       EventKind = "run.done"       // lease released; State says how it ended
)

// Event is one thing that happened in a run. Seq counts from 1 without gaps.
type Event struct {
	Seq      int                `json:"seq"`
	Kind     EventKind          `json:"kind"`
	Time     time.Time          `json:"time"`      // UTC, for people
	ElapsedS float64            `json:"elapsed_s"` // since the run started, monotonic
	Launch   string             `json:"launch,omitempty"`
	Point    string             `json:"point,omitempty"`
	Capture  string             `json:"capture,omitempty"`
	Proc     *Proc              `json:"proc,omitempty"`
	Port     int                `json:"port,omitempty"`
	Phases   map[string]float64 `json:"phases_s,omitempty"` // seconds since launch at which a phase ended
	Loaded   map[string]string  `json:"loaded,omitempty"`   // file → SHA-256 that the process proved it loaded
	Info     string             `json:"info,omitempty"`     // resolved server arguments, JSON text, capped
	Engine   *EngineFacts       `json:"engine,omitempty"`   // launch.ready
	Checked  *EngineCheck       `json:"checked,omitempty"`  // point: what the engine was found to be after it
	Tests    *TestResult        `json:"tests,omitempty"`    // tests.done
	Failure  *Failure           `json:"failure,omitempty"`
	Metrics  *bench.Metrics     `json:"metrics,omitempty"`
	Audit    *bench.Audit       `json:"audit,omitempty"`
	Measured *bench.Point       `json:"measured,omitempty"` // all of a point but its recording, Metrics and Audit again included
	Quiet    *Quiet             `json:"quiet,omitempty"`
	Pinning  *Pinning           `json:"pinning,omitempty"` // launch.started of a plan that names cores
	Memory   *TreeMemory        `json:"memory,omitempty"`  // point, launch.stopped; on CPU hosts
	Rate     *bench.RateResult  `json:"rate,omitempty"`    // point with a rate search; Measured is then of its Chosen load point
	Files    []File             `json:"files"`
	Repeated string             `json:"repeated,omitempty"` // point: why its first try did not count
	Cache    string             `json:"cache,omitempty"`    // point: flushed, kept (not asked), unflushable (the server cannot)
	ColdS    float64            `json:"cold_s,omitempty"`   // launch.cold: how long it was up, in seconds
	Exit     *int               `json:"exit,omitempty"`     // launch.stopped: exit code, 128 + signal where one ended it
	State    string             `json:"state,omitempty"`    // run.done: done, failed, canceled
}

// Proc identifies a process that we started, so that no other is ever signalled.
type Proc struct {
	PID       int    `json:"pid"`
	StartTime uint64 `json:"start_time"` // clock ticks since boot, /proc/PID/stat field 22
	BootID    string `json:"boot_id"`
	PGID      int    `json:"pgid,omitempty"`
	Exe       string `json:"exe"` // resolved executable
}

// Pinning is which cores a launch and the load client run on.
type Pinning struct {
	Cores       []int          `json:"cores"`             // the engine's, all its children's too
	Threads     map[string]int `json:"threads"`           // what its environment says of thread pools, by variable
	ClientCores []int          `json:"client_cores"`      // the worker's, which is the load client
	Warning     string         `json:"warning,omitempty"` // why the client has no core to itself
}

// TreeMemory is the peak of the memory resident in an engine's whole process tree, sampled every two seconds. A page
// that processes share counts once.
type TreeMemory struct {
	PeakMiB float64 `json:"peak_mib"`
	// Method is pss: the sum of the members' proportional set sizes, where a page that n processes map counts 1/n for
	// each. Where the kernel tells none it is rss: the sum of resident sizes, where such a page counts n times.
	Method string `json:"method"`
}

// The methods of a TreeMemory.
const (
	MemoryPSS = "pss"
	MemoryRSS = "rss"
)

// EngineFacts is what a ready engine's process shows of itself.
type EngineFacts struct {
	Argv      []string `json:"argv"`      // placeholders filled
	EnvNames  []string `json:"env_names"` // names only, sorted
	Libraries []string `json:"libraries"` // mapped shared objects outside the environment, the system and CUDA
	Processes []Proc   `json:"processes"` // every process of the engine

	Identity *genuine.Identity `json:"identity,omitempty"` // what is installed
	Mounts   []string          `json:"mounts,omitempty"`   // file systems that hold program and packages, as "place type source"
	Suspect  []string          `json:"suspect,omitempty"`  // what its processes show that its identity does not explain
}

// EngineCheck is a look at a running engine and its files. A row of an engine that was modified supports no claim against it.
type EngineCheck struct {
	Identity string   `json:"identity"` // one of genuine's kinds
	SHA256   string   `json:"sha256"`   // of the identity
	Modified []string `json:"modified,omitempty"`
}

// Failure says why a launch, point or capture failed.
type Failure struct {
	Class   framework.FailureClass `json:"class"`
	Reason  string                 `json:"reason"`
	LogTail string                 `json:"log_tail,omitempty"` // untrusted bytes of the engine, capped
	Exit    *int                   `json:"exit,omitempty"`
}

// The failure classes that the worker adds to framework's.
const (
	FailRequests framework.FailureClass = "requests_failed" // the server lives, its answers were no success
	FailSocket   framework.FailureClass = "foreign_socket"  // the port is not listened on by a process of ours
	FailFlush    framework.FailureClass = "flush_failed"
	FailCapture  framework.FailureClass = "capture_failed"
	FailTeardown framework.FailureClass = "teardown_unconfirmed"
	FailWorker   framework.FailureClass = "worker" // the host could not do its part: disk, permissions
)

// Quiet is what else ran on the host during a point.
type Quiet struct {
	ForeignCPUShare float64 `json:"foreign_cpu_share"` // CPU time outside the campaign's processes ÷ capacity of the host
	// ForeignCoreShare is CPU time on the leased cores outside the engine's processes ÷ the capacity of those cores;
	// null where the plan names none. The load client has other cores and is in it only where it shares them.
	ForeignCoreShare *float64 `json:"foreign_core_share,omitempty"`
	// Repinned counts threads of the engine that had taken themselves other cores and were put back before the point;
	// OffCores names processes that had done so again at its end.
	Repinned   int      `json:"repinned,omitempty"`
	OffCores   []string `json:"off_cores,omitempty"`
	PSICPU     *float64 `json:"psi_cpu_some_pct,omitempty"`
	PSIMemory  *float64 `json:"psi_memory_full_pct,omitempty"` // of the time every task that could run waited for memory
	ForeignGPU []string `json:"foreign_gpu"`                   // processes on our GPUs that are not ours
	// CacheWrites counts files of the engine's JIT caches that were written in the measured window: kernels were still being
	// compiled. CacheFiles names some.
	CacheWrites int      `json:"cache_writes,omitempty"`
	CacheFiles  []string `json:"cache_files,omitempty"`
	PeakRSSMiB  float64  `json:"peak_rss_mib,omitempty"`
	PeakGPUMiB  float64  `json:"peak_gpu_mem_mib,omitempty"`
}

// RoleFirstRecords is the role of the records of a try that was repeated.
const RoleFirstRecords = "first_records"

// File is an artifact in the run folder, fetched by name.
type File struct {
	Name   string `json:"name"`            // relative to the run folder
	Role   string `json:"role"`            // records, first_records, log, trace, proof
	Tried  int    `json:"tried,omitempty"` // records of a rate search: which load point's, from 1
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// States of a run.
const (
	StateAbsent   = "absent"   // no run folder
	StateStarting = "starting" // prepared, no event yet
	StateRunning  = "running"  // the worker lives
	StateDone     = "done"     // every launch was carried out; some may have failed
	StateFailed   = "failed"   // the run itself could not go on
	StateCanceled = "canceled" // asked to stop, torn down
	StateLost     = "lost"     // the worker is gone without a last event; Reap ends what it left
)

// Status is what a caller sees of a run.
type Status struct {
	RunID     string   `json:"run_id"`
	State     string   `json:"state"`  // one of the State constants
	Reason    string   `json:"reason"` // why it failed, was canceled or is lost
	Events    []Event  `json:"events"` // after the asked seq
	Doing     string   `json:"doing"`  // a line for people
	Fraction  float64  `json:"fraction"`
	Heartbeat float64  `json:"heartbeat_age_s"`
	Refused   *Refusal `json:"refused,omitempty"` // starting only: why the worker did not begin
}

// Facts is what a probe finds on a host.
type Facts struct {
	Hostname    string            `json:"hostname"`
	OS          string            `json:"os"`
	Arch        string            `json:"arch"`
	Kernel      string            `json:"kernel"`
	BootID      string            `json:"boot_id"`
	Now         time.Time         `json:"now"`
	CPUs        int               `json:"cpus"`
	CPU         *contract.CPU     `json:"cpu,omitempty"`
	MemoryMiB   int64             `json:"memory_mib"`
	DiskFreeMiB int64             `json:"disk_free_mib"`
	Simulated   bool              `json:"simulated"`
	Engines     map[string]string `json:"engines"` // entry → "" or why its executable cannot be used
	Models      map[string]Model  `json:"models"`
	Leases      []Lease           `json:"leases"`
	Clocks      map[string]string `json:"clocks,omitempty"` // settings of the CPU: governor, bounds, boost
	Leased      []Leased          `json:"leased,omitempty"` // campaigns that the lease log names, oldest first
}

// Leased is a campaign that held a lease on this host at some time.
type Leased struct {
	Campaign string `json:"campaign"`
	Owner    string `json:"owner"`
}

// Model is a snapshot folder found on the host.
type Model struct {
	Path     string `json:"path"`
	Gap      string `json:"gap,omitempty"` // absent, partial, gated, no_space
	Identity string `json:"identity"`      // digest over names, sizes and safetensors headers
	Config   string `json:"config"`        // config.json text, capped
	Bytes    int64  `json:"bytes"`
	// Code is the SHA-256 of each Python file of the snapshot, which engines run where remote code is trusted.
	Code map[string]string `json:"code,omitempty"`
}

// CorePrefix begins the name of a core in a lease.
const CorePrefix = "cpu-"

// Lease is an exclusive claim on a GPU or a core of a host.
type Lease struct {
	GPU      string    `json:"gpu"` // "0", a core as "cpu-0", or "cpu"
	Campaign string    `json:"campaign"`
	RunID    string    `json:"run_id"`
	Owner    string    `json:"owner"`
	Proc     Proc      `json:"proc"`
	Since    time.Time `json:"since"`
}
