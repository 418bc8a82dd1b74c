//go:build race

package stats_test

// twoLookTrials is smaller where the race detector makes every trial five times as slow.
const twoLookTrials = 120
