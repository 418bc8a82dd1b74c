package bench

// Trend is the slope test of one quantity over the window.
type Trend struct {
	Quantity string  `json:"quantity"` // in_flight or ttft_user_ms
	Rise     float64 `json:"rise"`     // fitted rise over the window, as a share of the mean
	T        float64 `json:"t"`        // slope over its standard error
	Critical float64 `json:"t_critical"`
	Rising   bool    `json:"rising"`
}
