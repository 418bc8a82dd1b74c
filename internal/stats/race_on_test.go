//go:build race

package stats_test

// simulations is the number of simulated campaigns a bar is tested with; fewer where the race detector makes each
// several times as slow.
const simulations = 300
