//go:build !race

package stats_test

// twoLookTrials is the number of simulated samples with two looks.
const twoLookTrials = 2000

// oneLookTrials is the number of simulated samples with one look.
const oneLookTrials = 2000
