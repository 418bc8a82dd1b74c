package loop_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/policy"
)

func policyOf(t *testing.T, text string) policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(text), "policy.yaml")
	require.NoError(t, err)
	return p
}

func TestOpeningKeepsToThePolicy(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ policy, field, want string }{
		"nothing said":         {"", "", ""},
		"all that is asked":    {"hosts: [g*]\nmodels: [tiny]\nengines: [sglang, vllm]\nframeworks: [sglang, vllm]\n", "", ""},
		"another host":         {"read_only: false\nhosts: [h100a]\n", "host", "policy.yaml:2 `hosts: [h100a]`"},
		"another model":        {"models: [\"Qwen/*\"]\n", "model", "`models: [Qwen/*]`"},
		"no such engine":       {"engines: [sglang]\n", "against", "`engines: [sglang]`"},
		"the target's engine":  {"engines: [vllm]\n", "target", "`engines: [vllm]`"},
		"no such framework":    {"frameworks: [sglang]\n", "against", "`frameworks: [sglang]`"},
		"nothing may be begun": {"read_only: true\n", "tool", "`read_only: true`"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHost()
			h.allow = policyOf(t, c.policy)
			l := newLoop(t, t.TempDir(), h)
			out, err := l.Open(t.Context(), request())
			if c.field == "" {
				require.NoError(t, err)
				require.Equal(t, c.policy, readFile(t, filepath.Join(out.RunDir, "policy.yaml")), "the bytes are kept")
				return
			}
			f, ok := fault.As(err)
			require.True(t, ok, "%v", err)
			require.Equal(t, "flow.policy", f.Rule)
			require.Equal(t, c.field, f.Field)
			require.Contains(t, f.Message, c.want)
			require.NotEmpty(t, f.Hints)
			require.Zero(t, h.dials, "no host is asked for what the policy refuses")
		})
	}
}

func TestAPlanIsReadOnlysToSee(t *testing.T) {
	t.Parallel()
	h := newHost()
	h.allow = policyOf(t, "read_only: true\n")
	r := request()
	r.Plan = true
	_, err := newLoop(t, t.TempDir(), h).Open(t.Context(), r)
	require.NoError(t, err)
}

// frozenUnder is a campaign on disk that was opened under a policy.
func frozenUnder(t *testing.T, home, text string, edit func(*contract.Contract)) *written {
	t.Helper()
	w := &written{t: t, c: terms()}
	p := policyOf(t, text)
	w.c.Policy, w.c.Cost = p.Digest(), []contract.Cost{}
	if edit != nil {
		edit(w.c)
	}
	require.NoError(t, os.MkdirAll(filepath.Join(home, "runs", campaignID), 0o755))
	led, err := ledger.Open(filepath.Join(home, "runs", campaignID), filepath.Join(home, "locks"), loop.Kinds)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(led.Path("policy.yaml"), []byte(text), 0o644))
	raw, digest, err := w.c.Freeze()
	require.NoError(t, err)
	w.add("contract.frozen", loop.ContractFrozen{Contract: raw, Digest: digest, Policy: &ledger.Artifact{Name: "policy.yaml", SHA256: contract.Digest([]byte(text)), Size: int64(len(text))}})
	return w
}

// launches adds ended launches of an hour each.
func (w *written) launches(n int, run string) *written {
	for i := range n {
		w.add("launch.ended", loop.LaunchEnded{Launch: fmt.Sprintf("%s.%d", run, i), RunID: run, Candidate: "sglang-00", Entry: "sglang", Phase: "search", State: "ok", SecondsS: 3600})
	}
	return w
}

func run(id string, launches int) loop.RunPlanned {
	return loop.RunPlanned{RunID: id, Job: "job-1", Step: id, Host: "gpu", Plan: ledger.Artifact{Name: "p"}, Launches: launches}
}

