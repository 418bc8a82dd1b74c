package compare_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/stats"
)

func ptr[T any](v T) *T { return &v }

// row is a closed-loop point as a campaign's worker would fill it.
func row(framework contract.Framework, block int, rps float64) compare.Row {
	at := time.Date(2026, 11, 1, 0, block, 0, 0, time.UTC)
	if framework != contract.SGLang {
		at = at.Add(time.Duration(20*(1-2*(block%2))) * time.Second)
	}
	return compare.Row{
		Framework: framework, FrameworkVersion: "1", FrameworkCommit: "c0ffee", Side: string(framework) + "-main", CandidateID: string(framework) + "-03",
		Model: "acme/model-8b", Status: compare.StatusOK, Phase: compare.PhaseBlock, Block: ptr(block),
		LaunchID: fmt.Sprintf("%s-%d", framework, block), StartedAt: ptr(at), Client: "sotaloop", ContractDigest: "d1",
		Hardware: compare.Hardware{GPUModel: "NVIDIA H100 80GB HBM3", GPUCount: ptr(1), VisibleDevices: "0"},
		Workload: compare.Workload{Kind: "random", Scenario: "chat", Endpoint: "/v1/completions", Arrival: contract.ArrivalClosed, InputLen: ptr(512),
			OutputLen: ptr(64), NumPrompts: ptr(80), MaxConcurrency: ptr(16)},
		SLA: compare.SLA{Limits: contract.SLA{"max_p50_ttft_ms": 1000}, Passed: ptr(true)},
		Metrics: compare.Metrics{"request_throughput": rps, "output_token_throughput": 64 * rps, "total_token_throughput": 576 * rps,
			"success_rate": 1, "p50_ttft_ms": 100, "p50_ttft_user_ms": 110, "p50_tpot_ms": 10, "p50_e2e_user_ms": 2000 / rps},
		ServerCommand: string(framework) + " serve",
	}
}

// blocks gives n interleaved pairs with a relative gain for SGLang.
func blocks(n int, gain, sd float64) []compare.Row {
	rng, out := rand.New(rand.NewPCG(uint64(n), 5)), []compare.Row{}
	for b := range n {
		level := 20 * math.Exp(0.15*rng.NormFloat64())
		out = append(out, row(contract.SGLang, b, level*(1+gain)*math.Exp(sd*rng.NormFloat64())), row(contract.VLLM, b, level*math.Exp(sd*rng.NormFloat64())))
	}
	return out
}

// foreign makes rows look like another tool's: no engine entries, phases, contract or start times.
func foreign(rows []compare.Row) []compare.Row {
	for i := range rows {
		r := &rows[i]
		r.Side, r.Phase, r.ContractDigest, r.StartedAt, r.Workload.Arrival = "", "", "", nil, ""
	}
	return rows
}

func edit(rows []compare.Row, framework contract.Framework, change func(*compare.Row)) []compare.Row {
	for i := range rows {
		if rows[i].Framework == framework {
			rows[i].Metrics = clone(rows[i].Metrics)
			change(&rows[i])
		}
	}
	return rows
}

func clone(m compare.Metrics) compare.Metrics {
	out := compare.Metrics{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

var foreignTerms = compare.Terms{Target: compare.Selector{Side: "sglang"}, Delta: 0.03}

func campaignTerms(looks ...int) compare.Terms {
	return compare.Terms{
		Target: compare.Selector{Side: "sglang-main"}, Against: []compare.Selector{{Side: "vllm-main"}}, Delta: 0.03, Looks: looks, M: 1,
		Campaign: true, ContractDigest: "d1", SLA: contract.SLA{"max_p50_ttft_ms": 1000},
		Scenarios: []contract.Scenario{{Name: "chat", Arrival: contract.ArrivalClosed, Primary: "output_token_throughput"}},
	}
}

// only gives the single verdict of rows that must be comparable.
func only(t *testing.T, rows []compare.Row, terms compare.Terms) compare.Verdict {
	t.Helper()
	res, err := compare.Verdicts(rows, terms)
	require.NoError(t, err)
	require.NoError(t, res.Err())
	require.Len(t, res.Verdicts, 1)
	requireNoNulls(t, res)
	return res.Verdicts[0]
}

// requireNoNulls holds that lists in the answer's JSON are never null.
func requireNoNulls(t *testing.T, res compare.Result) {
	t.Helper()
	raw, err := json.Marshal(res)
	require.NoError(t, err)
	for _, list := range []string{"verdicts", "refused", "warnings", "effort", "others", "why", "looks"} {
		require.False(t, bytes.Contains(raw, []byte(`"`+list+`":null`)), "%s is null in %s", list, raw)
	}
}

func verdictOf(t *testing.T, rows []compare.Row, terms compare.Terms) stats.Verdict {
	t.Helper()
	return only(t, rows, terms).Verdict
}
