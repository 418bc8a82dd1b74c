package bench

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// errMockText says that an output is not the mock's.
var errMockText = errors.New("output is not the mock's")

// mockTruth is what the mock really did with one request, on CLOCK_MONOTONIC in nanoseconds.
type mockTruth struct {
	received int64     // its head had been read
	sent     []int64   // each event
	late     []float64 // of each event against its schedule, milliseconds
}

// readMockTruth reads it from an output of the mock's.
func readMockTruth(output string) (mockTruth, error) {
	var t mockTruth
	for field := range strings.FieldsSeq(output) {
		parts := strings.Split(field, "/")
		numbers := make([]int64, len(parts))
		for i, part := range parts {
			n, err := strconv.ParseInt(part, 10, 64)
			if err != nil {
				return mockTruth{}, fmt.Errorf("%w: %q", errMockText, excerpt([]byte(field)))
			}
			numbers[i] = n
		}
		if first := len(t.sent) == 0; len(parts) != 2 && (!first || len(parts) != 3) {
			return mockTruth{}, fmt.Errorf("%w: %q", errMockText, excerpt([]byte(field)))
		} else if first && len(parts) == 3 {
			t.received = numbers[2]
		}
		t.sent, t.late = append(t.sent, numbers[0]), append(t.late, float64(numbers[1])/1e6)
	}
	return t, nil
}
