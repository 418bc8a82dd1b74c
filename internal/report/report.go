// Package report renders what a campaign found: final_report.md and manifest.txt. It owns no number: every figure is
// read from the campaign's state, and a part without evidence says so.
package report

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// Render gives the report's files by name.
func Render(in loop.ReportInput) (map[string][]byte, error) {
	var b bytes.Buffer
	w := &writer{b: &b, in: in, st: in.State}
	w.headline()
	w.setup()
	w.commands()
	w.comparison()
	w.tables()
	w.effort()
	w.gap()
	w.patch()
	w.revalidation()
	w.family()
	w.refusals()
	w.formulas()
	w.caveats()
	if err := complete(b.Bytes(), in.State); err != nil {
		return nil, err
	}
	if err := labelled(b.Bytes(), in.Levels); err != nil {
		return nil, err
	}
	return map[string][]byte{"final_report.md": b.Bytes(), "manifest.txt": manifest(in)}, nil
}

// writer appends parts to the report.
type writer struct {
	b  *bytes.Buffer
	in loop.ReportInput
	st *loop.State
}

func (w *writer) line(format string, args ...any) { fmt.Fprintf(w.b, format+"\n", args...) }

func (w *writer) head(title string) { w.line("\n## %s\n", title) }

// headline says the verdict, the claim and the levels before anything else.
func (w *writer) headline() {
	c := w.st.Contract
	machine := c.Host.GPUModel
	if c.Host.CPU != nil {
		machine = c.Host.CPU.Model
	}
	w.line("# %s: %s on %s\n", w.in.Campaign, c.Model.ID, machine)
	if c.Host.Simulated {
		w.line("> **SIMULATED.** Every figure below comes from a simulated host and supports no claim.\n")
	}
	if c.Host.Mark() != "" {
		w.line("> %s.\n", contract.NoGPUClaimText)
	}
	w.line("- Verdict: %s (%s against %s)", w.verdictText(), c.Target.Entry, entries(c.Against))
	w.line("- Claim: %s", w.in.Claim)
	w.line("- Evidence: %s", strings.Join(w.in.Levels, "; "))
	if p := lastRevalidated(w.st); p != nil {
		r := p.Reval
		w.line("- Patch %s: predicted %s, measured %s %s, verdict %s, outputs %s", p.ID, percent(r.Predicted), measured(r.Measured), interval(r.Interval), r.Verdict, r.Outputs)
	}
	w.line("- Artifacts: this directory; contract %s; ledger head %s at entry %d", w.st.Digest[:16], w.st.Head[:16], w.st.Entries)
}

// verdictText says what the campaign decided, before and after a patch where there was one.
func (w *writer) verdictText() string {
	if lastRevalidated(w.st) == nil {
		return "**" + w.st.Verdict() + "**"
	}
	before := "loss"
	if !w.st.Behind() {
		before = "no loss"
	}
	return before + " before the patch, **" + w.st.Verdict() + "** after it"
}

// setup is model, hardware, versions, workload and SLA.
func (w *writer) setup() {
	c := w.st.Contract
	w.head("Setup")
	w.line("| | |\n|---|---|")
	row := func(k, v string) {
		if v != "" {
			w.line("| %s | %s |", k, cell(v))
		}
	}
	row("Model", c.Model.ID+" ("+c.Model.Path+")")
	row("Weights identity", c.Model.Identity)
	row("Precision, quantization, KV dtype", fmt.Sprintf("%s, %s, %s", c.Precision, or(c.Quantization, "none"), c.KVDtype))
	row("Speculation", or(c.Speculation, "off on every side"))
	row("Host", hostText(c.Host, c.GPUCount()))
	row("Study", string(c.Study))
	row("Endpoint", c.Endpoint)
	row("Noise threshold δ", percent(c.Delta))
	row("Blocks", fmt.Sprintf("looks at %v, %d comparisons share an error rate of 5 %%", c.Blocks.Looks, c.Blocks.Comparisons))
	row("SLA", slaText(c.SLA))
	for _, s := range c.Sides() {
		if h, ok := w.st.Help[strings.TrimSuffix(s.Entry, "@incumbent")]; ok {
			row("Version of "+s.Entry, strings.TrimSpace(h.Version.Version+" "+h.Version.Commit))
		}
	}
	for _, s := range c.Scenarios {
		row("Scenario "+s.Name, scenarioText(s))
	}
	for _, d := range c.Datasets {
		row(fmt.Sprintf("Dataset %.19s", d.Digest), datasetText(d))
	}
	if len(c.CookbookLeft) > 0 {
		w.line("\nScenarios of the cookbook's entry %s that were left out: %s.", c.Cookbook, strings.Join(c.CookbookLeft, ", "))
	}
	if len(c.Assumed) > 0 {
		w.line("\nAssumed where nothing was said: %s.", strings.Join(c.Assumed, "; "))
	}
}

