//go:build linux && !race

package e2e_test

// raceEnabled says that the tests, and so the servers they start, run under the race detector.
const raceEnabled = false
