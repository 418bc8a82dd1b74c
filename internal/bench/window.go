package bench

// Window is the span [Start, End) whose requests are measured: those with t_sched inside it.
type Window struct {
	Start Offset `json:"start_ns"`
	End   Offset `json:"end_ns"`
}

// Contains says whether a planned time lies inside the window.
func (w Window) Contains(t Offset) bool { return t.Happened() && t >= w.Start && t < w.End }

// Seconds is the window's length.
func (w Window) Seconds() float64 { return float64(w.End-w.Start) / 1e9 }
