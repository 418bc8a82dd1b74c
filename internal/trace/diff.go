package trace

// DiffRow is one kernel family of one stage in two analyses, as time per step.
type DiffRow struct {
	Stage    string `json:"stage"`
	Rank     int    `json:"rank"`
	Family   string `json:"family"`
	Category string `json:"category"`
	// Kind is "changed", "same", "new" (only after), "gone" (only before) or "fused_elsewhere"
	// (a fuse pattern active on one side only).
	Kind string `json:"kind"`
	// BeforeUS and AfterUS are per step where both sides have steps, else totals (see PerStep).
	BeforeUS float64 `json:"before_us"`
	AfterUS  float64 `json:"after_us"`
	DeltaUS  float64 `json:"delta_us"`
	PerStep  bool    `json:"per_step"`
	// Interval is the 95 % interval of DeltaUS from the steps as samples; null with fewer than two
	// steps on either side.
	Interval *[2]float64 `json:"interval"`
	// Worth is the before stage's gain, as ratio − 1, were its time in this family that of after.
	Worth float64 `json:"worth"`
	Note  string  `json:"note"`
}
