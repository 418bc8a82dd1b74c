package verify_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/verify"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// ratePoint records a rate search whose every load point has made-up but honest records.
func (b *builder) ratePoint(st *loop.State, l worker.Launch, pt worker.Point) {
	var tried []bench.RateTried
	var recs []*bench.Recording
	m := loop.PointMeasured{Key: l.ID + "/" + pt.ID, Point: pt.ID, Use: "main"}
	for rate := pt.Rate.Next(tried); rate > 0; rate = pt.Rate.Next(tried) {
		rec := rateRecording(l, pt.Rate.Probe(pt.Spec, len(tried), rate))
		load := bench.TestLoad(rec)
		require.NotEqual(b.t, bench.LoadOverloaded, load.State, "%+v", load)
		tried, recs = append(tried, pt.Rate.Judge(rate, &bench.Point{Status: bench.StatusOK, Metrics: bench.Measure(rec), Window: rec.Header.Window, Load: load})), append(recs, rec)
		var packed bytes.Buffer
		require.NoError(b.t, bench.WriteRecords(&packed, rec))
		art := b.put(fmt.Sprintf("benchmark/records/%s.%s@rate-%02d.zst", l.ID, pt.ID, len(tried)), packed.Bytes())
		m.Rates = append(m.Rates, loop.RateRecords{Records: &art})
	}
	found := pt.Rate.Result(tried)
	m.Records = m.Rates[found.Chosen()].Records
	started, warm, off := morning.Add(b.tick), 0, false
	row := compare.Row{Status: compare.StatusOK, StartedAt: &started, WarmupRequests: &warm, Metrics: loop.RatedMetrics(recs[found.Chosen()], &found), Audit: &compare.Audit{Reasons: []string{}},
		Cache: &compare.Cache{PrefixCacheEnabled: &off}, Rate: &found, RawSHA256: m.Records.SHA256, Artifacts: compare.Artifacts{RawResult: m.Records.Name}}
	if load := bench.TestLoad(recs[found.Chosen()]); load.Method != contract.OverloadTrend {
		row.Audit.LoadTest = load
	}
	row.Metrics["peak_gpu_mem_mib"] = 4096
	m.Row = st.PlannedRow(l, pt, row)
	b.add("point.measured", m)
}

// rateRecording is a load point's records: the time to the first token grows with the cube of the rate and meets the
// limit at 10 requests/s, at 8 for SGLang until it is patched.
func rateRecording(l worker.Launch, spec bench.Spec) *bench.Recording {
	s, rate := spec.Scenario, *spec.Scenario.RequestRate
	capacity := 10 + 0.01*float64(l.Block)
	if l.Entry == "sglang" {
		capacity -= 2
	}
	ttft := bench.Offset(min(5e9, 2e9*math.Pow(rate/capacity, 3)))
	rec := &bench.Recording{Header: bench.Header{Client: "sotaloop/1", Path: l.Endpoint, Phase: spec.Phase, Block: spec.Block, Seed: spec.Seed, Arrivals: spec.ArrivalSeed, Scenario: s, Goodput: spec.Goodput, Overload: spec.Overload}}
	lead := int(8 * rate)
	rec.Header.Window.Start = bench.Offset(float64(lead) / rate * 1e9)
	rec.Header.Window.End = bench.Offset(float64(lead+s.NumPrompts) / rate * 1e9)
	for i := range lead + s.NumPrompts {
		at := bench.Offset(float64(i) / rate * 1e9)
		first := at + ttft + bench.Offset(i%5)*1000
		r := &bench.Record{Index: i, Role: bench.RoleWindow, Sched: at, Sent: at + 1000, FirstChunk: first, FirstText: first, First: first, K1: 1, Events: s.OutputLen,
			WantIn: s.InputLen, In: s.InputLen, WantOut: s.OutputLen, Out: s.OutputLen, Outcome: bench.OutcomeOK, HTTPStatus: 200, Digest: fmt.Sprintf("out-%d", i)}
		if i < lead {
			r.Role = bench.RoleLead
		}
		for range s.OutputLen - 1 {
			r.Gaps = append(r.Gaps, 1000)
		}
		r.Last = first + bench.Offset(s.OutputLen-1)*1_000_000
		r.End = r.Last + 500
		rec.Records = append(rec.Records, r)
	}
	return rec
}

