//go:build linux

package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/server"
)

// Speeds of the cheat suite's host. It says so in the name of its GPUs, and so do contract, rows, traces and reports.
const (
	cheatSpeed   = 4
	cheatStartup = 2000
)

// recorded is a campaign that was played once, with a copy of its home as it was in every phase.
type recorded struct {
	w      *world
	base   string // everything lies below
	phases map[string]phase
}

// phase is a home's copy and what an agent knew when it was taken.
type phase struct {
	Dir  string
	Vars map[string]any
	Runs []string // the host's run folders at that time
}

// record plays the campaign of all scenarios. Its home holds the checkout, and hosts.yaml names that from the user's
// home, so that a copy elsewhere is the same home with the same digests.
func record(t *testing.T) *recorded {
	t.Helper()
	base, kept := t.TempDir(), os.Getenv("SOTALOOP_CHEATS_KEEP")
	if kept != "" {
		base = kept
	}
	w := &world{t: t, programs: needPrograms(t), home: filepath.Join(base, "home")}
	t.Cleanup(w.ended)
	w.checkout, w.key = filepath.Join(w.home, "user", "src", "sglang"), filepath.Join(w.home, "engineer_ed25519")
	for _, dir := range []string{"config", "user/src", "race"} {
		require.NoError(t, os.MkdirAll(filepath.Join(w.home, dir), 0o700))
	}
	r := &recorded{w: w, base: base, phases: map[string]phase{}}
	again := r.load()
	commit := ""
	var err error
	if !again {
		commit, err = gitops.Create(w.checkout, sim.SourceFiles(), "Import the simulated SGLang source", time.Now())
		require.NoError(t, err)
	}
	w.host, err = sim.New(filepath.Join(base, "simhost"), sim.Options{
		Binary: w.programs.plain, Engines: []string{"sglang", "vllm"}, Commit: commit, Source: w.checkout,
		Config: sim.Config{Speed: cheatSpeed, StartupSpeed: cheatStartup}})
	require.NoError(t, err)
	w.layout = w.host.Layout()
	_, err = w.host.ServeSSH(context.Background())
	require.NoError(t, err)
	w.reach()
	if again {
		return r
	}
	w.writeKey()
	w.writeHosts("")
	hosts, err := os.ReadFile(w.config("hosts.yaml"))
	require.NoError(t, err)
	w.write("hosts.yaml", strings.ReplaceAll(string(hosts), fmt.Sprintf("%q", w.checkout), "~/src/sglang"))
	r.play()
	r.save()
	return r
}

// reach lets the home's SSH client find the host, whose port is another one each time.
func (w *world) reach() {
	w.t.Helper()
	for name, from := range map[string]string{"ssh_config": w.layout.SSHConfig, "known_hosts": w.layout.KnownHosts} {
		raw, err := os.ReadFile(from)
		require.NoError(w.t, err)
		w.write(name, string(raw))
	}
}

// load takes a recording that an earlier run left in the folder that SOTALOOP_CHEATS_KEEP names: for those who write
// scenarios, and only as long as the program's formats stay.
func (r *recorded) load() bool {
	raw, err := os.ReadFile(filepath.Join(r.base, "phases.json"))
	return err == nil && json.Unmarshal(raw, &r.phases) == nil
}

func (r *recorded) save() {
	r.w.t.Helper()
	raw, err := json.Marshal(r.phases)
	require.NoError(r.w.t, err)
	require.NoError(r.w.t, os.WriteFile(filepath.Join(r.base, "phases.json"), raw, 0o600))
}

// terms is the contract of all scenarios: the verdict is about a median that the patch and nothing else closes.
func (r *recorded) terms() map[string]any {
	terms := r.w.terms()
	terms["budget_launches"] = 3
	return terms
}

