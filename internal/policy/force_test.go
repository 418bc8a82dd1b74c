package policy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/policy"
)

func parse(t *testing.T, text string) policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(text), "/etc/sotaloop/policy.yaml")
	require.NoError(t, err)
	return p
}

// TestForceIsTheStricter plays every limit against a frozen and a current policy, both ways round: what either refuses
// is refused, and the line named is the one to change, or said to be frozen.
func TestForceIsTheStricter(t *testing.T) {
	t.Parallel()
	loose := "flags: {vllm: [x]}\ntrust_remote_code: [m@1]\n"
	for name, c := range map[string]struct {
		strict string
		ask    func(policy.Force) *policy.Line
	}{
		"host":        {loose + "hosts: [other]\n", func(f policy.Force) *policy.Line { return f.Excludes(policy.KeyHosts, "h") }},
		"no host":     {loose + "hosts: []\n", func(f policy.Force) *policy.Line { return f.Excludes(policy.KeyHosts, "h") }},
		"model":       {loose + "models: [\"Qwen/*\"]\n", func(f policy.Force) *policy.Line { return f.Excludes(policy.KeyModels, "meta/Qwen/x") }},
		"engine":      {loose + "engines: [sglang]\n", func(f policy.Force) *policy.Line { return f.Excludes(policy.KeyEngines, "sglang-2") }},
		"framework":   {loose + "frameworks: [sglang]\n", func(f policy.Force) *policy.Line { return f.Excludes(policy.KeyFrameworks, "vllm") }},
		"read only":   {loose + "read_only: true\n", func(f policy.Force) *policy.Line { return f.ReadOnly() }},
		"independent": {loose + "require_independent: true\n", func(f policy.Force) *policy.Line { return f.Independent() }},
		"approver":    {loose + "approvers: [bob]\n", func(f policy.Force) *policy.Line { return f.RefusesApprover("alice") }},
		"nobody":      {loose + "approvers: []\n", func(f policy.Force) *policy.Line { return f.RefusesApprover("alice") }},
		"branch":      {loose + "branch: a/{campaign}/{proposal}\n", func(f policy.Force) *policy.Line { return f.RefusesBranch("c", "p", "sotaloop/c/p") }},
		"checkpoint": {"flags: {vllm: [x]}\n", func(f policy.Force) *policy.Line {
			if f.Trusts("m@1") {
				return nil
			}
			return &policy.Line{Frozen: len(f.Now.TrustRemoteCode) > 0}
		}},
		"budget": {loose + "budgets: {launches_per_day: 3}\n", func(f policy.Force) *policy.Line {
			limit, line, _ := f.Budget(policy.KeyLaunches)
			if limit > 3 {
				return nil
			}
			return &line
		}},
		"patch": {loose + "patch: {max_lines: 5, over: refuse}\n", func(f policy.Force) *policy.Line {
			for _, over := range f.PatchOver(6, 1) {
				if over.Refuse {
					return &over.Line
				}
			}
			return nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			open, strict := parse(t, loose), parse(t, c.strict)
			require.Nil(t, c.ask(policy.Force{Frozen: open, Now: open}), "the honest twin")
			tightened := c.ask(policy.Force{Frozen: open, Now: strict})
			require.NotNil(t, tightened, "a tightening holds at once")
			require.False(t, tightened.Frozen)
			loosened := c.ask(policy.Force{Frozen: strict, Now: open})
			require.NotNil(t, loosened, "a loosening is for new campaigns")
			require.True(t, loosened.Frozen)
			require.Contains(t, loosened.Change("add it"), "new campaign")
			always := c.ask(policy.Force{Frozen: strict, Now: strict})
			require.NotNil(t, always)
			require.False(t, always.Frozen)
		})
	}
}

func TestLineNamesWhereItStands(t *testing.T) {
	t.Parallel()
	p := parse(t, "# budgets\nbudgets:\n  # small\n  launches_per_day: 12\nhosts: [a, b]\n")
	_, line, ok := policy.Force{Frozen: p, Now: p}.Budget(policy.KeyLaunches)
	require.True(t, ok)
	require.Equal(t, "policy.yaml:4 `budgets.launches_per_day: 12`", line.String())
	require.Equal(t, "ask the engineer to raise it (policy.yaml:4); a loosening counts for campaigns opened after it", line.Change("raise it"))
	l := policy.Force{Frozen: p, Now: p}.Excludes(policy.KeyHosts, "c")
	require.Equal(t, "policy.yaml:5 `hosts: [a, b]`", l.String())
	require.Equal(t, []string{"a", "b"}, l.Valid)
}

// TestBothBudgetsCount takes the lower of two, whichever it is.
func TestBothBudgetsCount(t *testing.T) {
	t.Parallel()
	a, b := parse(t, "budgets: {gpu_hours_per_host_day: 10}\n"), parse(t, "budgets: {gpu_hours_per_campaign: 7}\n")
	for _, f := range []policy.Force{{Frozen: a, Now: b}, {Frozen: b, Now: a}} {
		day, _, ok := f.Budget(policy.KeyHostDayGPUHours)
		require.True(t, ok)
		require.InDelta(t, 10, day, 0)
		campaign, _, ok := f.Budget(policy.KeyCampaignGPUHours)
		require.True(t, ok)
		require.InDelta(t, 7, campaign, 0, "a default is above it")
	}
	require.Contains(t, policy.Force{Frozen: a, Now: b}.Limits(), "budgets.gpu_hours_per_host_day: 10")
}

func TestPatternsTakeSlashes(t *testing.T) {
	t.Parallel()
	p := parse(t, "models: [\"*/Qwen3-*\"]\n")
	f := policy.Force{Frozen: p, Now: p}
	require.Nil(t, f.Excludes(policy.KeyModels, "a/b/Qwen3-8B"))
	require.NotNil(t, f.Excludes(policy.KeyModels, "Qwen3-8B"))
	require.NotNil(t, f.Excludes(policy.KeyModels, "a/Qwen3"))
}