// searchingRates makes the campaign's only scenario a rate search.
func searchingRates(c *contract.Contract) {
	search := contract.RateSearch{Low: 2, High: 32, Tolerance: 0.1}.Complete()
	s := &c.Scenarios[0]
	s.Arrival, s.MaxConcurrency, s.RateSearch, s.Primary, s.NumPrompts = contract.ArrivalPoisson, nil, &search, contract.MaxRateUnderSLA, 46
	c.Overload = contract.OverloadCapacity
}

// TestRateCampaignOfBefore: a contract that names no method is judged by trends for ever, and its rows say no more.
func TestRateCampaignOfBefore(t *testing.T) {
	t.Parallel()
	dir, _ := build(t, 2, func(c *contract.Contract) {
		searchingRates(c)
		c.Overload = contract.OverloadTrend
	})
	res, err := verify.Path(t.Context(), dir, verify.Options{Version: release})
	require.NoError(t, err)
	require.True(t, res.OK, "%+v", res.First)
	raw, err := os.ReadFile(filepath.Join(dir, "ledger.jsonl"))
	require.NoError(t, err)
	require.NotContains(t, string(raw), "load_test")
	require.NotContains(t, string(raw), "overload_test")
}

// rateCampaign is a finished campaign whose verdicts are about the highest rates under the SLA.
func rateCampaign(t *testing.T) func(t *testing.T) (dir string) {
	t.Helper()
	made, _ := build(t, 2, searchingRates)
	return func(t *testing.T) string {
		t.Helper()
		dir := filepath.Join(t.TempDir(), campaignID)
		require.NoError(t, os.CopyFS(dir, os.DirFS(made)))
		return dir
	}
}

func TestRateCampaign(t *testing.T) {
	t.Parallel()
	fresh := rateCampaign(t)
	dir := fresh(t)
	res, err := verify.Path(t.Context(), dir, verify.Options{Version: release})
	require.NoError(t, err)
	require.True(t, res.OK, "%+v", res.First)

	report, err := os.ReadFile(filepath.Join(dir, "final_report.md"))
	require.NoError(t, err)
	require.Contains(t, string(report), contract.MaxRateUnderSLA)
	require.Contains(t, string(report), "rate search from 2 to 32 requests/s to 10 %")
	require.Regexp(t, `\n\| 0 \| sglang-00 \| chat \| \*\*8\*\* \| \d\.\d+ \| \d\.\d+ \| \d+ \| within the tolerance \|\n`, string(report))
	require.Regexp(t, `\n\| 1 \| vllm-00 \| \d\.\d+ \| 46 \| \d\.\d \| 1\d\d\d \| \S+ \| 1 \| yes \|  \|\n`, string(report))
	require.Contains(t, string(report), "max_p50_ttft_ms: ")

	n := 0
	for name, c := range rateForgeries() {
		if n++; n%sample != 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := fresh(t)
			forge(t, dir, c.forge(t, dir))
			res, err := verify.Path(t.Context(), dir, verify.Options{Version: release})
			require.NoError(t, err)
			require.NotNil(t, res.First)
			for _, k := range res.Checks {
				if k.Name == c.check {
					require.Contains(t, k.Problem, c.says, "first: %+v", res.First)
				}
			}
		})
	}
}

// block is the number of the first row of a rate search among the measured points: each side's search has two points.
const firstRated = 4

// tried are the lines of a rate search's payload.
func tried(p map[string]any) []any { return in(p, "row", "rate_search")["tried"].([]any) }

