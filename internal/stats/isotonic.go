package stats

// Antitonic is the weighted least-squares fit of a non-increasing sequence to values (pool adjacent violators, Barlow et
// al. 1972): neighbours that rise are pooled into their weighted mean until none do. Weights are positive; both slices
// have one length, and the fit has it too.
func Antitonic(values, weights []float64) []float64 {
	type pool struct {
		sum, weight float64
		n           int
	}
	var pools []pool
	for i, v := range values {
		pools = append(pools, pool{v * weights[i], weights[i], 1})
		for k := len(pools) - 1; k > 0 && pools[k-1].sum*pools[k].weight < pools[k].sum*pools[k-1].weight; k-- {
			pools[k-1] = pool{pools[k-1].sum + pools[k].sum, pools[k-1].weight + pools[k].weight, pools[k-1].n + pools[k].n}
			pools = pools[:k]
		}
	}
	fit := make([]float64, 0, len(values))
	for _, p := range pools {
		for range p.n {
			fit = append(fit, p.sum/p.weight)
		}
	}
	return fit
}
