//go:build linux

package e2e_test

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"
)

// The field report: facts gathered from a campaign on real engines, and the page made of them.
const (
	fieldFacts  = "testdata/field.json"
	fieldPage   = "../docs/FIELD.md"
	corrections = "cpu/CORRECTIONS.md"
)

//go:embed testdata/field.md.tmpl
var fieldTemplate string

// fieldReport is what docs/FIELD.md is made of.
type fieldReport struct {
	Date     string                `json:"date"`
	Machine  map[string]any        `json:"machine"` // the contract's host
	Setup    map[string]fieldStage `json:"setup"`
	Engines  []fieldEngine         `json:"engines"`
	Contract answer                `json:"contract"` // the terms
	Search   []answer              `json:"search"`   // candidate rows
	Verdict  answer                `json:"verdict"`
	Commands map[string]string     `json:"commands"` // of the compared candidates
	Traces   map[string][]answer   `json:"traces"`   // first rows of the decode tables, by side
	Diff     []answer              `json:"diff"`     // first rows of the diff of the decode tables
	Proposal answer                `json:"proposal"`
	Patch    string                `json:"patch"`
	Result   answer                `json:"result"` // of the revalidation
	Report   answer                `json:"report"`
	Verified string                `json:"verified"`
	Times    fieldTimes            `json:"times"`
	Same     answer                `json:"same"`
	Cross    answer                `json:"cross"`
}

type fieldStage struct {
	Seconds float64 `json:"seconds"`
	Bytes   float64 `json:"bytes"`
}

type fieldEngine struct {
	Entry   string `json:"entry"`
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Flags   int    `json:"flags"`
}

// fieldTimes says where the campaign's wall time went.
type fieldTimes struct {
	WallS    float64            `json:"wall_s"`     // contract to report
	LaunchS  float64            `json:"launches_s"` // from start to confirmed teardown, load and captures included
	HumanS   float64            `json:"human_s"`    // proposal to approval
	AwayS    float64            `json:"away_s"`     // no job ran and the agent called nothing: it was stopped, and started again
	OutsideS float64            `json:"outside_s"`
	Share    float64            `json:"outside_share"`
	Launches int                `json:"launches"`
	Phases   map[string]float64 `json:"phases"` // seconds of launches by phase
	Counts   map[string]int     `json:"counts"`
	ReadyS   map[string]float64 `json:"ready_s"` // median seconds to ready, by entry
}

// The checked-in page is what the checked-in facts make.
func TestFieldPageIsFresh(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(fieldFacts)
	require.NoError(t, err)
	want := renderField(t, raw)
	page, err := os.ReadFile(fieldPage)
	require.NoError(t, err)
	require.Equal(t, string(want), string(page), "made by make e2e-cpu; after a change of the template: UPDATE=1 go test ./e2e -run TestFieldPage")
}

// renderField makes the page.
func renderField(t *testing.T, raw []byte) []byte {
	t.Helper()
	var facts fieldReport
	require.NoError(t, json.Unmarshal(raw, &facts))
	list, err := os.ReadFile(corrections)
	require.NoError(t, err)
	page, err := template.New("field").Option("missingkey=error").Funcs(fieldWords).Parse(fieldTemplate)
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, page.Execute(&out, map[string]any{"F": facts, "Corrections": strings.TrimSpace(string(list))}))
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile(fieldPage, out.Bytes(), 0o644))
	}
	return out.Bytes()
}

// crossFigure is a figure of the comparison of clients, and its key in results/cross.json.
type crossFigure struct{ Name, Key string }

// fieldWords are the template's formats.
var fieldWords = template.FuncMap{
	"percent": func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) },
	"gain":    func(ratio float64) string { return fmt.Sprintf("%+.1f %%", 100*(ratio-1)) },
	"change":  func(ratio float64) string { return fmt.Sprintf("%+.2f %%", 100*(ratio-1)) },
	"figures": func() []crossFigure {
		return []crossFigure{{"throughput", "output_tokens_per_s"}, {"TTFT", "mean_ttft_ms"}, {"TPOT", "mean_tpot_ms"}}
	},
	"fixed":   func(digits int, v float64) string { return fmt.Sprintf("%.*f", digits, v) },
	"minutes": func(s float64) string { return fmt.Sprintf("%.1f", s/60) },
	"gb":      func(b float64) string { return fmt.Sprintf("%.2f", b/1e9) },
	"mib":     func(mib float64) float64 { return mib / 1024 },
	"number": func(digits int, v any) string { // none where the figure was not measured
		f, ok := v.(float64)
		if !ok {
			return ""
		}
		return fmt.Sprintf("%.*f", digits, f)
	},
	"json": func(v any) (string, error) {
		raw, err := json.Marshal(v)
		return string(raw), err
	},
	"bounds": func(v any) string {
		b, _ := v.([]any)
		if len(b) != 2 {
			return "none"
		}
		return fmt.Sprintf("[%.4f, %.4f]", b[0], b[1])
	},
	"place": func(v any) string {
		places, _ := v.([]any)
		if len(places) == 0 {
			return ""
		}
		return fmt.Sprint(places[0])
	},
	"sorted": func(m map[string]float64) []string {
		keys := make([]string, 0, len(m))
		for k := range m {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		return keys
	},
}

