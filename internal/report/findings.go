package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/trace"
)

// gap is the analysis: the largest rows of each trace with their source.
func (w *writer) gap() {
	w.head("Gap analysis")
	if len(w.st.Traces) == 0 {
		w.line("Nothing was profiled.")
		return
	}
	said := false // what the tables of a CPU host are of
	for _, t := range w.st.Traces {
		a := w.in.Tables[t.ID]
		if a == nil {
			continue
		}
		of := t.Candidate
		if t.Patch != "" {
			of += " with " + t.Patch
		}
		w.line("**%s** (%s, %s, %d → %d tokens, batch %d; `%s`)\n", t.ID, of, t.Stage, t.InputLen, t.OutputLen, t.Batch, t.File.Name)
		if t.File.OnHost {
			w.line("> Kept on its host (%.0f MiB, sha256 `%s`): its tables were made there and are not recomputed by `verify`.\n", float64(t.File.Size)/(1<<20), t.File.SHA256)
		}
		if !said && slices.ContainsFunc(a.Stages, func(s trace.Stage) bool { return s.Source == trace.SourceCPU }) {
			said = true
			for _, note := range a.Notes {
				w.line("> %s\n", note)
			}
		}
		w.line("| Row | Kernel | Category | Time µs | Share | Launches | Location |\n|---|---|---|---|---|---|---|")
		for _, s := range a.Stages {
			for i, k := range s.Kernels {
				if i >= 6 || s.Stage == trace.Unassigned {
					break
				}
				w.line("| `%s` | %s | %s | %.0f | %s | %d | %s |", k.ID, cell(clip(k.Name, 70)), k.Category, k.TotalUS, percent(k.Share), k.Launches, cell(place(k.Locations)))
			}
		}
		w.fused(a)
		w.line("")
	}
	w.line("Overlap and fuse tables are of single traces; full tables are in `analysis/`.")
}

// fused lists the fuse patterns that were decided.
func (w *writer) fused(a *trace.Analysis) {
	for _, s := range a.Stages {
		for _, f := range s.Fuse {
			if f.State == "missed" || f.State == "active" {
				w.line("\n- fuse pattern `%s` %s in %s (%s): %s", f.Pattern, f.State, s.Stage, f.SourcePath, f.Why)
			}
		}
	}
}

// patch is what was proposed and decided.
func (w *writer) patch() {
	w.head("Patch")
	if len(w.st.Proposals) == 0 {
		w.line("No patch was proposed. %s", why(w.st))
		return
	}
	for _, p := range w.st.Proposals {
		w.line("**%s** (%s), base %.12s, tree %.12s\n", p.ID, p.State(), p.BaseCommit, p.ResultTree)
		w.line("- Rationale: %s", cell(p.Rationale))
		w.line("- Symptom: %s in scenario %s; stage %s; location `%s`", p.Symptom.Metric, p.Symptom.Scenario, p.Stage, p.Location)
		w.line("- Evidence: %s", "`"+strings.Join(p.Rows, "`, `")+"`")
		w.line("- Cited rows are %s of the stage: stage step time can gain at most %s; predicted on the primary metric: %s", percent(p.Share), percent(p.Ceiling), percent(p.Predicted))
		for _, f := range p.Findings {
			w.line("- Finding for the approver: %s", cell(f))
		}
		for _, a := range p.Approvals {
			w.line("- Decision: %s by %s (%s) %s", a.Decision, or(a.Principal, "unsigned"), or(a.Level, "-"), cell(a.Reason))
		}
		if p.Branch != nil {
			w.line("- Branch `%s`, commit %s; nothing was pushed", p.Branch.Branch, p.Branch.Commit)
		}
		if diff, err := w.in.Read(p.Diff); err == nil {
			w.line("\n%s\n", fenced("diff", string(diff)))
		}
	}
}

// revalidation is predicted against measured.
func (w *writer) revalidation() {
	p := lastRevalidated(w.st)
	if p == nil {
		return
	}
	r := p.Reval
	w.head("Revalidation: predicted against measured")
	w.line("| | Predicted gain | Measured gain | Interval | Verdict |\n|---|---|---|---|---|")
	w.line("| %s on %s | %s | %s | %s | **%s** |", p.ID, p.Symptom.Scenario, percent(r.Predicted), measured(r.Measured), interval(r.Interval), r.Verdict)
	w.line("\n- Outputs: %s (%d requests; differing digests base against base %d, base against patched at most %d over %d pairs of launches)", r.Outputs, r.Equality.Requests, r.Equality.BaseBase, r.Equality.BasePatched, r.Equality.Comparisons)
	if q := r.Equality; q.Envelope != nil && q.Largest != nil {
		w.line("- Log-probabilities of the same tokens: base and patched differ by at most %.4g, allowed are %.4g, by which two launches of the base differ or which rounding makes", *q.Largest, *q.Envelope)
	}
	for _, x := range r.Lengths {
		says := "no more than chance"
		if x.Differs {
			says = "beyond chance: the patch changes what is answered"
		}
		w.line("- Length of answers in scenario %s: %.4g tokens before, %.4g after, standard error of the difference %.3g over %d blocks; %s", x.Scenario, x.Base, x.Patched, x.SE, x.Blocks, says)
	}
	w.line("- Tests: %s", cell(r.Tests))
	for _, t := range w.st.Tests {
		if t.Proposal != p.ID {
			continue
		}
		w.line("  - %s, tree %.12s: %s", t.Side, t.Tree, testsText(t))
	}
	for _, t := range r.Results {
		for _, v := range t.Result.Verdicts {
			w.line("- %s: %s, ratio %s %s", family(t.Family), v.Verdict, ratio(v.Ratio), pair(v.Interval))
		}
	}
	if w.st.Verdict() == "loss" {
		w.line("\nThe target is still behind: the next round starts from the largest row of the patched profile above.")
	}
}

