//go:build unix

package sim_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	waitFor = 5 * time.Second
	tick    = 10 * time.Millisecond
)

// next is the port after one.
func next(t *testing.T, port string) string {
	t.Helper()
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	return strconv.Itoa(n + 1)
}

func itoa(n int) string { return strconv.Itoa(n) }

// flush empties the prefix cache as soon as no request is running any more.
func flush(t *testing.T, url string) int {
	t.Helper()
	status := 0
	require.Eventually(t, func() bool { status, _ = post(t, url+"/flush_cache", ""); return status == 200 }, waitFor, tick)
	return status
}
