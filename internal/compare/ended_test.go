package compare_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/compare"
)

func TestAnEngineThatSomebodyEndedDecidesNothing(t *testing.T) {
	t.Parallel()
	for reason, void := range map[string]bool{
		"the server ended by signal killed":                                     true,
		"the server ended by signal terminated; log: bye":                       true,
		"the server ended by signal segmentation fault":                         false,
		"the server exited with code 1; log: the server ended by signal killed": false,
		"": false,
	} {
		failed := compare.Row{Status: compare.StatusFailed, FailureReason: reason}
		require.Equal(t, void, failed.Void() != "", reason)
		passed := compare.Row{Status: compare.StatusOK, FailureReason: reason}
		require.Empty(t, passed.Void(), reason)
	}
}
