//go:build unix

package sim_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	waitFor = 20 * time.Second
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