// testsText is one run of a patch's tests.
func testsText(t loop.TestsRun) string {
	if t.Failure != nil {
		return "not run: " + cell(t.Failure.Reason)
	}
	said := []string{fmt.Sprintf("exit %d after %.1f s", t.Result.Exit, t.Result.SecondsS)}
	if t.Result.TimedOut {
		said = append(said, "ended by its time limit")
	}
	if t.Result.Summary != "" {
		said = append(said, code(t.Result.Summary))
	}
	for _, id := range t.Result.Failing[:min(10, len(t.Result.Failing))] {
		said = append(said, "failing "+code(id))
	}
	if t.Log != nil {
		said = append(said, "log "+code(t.Log.Name))
	}
	return strings.Join(said, ", ")
}

// code sets words of others as code.
func code(s string) string { return "`" + cell(strings.ReplaceAll(s, "`", "'")) + "`" }

func (w *writer) refusals() {
	if len(w.st.Refusals) == 0 {
		return
	}
	w.head("Refused on the way")
	for _, r := range w.st.Refusals {
		w.line("- `%s` by `%s`: %s", r.Tool, r.Rule, cell(r.What))
	}
}

// formulas prints the definitions that the figures follow.
func (w *writer) formulas() {
	w.head("Formulas")
	for _, l := range []string{
		"TTFT (service) = t_first − t_sent; TTFT (user) = t_first − t_sched, on which an SLA is judged; t_first is the first event that carries a generated token",
		"TPOT = (t_last − t_first) / (n_out − k₁), k₁ tokens in the first event; ITL = gap between tokens where one token an event is established; ICL = gap between content events",
		"E2E = t_end − t_sent, user: t_end − t_sched; output tok/s = generated tokens of requests scheduled in the window ÷ its length",
		"goodput = requests in the window that meet every per-request limit ÷ window; attainment = those ÷ all offered",
		"quantiles: Hyndman–Fan type 7, null below (1 − q)·n ≥ 10; failed requests count as +∞",
		"verdict: mean of per-block log-ratios of the primary metric, interval by inversion of the exact sign-flip test over launches; win or loss when the whole interval is on one side of 0 and the estimate is at least ln(1 + δ)",
	} {
		w.line("- %s", l)
	}
}

func (w *writer) caveats() {
	w.head("Caveats")
	w.line("- Prompts are synthetic random token ids unless a scenario names a dataset.")
	for _, s := range w.st.Contract.Scenarios {
		if s.Arrival == contract.ArrivalClosed {
			w.line("- Scenario %s is closed loop: it supports no claim about a rate under an SLA.", s.Name)
		}
	}
	for _, e := range sorted(w.st.Searches) {
		if x := w.st.Searches[e]; x.Tried < x.Listed {
			w.line("- The search of %s tried %d of %d listed values.", e, x.Tried, x.Listed)
		}
	}
	w.line("- Written by sotaloop %s from ledger entries 1 to %d.", w.in.Version, w.st.Entries)
}

// why says why a campaign ended without a patch.
func why(st *loop.State) string {
	switch {
	case len(st.Verdicts) == 0:
		return "No verdict was taken."
	case st.Behind():
		return "The target is behind; the gap was not patched in this campaign."
	case st.Verdict() == "inconclusive":
		return "The gap is undecided, and an undecided gap is no gap."
	}
	return "The target is not behind under this contract; the verdicts above are the evidence."
}

func lastRevalidated(st *loop.State) *loop.ProposalState {
	for i := len(st.Proposals) - 1; i >= 0; i-- {
		if st.Proposals[i].Reval != nil {
			return st.Proposals[i]
		}
	}
	return nil
}

func spent(st *loop.State) float64 {
	sum := 0.0
	for _, l := range st.Launches {
		sum += (l.SecondsS + coldSeconds(l)) / 3600 * float64(st.Contract.GPUCount())
	}
	return sum
}

// coldSeconds is what a launch's cold predecessor took.
func coldSeconds(l loop.LaunchEnded) float64 {
	if l.Cold == nil {
		return 0
	}
	return l.Cold.SecondsS
}

func sorted[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func place(ls []trace.Location) string {
	if len(ls) == 0 {
		return ""
	}
	return fmt.Sprintf("`%s:%d` %s", ls[0].Path, ls[0].Line, ls[0].Func)
}