// play plays the campaign to its report and keeps every phase.
func (r *recorded) play() {
	w := r.w
	a, p := w.stdioAgent(server.Era2026)
	vars := map[string]any{"model": w.model(), "terms": r.terms()}
	keep := func(name string) {
		w.t.Helper()
		dir := filepath.Join(r.base, "phases", name)
		copyTree(w.t, w.home, dir)
		for k, v := range map[string]any{"campaign": a.campaign} {
			vars[k] = v
		}
		r.phases[name] = phase{Dir: dir, Vars: maps.Clone(vars), Runs: r.runs()}
	}
	keep("started")
	a.open(w, r.terms())
	require.Contains(w.t, a.call("get_campaign", map[string]any{"section": "contract"}).String(), fmt.Sprintf("(simulated at speed %d)", cheatSpeed))
	keep("opened")
	for _, entry := range []string{"sglang", "vllm"} {
		a.job("list_flags", map[string]any{"framework": entry})
	}
	keep("flags")
	best := r.search(a, vars)
	keep("searched")
	a.job("run_benchmark", map[string]any{"candidates": []string{best["sglang"], best["vllm"]}, "blocks": 6})
	keep("measured")
	verdicts := a.call("compare_results", nil).list("verdicts")
	require.Equal(w.t, "loss", verdicts[0].text("verdict"), "%s", verdicts[0])
	keep("compared")
	a.profile(straight, best)
	for _, side := range []string{"sglang", "vllm"} {
		for _, stage := range []string{"prefill", "decode"} {
			vars[side+"."+stage] = a.trace(best[side], stage)
		}
	}
	keep("profiled")
	for _, t := range a.call("get_campaign", map[string]any{"section": "traces"}).list("items") {
		if t["mapping"] == true && t.text("stage") == "decode" {
			vars["mapping.decode"] = t.text("trace")
		}
	}
	propose := a.evidence(best)
	vars["propose"], vars["rows"], vars["location"] = propose, toStrings(propose["rows"]), propose["location"]
	_, vars["trace.digest"], _ = strings.Cut(fmt.Sprint(vars["rows"].([]any)[0]), "@")
	vars["patch"], vars["switch"] = string(sim.DemoPatch()), sim.SwitchFile
	keep("analyzed")
	proposal := a.call("propose_patch", propose)
	vars["proposal"], vars["waiting"] = proposal.text("proposal"), proposal.text("job")
	keep("proposed")
	w.approve(a.campaign, proposal.text("proposal"))
	a.until(proposal.text("job"), func(out answer) bool { return out.text("state") != "waiting_for_human" })
	keep("approved")
	applied := a.call("apply_patch_branch", map[string]any{"proposal": proposal.text("proposal")})
	vars["branch"], vars["commit"] = applied.text("branch"), applied.text("commit")
	keep("applied")
	reval := a.job("revalidate", map[string]any{"proposal": proposal.text("proposal")})
	require.Equal(w.t, "win", reval.text("verdict"), "%s", reval)
	keep("revalidated")
	bundle, err := filepath.Rel(w.home, a.call("write_report", nil).text("bundle"))
	require.NoError(w.t, err)
	vars["bundle"] = "${home}/" + bundle
	keep("reported")
	a.verified(w)
	p.stop()
}

// cheatSpaces are what both sides' searches are asked for, by side.
func cheatSpaces() map[string]map[string]any {
	return map[string]map[string]any{
		"sglang": {"framework": "sglang", "space": map[string]any{"max-running-requests": []any{64}}},
		"vllm":   {"framework": "vllm", "space": map[string]any{"max-num-batched-tokens": []any{4096, 2097152}}},
	}
}

// search gives each side a knob; of the competitor's two values one does not fit into memory.
func (r *recorded) search(a *agent, vars map[string]any) map[string]string {
	r.w.t.Helper()
	best := map[string]string{}
	for entry, args := range cheatSpaces() {
		found := a.job("search_deployments", args)
		best[entry] = found.text("best")
		vars[entry] = best[entry]
		for _, c := range found.list("candidates") {
			switch id := c.text("candidate"); {
			case c.text("status") != "ok":
				vars[entry+".failed"] = id
			case id != best[entry]:
				vars[entry+".other"] = id
			}
		}
	}
	for _, name := range []string{"sglang.other", "vllm.other", "vllm.failed"} {
		require.Contains(r.w.t, vars, name)
	}
	return best
}

func toStrings(v any) []any {
	var out []any
	for _, s := range v.([]string) {
		out = append(out, s)
	}
	return out
}

// runs lists the host's run folders.
func (r *recorded) runs() []string {
	dirs, _ := filepath.Glob(filepath.Join(r.w.layout.Home, "sotaloop", "runs", "*"))
	return dirs
}

// world gives a scenario a home of its own in a phase. The host is the one that all scenarios share.
func (r *recorded) world(t *testing.T, from string) (*world, phase) {
	t.Helper()
	ph, ok := r.phases[from]
	require.True(t, ok, "no phase %q, only %v", from, slices.Sorted(maps.Keys(r.phases)))
	dir, err := os.MkdirTemp(r.base, "world-")
	require.NoError(t, err)
	w := *r.w
	w.t, w.home, w.host = t, filepath.Join(dir, "home"), nil
	w.checkout, w.key = filepath.Join(w.home, "user", "src", "sglang"), filepath.Join(w.home, "engineer_ed25519")
	copyTree(t, ph.Dir, w.home)
	w.reach()
	t.Cleanup(w.ended)
	return &w, ph
}

// rewind takes from the host what was run there after a phase.
func (r *recorded) rewind(t *testing.T, ph phase) {
	t.Helper()
	for _, dir := range r.runs() {
		if !slices.Contains(ph.Runs, dir) {
			require.NoError(t, os.RemoveAll(dir))
		}
	}
}

// copyTree copies a folder with modes, times and links.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o700))
	out, err := exec.CommandContext(t.Context(), "cp", "-a", "--reflink=auto", from, to).CombinedOutput()
	require.NoError(t, err, "%s", out)
}