// TestRunsKeepToThePolicyOfThenAndNow plans a run of a campaign under every pair of policies: what either refuses does
// not begin, whoever asks for it.
func TestRunsKeepToThePolicyOfThenAndNow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		then, now string
		measured  int // launches of an hour on one GPU
		asked     int
		rule      string
		want      string
	}{
		"nothing said":                      {"", "", 3, 4, "", ""},
		"tightened: the host":               {"", "hosts: [other]\n", 0, 1, "flow.policy", "`hosts: [other]`"},
		"tightened: the model":              {"", "models: [other]\n", 0, 1, "flow.policy", "`models: [other]`"},
		"tightened: an engine":              {"", "engines: [sglang]\n", 0, 1, "flow.policy", "`engines: [sglang]`"},
		"tightened: read-only":              {"", "read_only: true\n", 0, 1, "flow.policy", "`read_only: true`"},
		"loosened: a budget":                {"budgets: {gpu_hours_per_campaign: 3}\n", "", 3, 1, "flow.budget", "the frozen policy, line 1"},
		"tightened: a budget":               {"", "budgets: {gpu_hours_per_campaign: 3}\n", 3, 1, "flow.budget", "policy.yaml:1"},
		"the next launch fits":              {"budgets: {gpu_hours_per_campaign: 3}\n", "budgets: {gpu_hours_per_campaign: 3}\n", 2, 1, "", ""},
		"the next two do not":               {"budgets: {gpu_hours_per_campaign: 3}\n", "budgets: {gpu_hours_per_campaign: 3}\n", 2, 2, "flow.budget", "2 GPU-hours of 3 are spent by this campaign"},
		"nothing measured, nothing assumed": {"budgets: {gpu_hours_per_campaign: 0.1}\n", "budgets: {gpu_hours_per_campaign: 0.1}\n", 0, 90, "", ""},
		"launches of the day":               {"budgets: {launches_per_day: 5}\n", "", 4, 2, "flow.budget", "4 launches of 5 are spent"},
		"launches of the day, one":          {"budgets: {launches_per_day: 5}\n", "", 4, 1, "", ""},
		"the host's day":                    {"", "budgets: {gpu_hours_per_host_day: 4}\n", 4, 1, "flow.budget", "all campaigns on gpu today"},
		"too long ago":                      {"", "budgets: {wall_hours_per_campaign: 0.5}\n", 0, 1, "flow.budget", "since it was opened"},
		"read-only then":                    {"read_only: true\n", "", 0, 1, "flow.policy", "the frozen policy, line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home, h := t.TempDir(), newHost()
			h.allow = policyOf(t, c.now)
			id := frozenUnder(t, home, c.then, nil).launches(c.measured, "r0").in(home)
			l := newLoop(t, home, h)
			err := l.PlanRun(t.Context(), id, run("r1", c.asked))
			kinds := ledgerKinds(t, home)
			if c.rule == "" {
				require.NoError(t, err)
				require.Equal(t, "run.planned", kinds[len(kinds)-1])
				return
			}
			f := refusedBy(t, c.rule, err)
			require.Contains(t, f.Message, c.want)
			require.NotContains(t, kinds, "run.planned", "nothing may begin on the host")
			require.Equal(t, "rule.refused", kinds[len(kinds)-1])
		})
	}
}

// TestARunThatWasPlannedGoesOn: a second start of one run is the same start, and takes nothing more.
func TestARunThatWasPlannedGoesOn(t *testing.T) {
	t.Parallel()
	home, h := t.TempDir(), newHost()
	id := frozenUnder(t, home, "budgets: {launches_per_day: 5}\n", nil).in(home)
	l := newLoop(t, home, h)
	require.NoError(t, l.PlanRun(t.Context(), id, run("r1", 5)))
	require.NoError(t, l.PlanRun(t.Context(), id, run("r1", 5)))
	f := refusedBy(t, "flow.budget", l.PlanRun(t.Context(), id, run("r2", 1)))
	require.Contains(t, f.Message, "5 launches of 5", "what is under way counts")
}

