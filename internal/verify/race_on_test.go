//go:build race

package verify_test

// sample is how many damages there are to one that is tried: the race detector makes each ten times as slow, and all are
// of one goroutine.
const sample = 10
