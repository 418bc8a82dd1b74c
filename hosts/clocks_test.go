package hosts_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
)

func TestParseClocks(t *testing.T) {
	t.Parallel()
	got, err := hosts.ParseClocks([]byte("0, 1980, [N/A], 700.00\n3, 1410, 2619, evil\x1b[2J\n"))
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"gpu0.clocks.applications.graphics": "1980", "gpu0.clocks.applications.memory": "[N/A]", "gpu0.power.limit": "700.00",
		"gpu3.clocks.applications.graphics": "1410", "gpu3.clocks.applications.memory": "2619", "gpu3.power.limit": "evil [2J",
	}, got)
	for _, bad := range []string{"No devices were found\n", "x, 1, 2, 3\n", "-1, 1, 2, 3\n", "0, 1, 2\n"} {
		_, err := hosts.ParseClocks([]byte(bad))
		require.Equal(t, fault.Corrupt, fault.CodeOf(err), bad)
	}
}