// TestOfTwoServersOneTakesWhatIsLeft lets two processes on one home ask for the last launches at once.
func TestOfTwoServersOneTakesWhatIsLeft(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	text := "budgets: {launches_per_day: 5}\n"
	id := frozenUnder(t, home, text, nil).in(home)
	var wg sync.WaitGroup
	var mu sync.Mutex
	began := 0
	for i := range 4 {
		h := newHost()
		h.allow = policyOf(t, text)
		l := newLoop(t, home, h)
		wg.Go(func() {
			err := l.PlanRun(t.Context(), id, run(fmt.Sprintf("r%d", i), 3))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				began++
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, began)
}

// TestAPolicyThatCannotBeReadLetsNothingBegin, and what was begun can still be looked at.
func TestAPolicyThatCannotBeReadLetsNothingBegin(t *testing.T) {
	t.Parallel()
	home, h := t.TempDir(), newHost()
	id := frozenUnder(t, home, "", nil).in(home)
	h.broken = fault.New(fault.Denied, "the policy file is not trusted")
	l := newLoop(t, home, h)
	_, err := l.Open(t.Context(), request())
	require.Equal(t, fault.Denied, fault.CodeOf(err))
	require.Equal(t, fault.Denied, fault.CodeOf(l.PlanRun(t.Context(), id, run("r1", 1))))
	_, err = l.ListFlags(t.Context(), loop.FlagsRequest{Campaign: id, Framework: "sglang"})
	require.Equal(t, fault.Denied, fault.CodeOf(err))
	view, err := l.Get(t.Context(), id, "", "")
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(view.Warnings), "not trusted")
	listed, err := l.ListHosts(t.Context(), "", false)
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(listed.Warnings), "not trusted")
}

func TestWhatIsInForceIsShown(t *testing.T) {
	t.Parallel()
	home, h := t.TempDir(), newHost()
	h.allow = policyOf(t, "budgets: {launches_per_day: 7}\n")
	id := frozenUnder(t, home, "models: [tiny]\n", func(c *contract.Contract) { c.Host.EntryDigest = "another" }).in(home)
	l := newLoop(t, home, h)
	view, err := l.Get(t.Context(), id, "", "")
	require.NoError(t, err)
	require.Equal(t, []string{"models: [tiny]", "budgets.launches_per_day: 7", "budgets.gpu_hours_per_campaign: 500"}, view.Summary["policy"])
	require.Equal(t, "unprotected", view.Summary["trust_roots"])
	require.Contains(t, fmt.Sprint(view.Warnings), "the policy has changed since the campaign opened: of both the stricter counts")
	require.Contains(t, fmt.Sprint(view.Warnings), `the entry of host "gpu" has changed since the campaign opened`)
	require.NoError(t, l.PlanRun(t.Context(), id, run("r1", 1)))
	view, err = l.Get(t.Context(), id, "", "")
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(view.Warnings), "1 runs were planned under another one", "the ledger itself tells it from now on")
	listed, err := l.ListHosts(t.Context(), "", false)
	require.NoError(t, err)
	require.Equal(t, "unprotected", listed.TrustRoots)
	require.Contains(t, listed.Policy, "budgets.launches_per_day: 7")
}

// TestAForgedPolicyIsFound: the contract names the bytes.
func TestAForgedPolicyIsFound(t *testing.T) {
	t.Parallel()
	home, h := t.TempDir(), newHost()
	id := frozenUnder(t, home, "budgets: {launches_per_day: 1}\n", nil).in(home)
	require.NoError(t, os.WriteFile(filepath.Join(home, "runs", id, "policy.yaml"), []byte("budgets: {launches_per_day: 1000}\n"), 0o644))
	require.Equal(t, fault.Corrupt, fault.CodeOf(newLoop(t, home, h).PlanRun(t.Context(), id, run("r1", 5))))
}

// TestHeldToPolicyOffline is what verify asks.
func TestHeldToPolicyOffline(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, branch, want string }{
		"as named":            {"branch: agents/{campaign}/{proposal}\n", "agents/" + campaignID + "/patch-1", ""},
		"another branch":      {"branch: agents/{campaign}/{proposal}\n", "sotaloop/" + campaignID + "/patch-1", "branch"},
		"a host not allowed":  {"hosts: [other]\n", "sotaloop/" + campaignID + "/patch-1", "host"},
		"the default's names": {"", "sotaloop/" + campaignID + "/patch-1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			w := frozenUnder(t, home, c.text, nil).add("patch.proposed", loop.PatchProposed{ID: "patch-1", Branch: c.branch})
			w.in(home)
			read := func(a ledger.Artifact) ([]byte, error) {
				return os.ReadFile(filepath.Join(home, "runs", campaignID, a.Name))
			}
			entries, _, err := chain.Read(filepath.Join(home, "runs", campaignID, ledger.ChainFile), loop.Kinds)
			require.NoError(t, err)
			st, err := loop.Replay(entries)
			require.NoError(t, err)
			_, err = st.HeldToPolicy(read)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}
