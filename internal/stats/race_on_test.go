//go:build race

package stats_test

// twoLookTrials is smaller where the race detector makes every trial five times as slow.
const twoLookTrials = 100

// oneLookTrials is the number of simulated samples with one look.
const oneLookTrials = 600
