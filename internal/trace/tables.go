package trace

// Overlap is a row of the overlap-opportunity table: how much of a kernel's time other streams hide.
type Overlap struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Category string `json:"category"`
	// Verdict is "headroom" (time that nothing hides) or "low_roi_hidden" (already hidden).
	Verdict           string  `json:"verdict"`
	TotalUS           float64 `json:"total_us"`
	HiddenUS          float64 `json:"hidden_us"`            // another stream was busy
	HiddenByComputeUS float64 `json:"hidden_by_compute_us"` // another stream was busy computing
	ExclusiveUS       float64 `json:"exclusive_us"`         // nothing else ran
	HiddenRatio       float64 `json:"hidden_ratio"`         // of the row's time
	ShareOfBusy       float64 `json:"share_of_busy"`        // total over the stage's busy time
	// Risk is "low", "high" or "unclear": does a neighbour on the same stream seem to depend on it.
	Risk      string     `json:"risk"`
	RiskWhy   string     `json:"risk_why"`
	Priority  string     `json:"priority"` // P1 try, P2 check dependencies, P4 leave
	Advice    string     `json:"advice"`
	Locations []Location `json:"locations"`
	Ceiling   float64    `json:"ceiling"` // as in Kernel, of the exclusive time
	KernelID  string     `json:"kernel_id"`
}

// Fuse is a row of the fuse-pattern table.
type Fuse struct {
	ID      string `json:"id"`
	Pattern string `json:"pattern"`
	// State is "active" (the fused kernel runs), "missed" (its parts run unfused and every gate
	// holds) or "undecided" (the parts run, a gate is unknown).
	State      string `json:"state"`
	Framework  string `json:"framework"` // framework the pattern exists in
	SourcePath string `json:"source_path"`
	Provenance string `json:"provenance"`
	Upstream   string `json:"upstream"` // "mainline" or "in_flight"
	// Also lists the other frameworks that fuse the same kernels alike.
	Also      []FuseSource `json:"also"`
	Hint      string       `json:"hint"`
	Why       string       `json:"why"` // evidence, or the unknown gate
	TotalUS   float64      `json:"total_us"`
	Share     float64      `json:"share"`   // of the stage's summed GPU time
	Kernels   []string     `json:"kernels"` // ids of the kernel rows involved
	Locations []Location   `json:"locations"`
	Ceiling   float64      `json:"ceiling"`
}

// FuseSource is where a framework has a fused kernel.
type FuseSource struct {
	Framework  string `json:"framework"`
	SourcePath string `json:"source_path"`
	Provenance string `json:"provenance"`
	Upstream   string `json:"upstream"`
}

// Idle is the time the GPU waited, by cause, between the first and the last event of the trace.
type Idle struct {
	IdleUS       float64     `json:"idle_us"`
	HostUS       float64     `json:"host_us"`            // the launch came late
	DependencyUS float64     `json:"dependency_us"`      // the work was queued, another stream held it
	SyncUS       float64     `json:"synchronisation_us"` // the host waited for the GPU before launching
	UnknownUS    float64     `json:"unknown_us"`         // the launch is not in the trace
	PerStepUS    float64     `json:"per_step_us"`
	ShareOfWall  float64     `json:"share_of_wall"` // idle over idle plus busy
	Causes       []IdleCause `json:"causes"`
	// Steps are those with the most idle time, at most five, most first.
	Steps []IdleStep `json:"steps"`
}

// IdleStep is the idle time of one step: the gaps that end with its work.
type IdleStep struct {
	Step         int     `json:"step"`     // number among the stage's steps, from 0
	StartUS      float64 `json:"start_us"` // of its window, from the trace's first event
	IdleUS       float64 `json:"idle_us"`
	HostUS       float64 `json:"host_us"`
	DependencyUS float64 `json:"dependency_us"`
	SyncUS       float64 `json:"synchronisation_us"`
	UnknownUS    float64 `json:"unknown_us"`
}

// IdleCause is a row of the idle table.
type IdleCause struct {
	ID        string  `json:"id"`
	Cause     string  `json:"cause"` // host, dependency, synchronisation, unknown
	TotalUS   float64 `json:"total_us"`
	Share     float64 `json:"share"` // of the stage's wall time (idle plus busy)
	Gaps      int     `json:"gaps"`
	LongestUS float64 `json:"longest_us"`
	// LongestAtUS is where the longest gap begins, in microseconds from the trace's first event.
	LongestAtUS float64 `json:"longest_at_us"`
	Ceiling     float64 `json:"ceiling"` // gain as ratio − 1 were this cause's time zero
}

// Layers are the repeated blocks of the kernel sequence.
type Layers struct {
	// Period is the number of kernels in one layer, 0 when no period was found.
	Period  int     `json:"period"`
	Passes  int     `json:"passes"`          // forward passes seen
	PerPass int     `json:"layers_per_pass"` // layers of the most common pass
	WallUS  float64 `json:"layer_wall_us"`   // median wall time of a steady layer
	SumUS   float64 `json:"layer_sum_us"`    // median summed GPU time of a steady layer
	Share   float64 `json:"share"`           // of the stage's GPU time spent in layers
	Anchor  string  `json:"anchor"`          // kernel that begins a layer
	Rows    []Layer `json:"rows"`            // of a representative pass: first, steady, last, slowest
}

// Layer is one layer of the representative forward pass.
type Layer struct {
	ID     string  `json:"id"`
	Role   string  `json:"role"` // first, steady, last, slowest
	Pass   int     `json:"pass"`
	Index  int     `json:"index"` // layer number in the pass, from 0
	WallUS float64 `json:"wall_us"`
	SumUS  float64 `json:"sum_us"`
	// StartUS and EndUS are microseconds from the trace's first event, as Perfetto shows them.
	StartUS float64 `json:"start_us"`
	EndUS   float64 `json:"end_us"`
	Share   float64 `json:"share"` // of the pass's summed GPU time
}

// Spread compares the ranks of one stage.
type Spread struct {
	Stage string `json:"stage"`
	// Compute is all categories but communication and memory.
	ComputeUS       []RankTime `json:"compute_us"`
	CommunicationUS []RankTime `json:"communication_us"`
	// Straggler is the rank with the most compute time, -1 where ranks differ by less than 2 %.
	Straggler int `json:"straggler"`
	// ComputeSkew and CommunicationSkew are max over min minus 1 (0 where min is 0).
	ComputeSkew       float64 `json:"compute_skew"`
	CommunicationSkew float64 `json:"communication_skew"`
	// WaitingUS is the communication time of the slowest rank beyond the fastest's: time spent
	// waiting inside collectives rather than moving bytes.
	WaitingUS float64 `json:"waiting_us"`
	Finding   string  `json:"finding"`
}

// RankTime is a time on one rank.
type RankTime struct {
	Rank    int     `json:"rank"`
	TotalUS float64 `json:"total_us"`
}
