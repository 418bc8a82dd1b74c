package trace

// The stages a GPU event can belong to.
const (
	Prefill    = "prefill"
	Decode     = "decode"
	Mixed      = "mixed"
	Unassigned = "unassigned"
)

// The sources of a stage's times. They are never mixed: not in a set of traces, nor across a mapping, nor
// in a diff.
const (
	SourceGPU = "gpu" // GPU events
	SourceCPU = "cpu" // operators of a host without GPU events, by self time of the calling thread
)

// Stage holds the tables of one stage of one trace file.
type Stage struct {
	Stage  string `json:"stage"`
	Rank   int    `json:"rank"`
	Path   string `json:"path"`   // trace file the stage was read from
	Digest string `json:"digest"` // first 16 hex digits of the file's SHA-256, as in row ids
	Source string `json:"source"` // SourceGPU or SourceCPU; only the former supports a claim about a GPU
	// Steps counts the step windows of this stage (0 when the trace has none). Draft steps of
	// speculative decoding are counted apart unless there are no others.
	Steps      int `json:"steps"`
	DraftSteps int `json:"draft_steps"`
	// GraphReplays counts CUDA graph launches whose kernels are in this stage.
	GraphReplays int     `json:"graph_replays"`
	TotalUS      float64 `json:"total_us"`      // summed durations
	BusyUS       float64 `json:"busy_us"`       // union of durations over streams, per device, summed; on a CPU host over operators, per thread
	PostUS       float64 `json:"post_us"`       // part of total launched after the step's window
	PerStepUS    float64 `json:"per_step_us"`   // total over steps, 0 without steps
	Share        float64 `json:"share"`         // of the file's total
	MappedShare  float64 `json:"mapped_share"`  // of the stage's time with a source location
	KernelsTotal int     `json:"kernels_total"` // rows before MinShare
	// WallUS, on a CPU host, is the wall time of the stage's steps and of the operators that count for it
	// outside of them; OutsideUS is the part of the steps in which their thread ran no operator (Python,
	// compiled code that the dispatcher does not see, waiting).
	WallUS    float64 `json:"wall_us,omitempty"`
	OutsideUS float64 `json:"outside_us,omitempty"`

	Kernels    []Kernel        `json:"kernels"`
	Categories []CategoryShare `json:"categories"`
	Overlap    []Overlap       `json:"overlap"`
	Fuse       []Fuse          `json:"fuse"`
	Idle       Idle            `json:"idle"`
	Layers     Layers          `json:"layers"`
	Families   []Family        `json:"families"`
	// Strip shows a representative step; only where it was asked for (Options.Strip).
	Strip *Strip `json:"strip,omitempty"`

	all []Kernel // every row, for Row and Diff
}

// CategoryShare is the time of one kernel category in a stage.
type CategoryShare struct {
	Category string  `json:"category"`
	TotalUS  float64 `json:"total_us"`
	Share    float64 `json:"share"` // of the stage's total
	Launches int     `json:"launches"`
}

// Family sums the kernels of one canonical name, with the spread over the stage's steps.
type Family struct {
	Name     string  `json:"name"`
	Category string  `json:"category"`
	TotalUS  float64 `json:"total_us"`
	Launches int     `json:"launches"`
	// PerStepUS is the mean over the stage's steps and SDStepUS the sample standard deviation
	// between them; both 0 without steps.
	PerStepUS float64 `json:"per_step_us"`
	SDStepUS  float64 `json:"sd_step_us"`
}
