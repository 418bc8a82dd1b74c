package compare_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
)

func TestRowsSurviveAFile(t *testing.T) {
	t.Parallel()
	full := row(contract.SGLang, 3, 1.0/3)
	full.Metrics["p99_e2e_ms"] = math.Nextafter(1e-3, 1)
	full.Quantization = ptr("")
	full.Audit = &compare.Audit{ClientLimited: true, Reasons: []string{"loop lag"}, LoopLagP99MS: ptr(2.5)}
	full.SpecDecode = &compare.SpecDecode{Enabled: ptr(true), MeanAcceptLength: ptr(3.1)}
	full.Cache = &compare.Cache{PrefixCacheEnabled: ptr(false), PrefixCacheHitRate: ptr(0.0)}
	full.ValidatedCLIFlags.Server = []string{"--tp"}
	full.ValidatedCLIFlags.Benchmark = []string{}
	line, err := compare.AppendRow(nil, full)
	require.NoError(t, err)
	back, err := compare.ReadRows(strings.NewReader("\n"+string(line)+"\n"), "rows")
	require.NoError(t, err)
	full.Line = 2
	require.Equal(t, []compare.Row{full}, back)
	again, err := compare.AppendRow(nil, back[0])
	require.NoError(t, err)
	require.Equal(t, string(line), string(again))
}

func TestWhatWasNotMeasuredIsNull(t *testing.T) {
	t.Parallel()
	r := row(contract.SGLang, 0, 10)
	r.Metrics["p99_ttft_ms"] = math.Inf(1)
	line, err := compare.AppendRow(nil, r)
	require.NoError(t, err)
	var out struct {
		Metrics map[string]*float64
		Flags   struct{ Server []string } `json:"validated_cli_flags"`
	}
	require.NoError(t, json.Unmarshal(line, &out))
	require.Contains(t, out.Metrics, "p99_ttft_ms")
	require.Nil(t, out.Metrics["p99_ttft_ms"], "a percentile that never ended is no number")
	require.Contains(t, out.Metrics, "goodput_rps")
	require.NotNil(t, out.Flags.Server)
	require.True(t, math.IsInf(r.Metrics["p99_ttft_ms"], 1), "the caller's metrics are not changed")
}

func TestForeignSpellings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ json, scenario, framework, command string }{
		{`{"framework":"TRTLLM","status":"ok","workload":{"scenario":"chat"},"launch_command":"x"}`, "chat", "tensorrt_llm", "x"},
		{`{"framework":"ts","status":"ok","workload":{"scenario_name":"a","kind":"random"},"server_command":"y","launch_command":"x"}`, "a", "tokenspeed", "y"},
		{`{"framework":"vllm","status":"oom","workload":{"kind":"random"}}`, "random", "vllm", ""},
		{`{"framework":"vllm","status":"ok","scenario":"top"}`, "top", "vllm", ""},
		{`{"framework":"vllm","status":"ok","sla":{"passed":"yes","max_p50_e2e_ms":null}}`, "default", "vllm", ""},
	} {
		r, err := compare.ParseRow([]byte(c.json))
		require.NoError(t, err, c.json)
		require.Equal(t, c.scenario, r.Scenario())
		require.Equal(t, c.framework, string(r.Framework))
		require.Equal(t, c.command, r.ServerCommand)
	}
}

