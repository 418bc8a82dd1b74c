package loop_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/worker"
)

func onCPU() loop.OpenRequest {
	return loop.OpenRequest{Model: "tiny", Host: "cpu", SLANone: true, Target: "sglang", Against: []string{"vllm"}}
}

func TestAContractOfACPUHostNamesItsCores(t *testing.T) {
	t.Parallel()
	l := newLoop(t, t.TempDir(), newHost())
	out, err := l.Open(t.Context(), onCPU())
	require.NoError(t, err)
	c, err := contract.Parse(out.Contract)
	require.NoError(t, err)
	require.Equal(t, []int{1}, c.Host.Cores, "as hosts.yaml says")
	require.Equal(t, []int{0, 3}, c.Host.ClientCores())
	require.Equal(t, &contract.CPU{Model: "Test CPU", Cores: 4, Allowed: []int{0, 1, 3}, MemoryMiB: 4096, Flags: []string{"avx2"}}, c.Host.CPU)
	require.NotContains(t, strings.Join(out.Assumed, "\n"), "cores")
	require.Contains(t, out.Warnings, contract.NoGPUClaimText)
	require.NotContains(t, strings.Join(out.Warnings, "\n"), "share cores")

	view, err := l.Get(t.Context(), out.Campaign, "", "")
	require.NoError(t, err)
	require.Contains(t, view.Warnings, contract.NoGPUClaimText)
	require.Equal(t, contract.NoGPUClaim, view.Summary["mark"])
	require.Equal(t, "cpu, no GPU, cores [1] of 4, Test CPU", view.Summary["host"])

	r := onCPU()
	r.Host, r.Study, r.Against = "lonely", "tune", nil
	out, err = l.Open(t.Context(), r)
	require.NoError(t, err)
	c, err = contract.Parse(out.Contract)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, c.Host.Cores, "all but the last")
	require.Contains(t, out.Assumed, "cores: [0 1] of [0 1 3]")
}

func TestOneCoreIsSharedWithAWarning(t *testing.T) {
	t.Parallel()
	h := newHost()
	h.facts.CPU.Allowed = []int{1}
	out, err := newLoop(t, t.TempDir(), h).Open(t.Context(), onCPU())
	require.NoError(t, err)
	require.Contains(t, strings.Join(out.Warnings, "\n"), "load client and engine share cores [1]")
}

func TestCPUHostRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit              func(*loop.OpenRequest, *host)
		says, field, rule string
	}{
		"gpus":                {func(r *loop.OpenRequest, _ *host) { r.GPUs = []int{0} }, "gpus [0] are asked for", "gpus", ""},
		"a core not there":    {func(_ *loop.OpenRequest, h *host) { h.facts.CPU.Allowed = []int{0, 2} }, "has no core 1", "cores", ""},
		"an old worker":       {func(_ *loop.OpenRequest, h *host) { h.facts.CPU = nil }, "which cores it may run on", "", ""},
		"threads that differ": {func(r *loop.OpenRequest, _ *host) { r.Against = []string{"vllm-two"} }, "vllm-two has thread pools of", "against", "fair.same-threads"},
	} {
		h, r := newHost(), onCPU()
		c.edit(&r, h)
		_, err := newLoop(t, t.TempDir(), h).Open(t.Context(), r)
		f, ok := fault.As(err)
		require.True(t, ok, "%s: %v", name, err)
		require.Contains(t, f.Message, c.says, name)
		require.Equal(t, c.field, f.Field, name)
		require.Equal(t, c.rule, f.Rule, name)
		require.NotEmpty(t, f.Hints, name)
	}
	r := onCPU()
	r.GPUs = []int{}
	_, err := newLoop(t, t.TempDir(), newHost()).Open(t.Context(), r)
	require.NoError(t, err, "no GPU is what the host has")
}

func TestAHostViewShowsCoresAndTheirLeases(t *testing.T) {
	t.Parallel()
	h := newHost()
	h.facts.Leases = []worker.Lease{{GPU: "cpu-1", Campaign: "theirs"}, {GPU: "0", Campaign: "of a GPU"}}
	l := newLoop(t, t.TempDir(), h)
	out, err := l.ListHosts(t.Context(), "cpu", true)
	require.NoError(t, err)
	require.Equal(t, &loop.CPUView{Model: "Test CPU", MemoryMiB: 4096, Allowed: []int{0, 1, 3}, Leases: map[string]string{"1": "theirs"}}, out.Hosts[0].CPU)
}
