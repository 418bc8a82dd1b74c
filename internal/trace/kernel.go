package trace

// Kernel is a row of the kernel table: one kernel name in one stage of one rank. On a CPU host it is one
// operator with its self time (wall time of the calling thread, without the operators it called).
type Kernel struct {
	// ID is "kernel:<stage>:<n>@<digest>": n is the place in the unfiltered table, from 1.
	ID       string  `json:"id"`
	Name     string  `json:"name"`     // as recorded
	Category string  `json:"category"` // one of Categories
	TotalUS  float64 `json:"total_us"`
	PostUS   float64 `json:"post_us"` // part launched after its step's window (sampling, logits, copies)
	Share    float64 `json:"share"`   // of the stage's summed time (TotalUS)
	Launches int     `json:"launches"`
	MeanUS   float64 `json:"mean_us"`
	P50US    float64 `json:"p50_us"`
	P99US    float64 `json:"p99_us"`
	CPUOp    string  `json:"cpu_op"` // operator behind most of the time, else empty
	// Locations are the Python sites that launched it, by time, at most three.
	Locations []Location `json:"locations"`
	// LocationSource is "trace", "mapping" (from the mapping trace), "graph_launch" (the frames are
	// those of the graph's replay, not of the kernel) or empty.
	LocationSource string `json:"location_source"`
	// Ceiling is Amdahl's bound: the gain of the stage, as ratio − 1, were this row's time zero.
	// The share is taken of the stage's busy time, on a CPU host of its wall time (Stage.WallUS); shares
	// above 0.999 count as 0.999.
	Ceiling float64 `json:"ceiling"`
	// Roofline is what the hardware would allow, for matrix products whose operators recorded their shapes.
	Roofline *Roofline `json:"roofline,omitempty"`
}

// Location is a Python source line that launched a kernel.
type Location struct {
	Path  string  `json:"path"` // relative to its repository where that can be told
	Line  int     `json:"line"`
	Func  string  `json:"func"`
	Share float64 `json:"share"` // of the row's time
}