// Facts and page from what the other tests on real engines kept. It runs last.
func TestCPUZField(t *testing.T) {
	dir := os.Getenv(enginesVariable)
	if dir == "" {
		t.Skip("real engines: see " + enginesVariable)
	}
	f := fieldReport{Setup: map[string]fieldStage{}}
	for _, stage := range []string{"torch", "vllm", "sglang", "model"} {
		f.Setup[stage] = readJSON[fieldStage](t, filepath.Join(dir, ".stages", stage+".json"))
	}
	kept := readJSON[answer](t, filepath.Join(dir, "results", "campaign.json"))
	f.campaign(t, kept)
	f.Same = readJSON[answer](t, filepath.Join(dir, "results", "same.json"))
	delete(f.Same, "run_dir")
	f.Cross = readJSON[answer](t, filepath.Join(dir, "results", "cross.json"))
	raw, err := json.MarshalIndent(f, "", " ")
	require.NoError(t, err)
	text := strings.NewReplacer(dir+"/home/campaign", "$CAMPAIGN", dir+"/src/sglang", "$CHECKOUT", dir, "$ENGINES").Replace(string(raw))
	require.NoError(t, os.WriteFile(fieldFacts, []byte(text+"\n"), 0o644))
	t.Setenv("UPDATE", "1")
	renderField(t, []byte(text))
	require.LessOrEqual(t, f.Times.Share, 0.05, "time outside launches and load")
}

func readJSON[T any](t *testing.T, path string) (v T) {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &v), path)
	return v
}

// awayAfter is how long a scripted agent takes between two calls at most.
const awayAfter = 10 * time.Second

// campaign gathers the facts from the run directory.
func (f *fieldReport) campaign(t *testing.T, kept answer) {
	t.Helper()
	runDir := kept.text("run_dir")
	f.Verdict, f.Proposal, f.Result, f.Report, f.Verified = kept.at("verdict"), kept.at("proposal"), kept.at("revalidation"), kept.at("report"), kept.text("verified")
	f.Patch = f.Proposal.text("diff")
	delete(f.Proposal, "diff")
	f.Commands, f.Traces = map[string]string{}, map[string][]answer{"sglang": kept.at("tables").list("sglang"), "vllm": kept.at("tables").list("vllm")}
	f.Diff = kept.at("tables").list("diff")
	f.Contract = readJSON[answer](t, filepath.Join(runDir, "contract.json"))
	if inner := f.Contract.at("contract"); inner != nil {
		f.Contract = inner
	}
	f.Machine = f.Contract.at("host")
	ready, flags := map[string][]float64{}, map[string]string{}
	f.Times.Phases, f.Times.Counts, f.Times.ReadyS = map[string]float64{}, map[string]int{}, map[string]float64{}
	var frozen, proposed, last time.Time
	running := map[string]bool{}
	for _, e := range readLines[line](t, filepath.Join(runDir, "ledger.jsonl")) {
		if gap := e.Time.Sub(last); len(running) == 0 && !last.IsZero() && gap > awayAfter {
			f.Times.AwayS += gap.Seconds()
		}
		last = e.Time
		switch e.Kind {
		case "job.started":
			running[e.Payload.text("job")] = true
		case "job.ended":
			delete(running, e.Payload.text("job"))
		case "contract.frozen":
			frozen, f.Date = e.Time, e.Time.Format(time.DateOnly)
		case "help.captured":
			v := e.Payload.at("version")
			f.Engines = append(f.Engines, fieldEngine{Entry: e.Payload.text("entry"), Version: v.text("version"), Commit: v.text("commit")})
		case "candidate.added":
			raw, err := json.Marshal(e.Payload["flags"])
			require.NoError(t, err)
			flags[e.Payload.text("id")] = string(raw)
		case "launch.ended":
			seconds, phase := e.Payload.number("seconds_s"), e.Payload.text("phase")
			f.Times.LaunchS += seconds
			f.Times.Launches++
			f.Times.Phases[phase] += seconds
			f.Times.Counts[phase]++
			ready[e.Payload.text("entry")] = append(ready[e.Payload.text("entry")], e.Payload.at("phases_s").number("ready"))
			if phase == "block" {
				f.Commands[e.Payload.text("candidate")] = e.Payload.text("command")
			}
		case "patch.proposed":
			proposed = e.Time
		case "approval.recorded":
			f.Times.HumanS += e.Time.Sub(proposed).Seconds()
		case "report.written":
			f.Times.WallS = e.Time.Sub(frozen).Seconds()
		}
	}
	for entry, seconds := range ready {
		f.Times.ReadyS[entry] = median(seconds)
	}
	require.Positive(t, f.Times.WallS, "the campaign has no report")
	f.Times.OutsideS = f.Times.WallS - f.Times.LaunchS - f.Times.HumanS - f.Times.AwayS
	f.Times.Share = f.Times.OutsideS / f.Times.WallS
	for _, r := range readLines[answer](t, filepath.Join(runDir, "benchmark", "candidates.jsonl")) {
		if r.text("phase") == "search" && r.at("workload").text("scenario") == "chat" {
			f.Search = append(f.Search, answer{"candidate": r.text("candidate_id"), "status": r.text("status"), "reason": r.text("failure_reason"),
				"throughput": r.at("metrics")["output_token_throughput"], "ttft": r.at("metrics")["p50_ttft_ms"], "tpot": r.at("metrics")["p50_tpot_ms"],
				"rss": r.at("metrics")["peak_rss_mib"], "flags": flags[r.text("candidate_id")]})
		}
	}
}