// cut takes one load point out of a search, its records too.
func cut(t *testing.T, dir string, p map[string]any, at int) {
	t.Helper()
	lines, rates := tried(p), p["rates"].([]any)
	if at < 0 {
		at += len(lines)
	}
	name := rates[at].(map[string]any)["records"].(map[string]any)["name"].(string)
	require.NoError(t, os.Remove(filepath.Join(dir, filepath.FromSlash(name))))
	in(p, "row", "rate_search")["tried"] = append(append([]any{}, lines[:at]...), lines[at+1:]...)
	p["rates"] = append(append([]any{}, rates[:at]...), rates[at+1:]...)
}

func rateForgeries() map[string]forgery {
	rated := func(edit func(t *testing.T, dir string, p map[string]any)) func(t *testing.T, dir string) func(entries) entries {
		return func(t *testing.T, dir string) func(entries) entries {
			return edited(t, "point.measured", firstRated, func(p map[string]any) { edit(t, dir, p) })
		}
	}
	return map[string]forgery{
		"a higher rate": {"rows", "max_rate_under_sla is 12", rated(func(_ *testing.T, _ string, p map[string]any) {
			in(p, "row", "metrics")[contract.MaxRateUnderSLA] = 12
		})},
		"a higher rate in the search": {"rows", "rate_search: rate", rated(func(_ *testing.T, _ string, p map[string]any) {
			in(p, "row", "rate_search")["rate"] = 12
		})},
		"a search that met no bound": {"rows", "rate_search: edge", rated(func(_ *testing.T, _ string, p map[string]any) {
			in(p, "row", "rate_search")["edge"] = "at_least"
		})},
		"a failing rate called passing": {"rows", "passed", rated(func(_ *testing.T, _ string, p map[string]any) {
			for _, x := range tried(p) {
				x.(map[string]any)["passed"] = true
			}
		})},
		"a margin that is not there": {"rows", "margin", rated(func(_ *testing.T, _ string, p map[string]any) {
			tried(p)[0].(map[string]any)["margin"] = 0.9
		})},
		"a rate left out":         {"rows", "the search's next rate is", rated(func(t *testing.T, dir string, p map[string]any) { cut(t, dir, p, 1) })},
		"a confirmation left out": {"rows", "stops before", rated(func(t *testing.T, dir string, p map[string]any) { cut(t, dir, p, -1) })},
		"a rate left out, its records kept": {"rows", "has the records of", rated(func(_ *testing.T, _ string, p map[string]any) {
			lines := tried(p)
			in(p, "row", "rate_search")["tried"] = lines[:len(lines)-1]
		})},
		"a passing rate called unfit": {"rows", "the search's next rate is", rated(func(_ *testing.T, _ string, p map[string]any) {
			for _, x := range tried(p)[:2] {
				x.(map[string]any)["unfit"] = "client limited"
			}
		})},
		"a rate called a timeout": {"rows", "computed again it is \"timeout\"", rated(func(_ *testing.T, _ string, p map[string]any) {
			for _, x := range tried(p) {
				x.(map[string]any)["status"] = "timeout"
			}
		})},
		"a rate that fails as a timeout": {"rows", "never ended", rated(func(_ *testing.T, _ string, p map[string]any) {
			x := tried(p)[0].(map[string]any)
			x["status"], x["reasons"] = "timeout", append([]any{"timeout"}, x["reasons"].([]any)...)
		})},
		"rates changed with their records": {"rows", "the search's next rate is", rated(func(_ *testing.T, _ string, p map[string]any) {
			lines, rates := tried(p), p["rates"].([]any)
			lines[0], lines[1], rates[0], rates[1] = lines[1], lines[0], rates[1], rates[0]
		})},
		"records of another rate": {"rows", "records: ", rated(func(_ *testing.T, _ string, p map[string]any) {
			rates := p["rates"].([]any)
			rates[0], rates[1] = rates[1], rates[0]
		})},
		"a row of another load point": {"rows", "not those of the load point", rated(func(_ *testing.T, _ string, p map[string]any) {
			other := in(p, "rates")["records"].(map[string]any)
			p["records"] = maps.Clone(other)
			in(p, "row")["raw_sha256"], in(p, "row", "artifacts")["raw_result"] = other["sha256"], other["name"]
		})},
		"a search that is none": {"rows", "no rate_search", rated(func(_ *testing.T, _ string, p map[string]any) {
			delete(in(p, "row"), "rate_search")
		})},
		"a search called limited": {"rows", "audit.client_limited", rated(func(_ *testing.T, _ string, p map[string]any) {
			in(p, "row", "audit")["client_limited"] = true
		})},
		"a rate called undecided": {"rows", "undecided", rated(func(_ *testing.T, _ string, p map[string]any) {
			x := tried(p)[0].(map[string]any)
			x["undecided"] = x["undecided"] != true
		})},
		"a lower load": {"rows", "audit.load_test.load is 0.1", rated(func(_ *testing.T, _ string, p map[string]any) {
			in(p, "row", "audit", "load_test")["load"] = 0.1
		})},
		"an undecided load called sustained": {"rows", "audit.load_test is undecided", rated(func(_ *testing.T, _ string, p map[string]any) {
			in(p, "row", "audit", "load_test")["state"] = "undecided"
		})},
		"a load that nobody tested": {"rows", "audit.load_test is null", rated(func(_ *testing.T, _ string, p map[string]any) {
			delete(in(p, "row", "audit"), "load_test")
		})},
		"a plan that judges loads another way": {"runs", "overload_test", func(t *testing.T, dir string) func(entries) entries {
			return replaced(t, dir, planOf(t, dir, "blocks"), func(raw []byte) []byte {
				return bytes.Replace(raw, []byte(`"overload_test":"capacity/1",`), nil, 1)
			})
		}},
		"a plan under looser limits": {"runs", "rate.sla", func(t *testing.T, dir string) func(entries) entries {
			return replaced(t, dir, planOf(t, dir, "blocks"), func(raw []byte) []byte {
				return bytes.Replace(raw, []byte(`"sla":{"max_p50_ttft_ms":2000`), []byte(`"sla":{"max_p50_ttft_ms":9000`), 1)
			})
		}},
		"a plan with another draw": {"runs", "rate.arrival_seed", func(t *testing.T, dir string) func(entries) entries {
			return replaced(t, dir, planOf(t, dir, "blocks"), func(raw []byte) []byte {
				return replaceFirst(raw, `"arrival_seed":"[0-9]+"`, `"arrival_seed":"7"`)
			})
		}},
		"a winner by a higher rate": {"verdicts", "ratio", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "verdict.taken", 0, func(p map[string]any) { in(p, "result", "verdicts")["ratio"] = 1.4 })
		}},
	}
}

// TestRateRowWithoutAResult is a launch whose engine died in the middle of its search.
func TestRateRowWithoutAResult(t *testing.T) {
	t.Parallel()
	dir := rateCampaign(t)(t)
	forge(t, dir, edited(t, "point.measured", firstRated, func(p map[string]any) {
		row := in(p, "row")
		delete(row, "rate_search")
		delete(p, "records")
		row["status"], row["failure_reason"], row["metrics"], row["raw_sha256"] = "failed", "the engine died", map[string]any{}, ""
		in(row, "artifacts")["raw_result"], in(row, "sla")["passed"] = "", false
		row["audit"], row["started_at"], row["warmup_requests"] = nil, nil, nil
	}))
	res, err := verify.Path(t.Context(), dir, verify.Options{Version: release})
	require.NoError(t, err)
	for _, k := range res.Checks {
		if k.Name == "rows" || k.Name == "files" {
			require.True(t, k.OK, "%s: %s", k.Name, k.Problem)
		}
	}
	raw, err := json.Marshal(res)
	require.NoError(t, err)
	require.True(t, strings.Contains(string(raw), "verdicts"), "its verdict was another")
}
