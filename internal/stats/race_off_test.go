//go:build !race

package stats_test

// simulations is the number of simulated campaigns a bar is tested with.
const simulations = 1000