func TestBadLinesAreNamed(t *testing.T) {
	t.Parallel()
	good := `{"framework":"vllm","status":"ok"}`
	for bad, want := range map[string]string{
		`{broken`:                              "invalid character",
		`[1]`:                                  "not a JSON object",
		`7`:                                    "not a JSON object",
		good + good:                            "more than one",
		`{"framework":"vllm","status":"fine"}`: `status: "fine" is none of ok, failed`,
		`{"status":"ok"}`:                      "framework: missing",
		`{"framework":"vllm","status":"ok","block":-1}`:                                "block: -1",
		`{"framework":"vllm","status":"ok","block":"a"}`:                               "block: string where a number belongs",
		`{"framework":"vllm","status":"ok","workload":{"request_rate":"inf"}}`:         "request_rate: string where a number belongs (null",
		`{"framework":"vllm","status":"ok","workload":{"num_prompts":0}}`:              "workload.num_prompts: 0",
		`{"framework":"vllm","status":"ok","workload":{"request_rate":0}}`:             "workload.request_rate: 0",
		`{"framework":"vllm","status":"ok","metrics":{"p50_ttft_ms":0}}`:               "metrics.p50_ttft_ms: 0 is no measurement",
		`{"framework":"vllm","status":"ok","metrics":{"mean_itl_ms":0}}`:               "metrics.mean_itl_ms: 0",
		`{"framework":"vllm","status":"failed","metrics":{"request_throughput":0}}`:    "metrics.request_throughput: 0",
		`{"framework":"vllm","status":"ok","metrics":{"p50_tpot_ms":-1}}`:              "metrics.p50_tpot_ms: -1",
		`{"framework":"vllm","status":"ok","metrics":{"success_rate":1.5}}`:            "metrics.success_rate: 1.5",
		`{"framework":"vllm","status":"ok","metrics":{"p50_tpot_ms":1e999}}`:           "p50_tpot_ms",
		`{"framework":"vllm","status":"ok","sla":{"max_ttft_ms":100}}`:                 `unknown sla key "max_ttft_ms"`,
		`{"framework":"vllm","status":"ok","metrics":{},"Metrics":{}}`:                 `key "Metrics" twice`,
		`{"framework":"vllm","status":"ok","metrics":{},"metricſ":{}}`:                 "twice",
		`{"framework":"vllm","status":"ok","metrics":` + strings.Repeat("[", 99) + `}`: "nested more than",
	} {
		_, err := compare.ReadRows(strings.NewReader(good+"\n\n"+bad+"\n"), "rows.jsonl")
		require.ErrorContains(t, err, "rows.jsonl:3: ", bad)
		require.ErrorContains(t, err, want, bad)
	}
}

func TestAZeroThatCanBeMeasuredIsKept(t *testing.T) {
	t.Parallel()
	r, err := compare.ParseRow([]byte(`{"framework":"vllm","status":"ok","metrics":{"success_rate":0,"goodput_rps":0,"sla_attainment":0,"p50_icl_ms":0,"mean_icl_ms":3}}`))
	require.NoError(t, err)
	v, ok := r.Metrics.Get("p50_icl_ms")
	require.True(t, ok, "several tokens in one read")
	require.Zero(t, v)
}

func TestARowThatCouldNotBeReadIsNotWritten(t *testing.T) {
	t.Parallel()
	r := row(contract.SGLang, 0, 10)
	r.Metrics["p50_ttft_ms"] = 0
	_, err := compare.AppendRow(nil, r)
	require.ErrorContains(t, err, "p50_ttft_ms")
	_, err = compare.AppendRow(nil, compare.Row{Framework: "vllm", Status: "ok"})
	require.ErrorContains(t, err, "scenario")
}

func FuzzParseRow(f *testing.F) {
	line, err := compare.AppendRow(nil, row(contract.SGLang, 0, 10))
	require.NoError(f, err)
	f.Add(string(line))
	f.Add(`{"framework":"ts","status":"ok","metrics":{"x":1},"sla":{"passed":1}}`)
	f.Fuzz(func(t *testing.T, raw string) {
		rows, err := compare.ReadRows(strings.NewReader(raw), "rows")
		if err != nil {
			return
		}
		for _, r := range rows {
			line, err := compare.AppendRow(nil, r)
			require.NoError(t, err, "what was read can be written")
			back, err := compare.ParseRow(line)
			require.NoError(t, err, "and read again")
			back.Line = r.Line
			again, err := compare.AppendRow(nil, back)
			require.NoError(t, err)
			require.Equal(t, string(line), string(again))
		}
	})
}
