package compare_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
)

var onlySGLang = compare.Terms{Target: compare.Selector{Side: "sglang-main"}, Delta: 0.03}

// onCPU makes rows those of a host without GPUs.
func onCPU(rows []compare.Row) []compare.Row {
	for i := range rows {
		r := &rows[i]
		r.Mark = contract.NoGPUClaim
		r.Hardware = compare.Hardware{CPUModel: "Test CPU", Cores: "0", Threads: "MKL_NUM_THREADS=1 OMP_NUM_THREADS=1", ClientCores: "1", MemoryMiB: ptr(int64(4096)), Host: "cpu", BootID: "b007"}
	}
	return rows
}

func TestRowsOfACPUHostAreMarkedAndComparable(t *testing.T) {
	t.Parallel()
	res, err := compare.Verdicts(onCPU(blocks(8, 0.2, 0.01)), onlySGLang)
	require.NoError(t, err)
	require.Len(t, res.Verdicts, 1)
	require.Equal(t, contract.NoGPUClaim, res.Mark)
	for _, w := range res.Warnings {
		require.NotContains(t, w, "gpu", "a host without GPUs has nothing to declare of them")
	}
	plain, err := compare.Verdicts(blocks(8, 0.2, 0.01), onlySGLang)
	require.NoError(t, err)
	raw, err := json.Marshal(plain)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "mark", "a result of before is what it was")
	raw, err = json.Marshal(blocks(1, 0, 0)[0])
	require.NoError(t, err)
	for _, name := range []string{"mark", "cpu_model", "cores", "threads", "memory_mib\":", "peak_rss"} {
		require.NotContains(t, string(raw), `"`+name, "so is a row")
	}
}

func TestUnequalCPURowsAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change      func(*compare.Row)
		rule, field string
	}{
		"no mark":                   {func(r *compare.Row) { r.Mark = "" }, compare.RuleSameHardware, "mark"},
		"another CPU":               {func(r *compare.Row) { r.Hardware.CPUModel = "Other" }, compare.RuleSameHardware, "hardware.cpu_model"},
		"other cores":               {func(r *compare.Row) { r.Hardware.Cores = "0,1" }, compare.RuleSameHardware, "hardware.cores"},
		"more threads":              {func(r *compare.Row) { r.Hardware.Threads = "OMP_NUM_THREADS=2" }, compare.RuleSameThreads, "hardware.threads"},
		"a client on other cores":   {func(r *compare.Row) { r.Hardware.ClientCores = "2" }, compare.RuleInterleaved, "hardware.client_cores"},
		"a machine of another size": {func(r *compare.Row) { r.Hardware.MemoryMiB = ptr(int64(8192)) }, compare.RuleSameHardware, "hardware.memory_mib"},
	} {
		res, err := compare.Verdicts(edit(onCPU(blocks(8, 0.2, 0.01)), contract.VLLM, c.change), onlySGLang)
		require.NoError(t, err, name)
		require.Empty(t, res.Verdicts, name)
		require.Len(t, res.Refused, 1, name)
		require.Equal(t, []string{c.rule, c.field}, []string{res.Refused[0].Rule, res.Refused[0].Field}, name)
	}
}
