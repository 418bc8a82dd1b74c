package verify_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/verify"
)

// cpuHost makes a contract one of a host without GPUs.
func cpuHost(c *contract.Contract) {
	c.Host = contract.Host{Name: "cpu", Device: "cpu", GPUs: []int{}, BootID: "b007", Cores: []int{0},
		CPU: &contract.CPU{Model: "Test CPU", Cores: 2, Allowed: []int{0, 1}, MemoryMiB: 4096, Flags: []string{"avx2"}}}
}

func TestACPUCampaignVerifiesAndIsMarked(t *testing.T) {
	t.Parallel()
	dir, approvers := build(t, 2, cpuHost) // two blocks decide nothing
	res := check(t, dir, verify.Options{Approvers: approvers})
	require.Nil(t, res.First)
	require.True(t, res.OK)
	require.Contains(t, res.Levels, contract.NoGPUClaim)

	read := func(name string) []byte {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return raw
	}
	rows := bytes.Split(bytes.TrimSpace(read("benchmark/candidates.jsonl")), []byte("\n"))
	require.Greater(t, len(rows), 10)
	for _, row := range rows {
		for _, want := range []string{`"mark":"no_gpu_claim"`, `"cpu_model":"Test CPU","cores":"0","threads":"MKL_NUM_THREADS=1 OMP_NUM_THREADS=1","client_cores":"1","memory_mib":4096`,
			`"peak_rss_mib":512`, `"peak_rss_method":"pss"`, `"gpu_count":null`} {
			require.Contains(t, string(row), want)
		}
	}
	require.Contains(t, string(read("final_report.md")), contract.NoGPUClaimText)
	require.Contains(t, string(read("final_report.md")), "Peak RSS MiB")
	require.Contains(t, string(read("manifest.txt")), "mark: no_gpu_claim\ncores: [0]\ncpu_model: Test CPU\n")
	ledger, result := read("ledger.jsonl"), []byte(`"delta":0.03,"looks":[2]`)
	require.Positive(t, bytes.Count(ledger, result))
	require.Equal(t, bytes.Count(ledger, result), bytes.Count(ledger, append(result, `,"mark":"no_gpu_claim"`...)), "every comparison")
}
