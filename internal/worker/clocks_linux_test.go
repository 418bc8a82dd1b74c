package worker_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/worker"
)

func TestCPUClocks(t *testing.T) {
	t.Parallel()
	require.Empty(t, worker.CPUClocks(t.TempDir()), "a virtual machine tells nothing")
	root := t.TempDir()
	for name, text := range map[string]string{
		"cpufreq/policy0/scaling_governor": "performance\n", "cpufreq/policy1/scaling_governor": "powersave\n", "cpufreq/policy2/scaling_governor": "performance\n",
		"cpufreq/policy0/scaling_max_freq": "3500000\n", "cpufreq/policy1/scaling_max_freq": "3500000\n", "cpufreq/policy0/scaling_min_freq": "",
		"intel_pstate/no_turbo": "1\n", "cpufreq/policy0/scaling_cur_freq": "1234\n",
	} {
		file := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	require.Equal(t, map[string]string{"cpu.governor": "performance,powersave", "cpu.max_khz": "3500000", "cpu.no_turbo": "1"}, worker.CPUClocks(root))
}
