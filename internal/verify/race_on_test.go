//go:build race

package verify_test

// raceEnabled says that the race detector slows everything down.
const raceEnabled = true