// hostText is what the campaign ran on.
func hostText(h contract.Host, gpus int) string {
	cpu := h.CPU
	if cpu == nil {
		return fmt.Sprintf("%s, %d × %s, GPUs %v, driver %s", h.Name, gpus, h.GPUModel, h.GPUs, h.Driver)
	}
	return fmt.Sprintf("%s, no GPU, %s, engines on cores %v of %d, load client on %v, %d MiB of memory, %s",
		h.Name, cpu.Model, h.Cores, cpu.Cores, h.ClientCores(), cpu.MemoryMiB, strings.Join(cpu.Flags, " "))
}

// commands are the exact launch commands of the measured candidates.
func (w *writer) commands() {
	w.head("Commands of the measured candidates")
	seen := map[string]bool{}
	for _, l := range w.st.Launches {
		if l.Phase == "search" || l.Phase == "profile" || seen[l.Candidate] {
			continue
		}
		seen[l.Candidate] = true
		w.line("**%s**\n\n%s\n", l.Candidate, fenced("", l.Command))
	}
	if len(seen) == 0 {
		w.line("No candidate reached the blocks.")
	}
	w.line("Load was driven by sotaloop's own client from the host's loopback, one client for every side; `{port}` and `{run_dir}` stand for what the worker chose.")
}

// comparison is the verdicts before the patch, and after it.
func (w *writer) comparison() {
	w.head("Comparison")
	any := false
	for _, phase := range []struct{ name, title string }{{"block", "Before the patch"}, {"revalidate", "After the patch"}} {
		for _, v := range w.st.Verdicts {
			if v.Phase != phase.name {
				continue
			}
			any = true
			w.line("**%s, %s, at %d blocks** (method %s, error rate %.4g)\n", phase.title, family(v.Family), v.Look, v.Result.Method, v.Result.Alpha)
			w.line("| Scenario | Metric | Candidate | Against | Verdict | Ratio | Interval | MDE | Reason |\n|---|---|---|---|---|---|---|---|---|")
			for _, x := range v.Result.Verdicts {
				w.line("| %s | %s | %s | %s | **%s** | %s | %s | %s | %s |", x.Scenario, x.Metric, x.Candidate, x.Against, x.Verdict, ratio(x.Ratio), pair(x.Interval), gainText(x.MDE), cell(x.Reason))
			}
			w.cacheHits(v)
			for _, r := range v.Result.Refused {
				w.line("\n- not compared: %s %s (%s: %s against %s)", r.Rule, r.What, r.Field, r.Got, r.Want)
			}
			w.line("")
		}
	}
	if !any {
		w.line("No verdict was taken.")
	}
	w.noise()
}

// tables are the standings of the blocks' rows and everything that failed.
func (w *writer) tables() {
	blocks, searched := w.st.Rows(compare.PhaseBlock, "main"), w.st.Rows(compare.PhaseSearch, "main")
	rows := slices.Concat(blocks, searched)
	ranked := blocks // a search score stands here only where nothing was measured in blocks
	if len(ranked) == 0 {
		ranked = searched
	}
	standings := compare.Rank(ranked, w.st.RankTerms())
	w.head("Best commands by framework")
	w.b.WriteString(compare.BestByFramework(standings))
	w.head("Cross-framework comparison")
	w.b.WriteString(compare.CrossFramework(standings))
	if failed := compare.FailedTable(compare.Rank(rows, w.st.RankTerms())); failed != "" {
		w.head("Failed or SLA-failing candidates")
		w.b.WriteString(failed)
	}
	w.metrics(rows)
	w.rates(rows)
}

// metrics shows SLA, throughput, goodput and latencies of every measured launch of the blocks.
func (w *writer) metrics(rows []compare.Row) {
	w.head("Launches of the blocks")
	memory, peak := "Peak GPU MiB", "peak_gpu_mem_mib"
	if w.st.Contract.Host.CPU != nil {
		memory, peak = "Peak RSS MiB", compare.PeakRSS
	}
	w.line("| Block | Candidate | Scenario | Status | SLA | Output tok/s | Goodput req/s | p50 TTFT ms | p50 TPOT ms | p50 ITL ms | p50 E2E ms | p95 E2E ms | p99 E2E ms | " + memory + " | Audit |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|")
	for _, r := range rows {
		if r.Block == nil {
			continue
		}
		w.line("| %d | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |", *r.Block, r.CandidateID, r.Workload.Scenario, r.Status, yes(r.SLA.Passed),
			figure(r, "output_token_throughput"), figure(r, "goodput_rps"), figure(r, "p50_ttft_user_ms"), figure(r, "p50_tpot_ms"), figure(r, "p50_itl_ms"),
			figure(r, "p50_e2e_user_ms"), figure(r, "p95_e2e_user_ms"), figure(r, "p99_e2e_user_ms"), figure(r, peak), auditText(r.Audit))
	}
}

// effort is what every side's search got: equal effort or said so.
func (w *writer) effort() {
	w.head("Search effort")
	w.line("| Side | Strategy | Launches | GPU-hours | Knobs | Values tried / listed | Ended because | Best |\n|---|---|---|---|---|---|---|---|")
	for _, s := range w.st.Contract.Sides() {
		if e, ok := w.st.Searches[s.Entry]; ok {
			w.line("| %s | %s | %d of %d | %.4f | %d | %d / %d | %s | %s |", e.Entry, e.Strategy, e.Launches, w.st.Contract.Budget.Launches, e.GPUHours, e.Knobs, e.Tried, e.Listed, cell(e.Why), cell(bestBy(e.Best)))
		}
	}
	w.races()
	w.candidates()
	w.line("\n**Cost**, projected before anything was spent:\n\n| Phase | Launches | Launch s | Load s | GPU-hours | Source |\n|---|---|---|---|---|---|")
	for _, c := range w.st.Contract.Cost {
		w.line("| %s | %d | %.1f | %.1f | %.4f | %s |", c.Phase, c.Launches, c.LaunchS, c.LoadS, c.GPUHours, c.Source)
	}
	for _, c := range w.st.Costs {
		w.line("\nCorrected by the first launch (%s): ready after %.1f s, %.4f GPU-hours in all.", c.Launch, c.LaunchS, c.GPUHours)
	}
	cold, seconds := 0, 0.0
	for _, l := range w.st.Launches {
		if l.Cold != nil {
			cold, seconds = cold+1, seconds+l.Cold.SecondsS
		}
	}
	w.line("\nSpent: %d launches, %.4f GPU-hours.", len(w.st.Launches)+cold, spent(w.st))
	if cold > 0 {
		w.line("\n%d of them were a build's first on the host: they compiled kernels for %.0f s in all, measured nothing, and count in no budget.", cold, seconds)
	}
}

// races are the fresh launches of each search's finalists.
func (w *writer) races() {
	for _, s := range w.st.Contract.Sides() {
		r := w.st.Searches[s.Entry].Race
		if r == nil {
			continue
		}
		w.line("\nRace of %s's finalists in fresh, interleaved launches: %d of %d launches, %.4f GPU-hours; winner %s, since %s.", s.Entry, r.Launches, w.st.Contract.Budget.Race, r.GPUHours, or(r.Winner, "none"), cell(r.Why))
		for _, id := range slices.Sorted(maps.Keys(r.Out)) {
			w.line("\n- %s left: %s", id, cell(r.Out[id]))
		}
	}
}

// candidates are all that the searches launched, in order, whatever became of them.
func (w *writer) candidates() {
	any := false
	for _, cand := range w.st.Candidates {
		if _, searched := w.st.Searches[cand.Entry]; !searched {
			continue
		}
		if !any {
			w.line("\nEvery candidate, in the order of its launch. A search score chooses what is measured again and decides nothing.\n")
			w.line("| Candidate | Flags beside the shipped default | Outcome | Measured in the search | Why it was launched |\n|---|---|---|---|---|")
			any = true
		}
		t := w.st.Tried(cand)
		outcome := t.Status
		if t.Reason != "" {
			outcome += ": " + t.Reason
		}
		w.line("| %s | %s | %s | %s | %s |", cand.ID, cell(flagsText(cand.Flags)), cell(outcome), cell(w.scores(t)), cell(cand.Why))
	}
}

// scores are the primary metrics of a candidate's search rows.
func (w *writer) scores(t loop.TriedCandidate) string {
	var out []string
	for _, r := range t.Rows {
		metric := w.st.SearchMetric(r.Workload.Scenario)
		text := fmt.Sprintf("%s: %s %s", r.Workload.Scenario, metric, figure(r, metric))
		if r.SLA.Passed != nil && !*r.SLA.Passed {
			text += ", SLA failed"
		}
		if r.Phase == compare.PhaseRace {
			text += " (race)"
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

// flagsText writes flags as a command line would.
func flagsText(flags map[string]any) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		out = append(out, "--"+name+" "+framework.Render(flags[name]))
	}
	return or(strings.Join(out, " "), "none")
}

// bestBy lists the best candidate of each scenario.
func bestBy(best map[string]string) string {
	var out []string
	for _, scenario := range slices.Sorted(maps.Keys(best)) {
		out = append(out, scenario+": "+best[scenario])
	}
	return strings.Join(out, ", ")
}
