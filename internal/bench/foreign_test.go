package bench_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// storedRun opens a stored run (testdata/foreign/README.md).
func storedRun(t testing.TB, name string) *bytes.Reader {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "foreign", name))
	require.NoError(t, err)
	return bytes.NewReader(raw)
}

// storedForeign reads the only run of a stored file.
func storedForeign(t testing.TB, name string) *bench.ForeignRun {
	t.Helper()
	runs, err := bench.ReadForeign(storedRun(t, name))
	require.NoError(t, err)
	require.Len(t, runs, 1)
	return runs[0]
}

// storedForeignRuns names the stored runs by client and number of streams.
func storedForeignRuns() map[bench.ForeignClient]map[int]string {
	return map[bench.ForeignClient]map[int]string{
		bench.ForeignVLLM:   {4: "vllm/4.json.zst", 256: "vllm/256.json.zst", 1000: "vllm/1000.json.zst"},
		bench.ForeignSGLang: {4: "sglang/4.jsonl.zst", 256: "sglang/256.jsonl.zst", 1000: "sglang/1000.jsonl.zst"},
	}
}

// crossTolerance is how far clients may disagree about one schedule.
const crossTolerance = 0.02

// TestClientsAgree holds real runs of the three clients against the same schedule of the mock (4 slots, 40 requests, 64
// tokens, first event after 200 ms and up to one gap more, gaps of 20 ms), each by the other's definitions, and against the
// schedule itself. The runs are stored; TestCPUCrossMock makes new ones.
func TestClientsAgree(t *testing.T) {
	t.Parallel()
	ours, err := bench.ReadRecords(storedRun(t, "ours-4.jsonl.zst"))
	require.NoError(t, err)
	require.NoError(t, ours.Check())
	for client, runs := range storedForeignRuns() {
		run := storedForeign(t, runs[4])
		require.Equal(t, client, run.Client)
		require.Equal(t, 40, run.Completed)
		require.Equal(t, 40*64, run.OutputTokens)
		require.Equal(t, 4, *run.MaxConcurrency)
		require.Nil(t, run.RequestRate, "unbounded")
		mine, err := bench.AsForeign(ours, client)
		require.NoError(t, err)
		ratio := mine.Over(run.Figures())
		t.Logf("%s: theirs %.2f, ours %.2f by its definitions, ratio %.4f", client, run.Figures(), mine, ratio)
		require.InDelta(t, 1, ratio.Throughput, crossTolerance)
		require.InDelta(t, 1, ratio.TTFT, crossTolerance)
		require.InDelta(t, 1, ratio.TPOT, crossTolerance)
		for _, f := range []bench.Figures{mine, run.Figures()} {
			require.InEpsilon(t, 210, f.TTFT, crossTolerance, "200 ms and half a gap on average")
			require.InEpsilon(t, 20, f.TPOT, crossTolerance)
		}
	}
}

// TestForeignRunsAgainstTheMock holds the stored runs against what the mock wrote into their outputs: nothing is lost, and
// the errors are those that docs/LOADGEN.md shows.
func TestForeignRunsAgainstTheMock(t *testing.T) {
	t.Parallel()
	for client, runs := range storedForeignRuns() {
		for _, streams := range []int{4, 256} { // BenchmarkClients prints those at 1,000 as well, which take seconds to read
			run := storedForeign(t, runs[streams])
			e, err := run.MockErrors()
			require.NoError(t, err)
			t.Logf("%s at %d streams: %+v", client, streams, e)
			require.Equal(t, run.Completed, e.Requests)
			require.Equal(t, run.OutputTokens, e.Events)
			require.Zero(t, e.EventsLost)
			require.Positive(t, e.TTFTBiasMS, "their clock starts before they send")
			require.Greater(t, e.TTFTMS.P99, e.TTFTMS.P50)
			require.Less(t, e.ITLMS.P50, 1.0)
			run.Requests[0].Text = "hello " + run.Requests[0].Text
			_, err = run.MockErrors()
			require.ErrorContains(t, err, "request 1: output is not the mock's")
		}
	}
}

// TestForeignMetricsAreNamedAsOurs checks a stored run's figures, and that details are not needed.
func TestForeignMetricsAreNamedAsOurs(t *testing.T) {
	t.Parallel()
	for client, runs := range storedForeignRuns() {
		m := storedForeign(t, runs[4]).Metrics
		for _, name := range []string{"request_throughput", "output_token_throughput", "total_token_throughput", "mean_ttft_ms", "p50_ttft_ms", "p99_ttft_ms", "mean_tpot_ms", "p99_icl_ms"} {
			v, ok := m.Get(name)
			require.True(t, ok, "%s: %s", client, name)
			require.Positive(t, v)
		}
		ok, _ := m.Get("success_rate")
		require.InDelta(t, 1, ok, 0)
		_, user := m.Get("p99_ttft_user_ms")
		require.False(t, user, "they know no planned times")
	}
}

const (
	smallVLLM   = `{"model_id":"m","completed":2,"failed":1,"total_input_tokens":8,"total_output_tokens":6,"duration":3,"request_throughput":0.667,"output_throughput":2,"total_token_throughput":4.667,"request_rate":"inf","max_concurrency":null,"mean_ttft_ms":10,"mean_tpot_ms":NaN,"label":"NaN, Infinity \" and so on"`
	smallSGLang = `{"total_output_tokens_retokenized":6,"completed":2,"total_input_tokens":8,"total_output_tokens":6,"duration":3,"request_throughput":0.667,"output_throughput":2,"total_throughput":4.667,"request_rate":Infinity,"max_concurrency":3,"mean_ttft_ms":10`
	details     = `,"ttfts":[0.005,0.015,0],"itls":[[0.1,0.1],[0.1,0.1],[]],"output_lens":[3,3,0],"generated_texts":["\" NaN","b",""],"errors":["","","refused"]`
)

func TestReadForeign(t *testing.T) {
	t.Parallel()
	runs, err := bench.ReadForeign(strings.NewReader(smallSGLang + details + "}\n" + smallVLLM + details + "}\n" + smallVLLM + "}"))
	require.NoError(t, err)
	require.Len(t, runs, 3)
	require.Equal(t, bench.ForeignSGLang, runs[0].Client)
	require.Nil(t, runs[0].RequestRate)
	require.Equal(t, 3, *runs[0].MaxConcurrency)
	require.Equal(t, 1, runs[0].Failed, "by its details")
	require.Equal(t, "m", runs[1].Model)
	require.Equal(t, 1, runs[2].Failed)
	require.Empty(t, runs[2].Requests)
	require.Equal(t, `" NaN`, runs[0].Requests[0].Text, "what stands in a string is no figure")
	_, known := runs[1].Metrics.Get("mean_tpot_ms")
	require.False(t, known, "NaN is no figure")
	rate, _ := runs[2].Metrics.Get("success_rate")
	require.InDelta(t, 2.0/3, rate, 1e-12)

	for _, tc := range []struct{ name, in, why string }{
		{"empty", "", "hold no run"},
		{"rubbish", "<html>", "run 1 is not JSON"},
		{"cut off", smallVLLM, "run 1 is not JSON"},
		{"cut off in its package", "\x28\xb5\x2f\xfd\x00", "read results"},
		{"a list", "[1]", "run 1 is not JSON"},
		{"another tool", `{"completed":1}`, "neither sglang.bench_serving"},
		{"both", strings.TrimSuffix(smallVLLM, "") + `,"total_output_tokens_retokenized":6}`, "neither sglang.bench_serving"},
		{"no duration", strings.Replace(smallVLLM, `"duration":3`, `"duration":0`, 1) + "}", "duration: 0"},
		{"a count that is none", strings.Replace(smallVLLM, `"completed":2`, `"completed":2.5`, 1) + "}", "completed: 2.5 is no count"},
		{"a missing figure", strings.Replace(smallVLLM, `"output_throughput":2,`, "", 1) + "}", "output_throughput:"},
		{"an edited figure", strings.Replace(smallVLLM, `"output_throughput":2,`, `"output_throughput":2.5,`, 1) + "}", "output_throughput 2.5 is not"},
		{"an edited mean", strings.Replace(smallVLLM+details, `"mean_ttft_ms":10`, `"mean_ttft_ms":9`, 1) + "}", "mean_ttft_ms 9, and 10 by the requests"},
		{"a lost request", strings.Replace(smallVLLM+details, `"errors":["","","refused"]`, `"errors":["","refused","refused"]`, 1) + "}", "completed 2, and 1"},
		{"tokens that do not add up", strings.Replace(smallVLLM+details, `"output_lens":[3,3,0]`, `"output_lens":[3,2,0]`, 1) + "}", "total_output_tokens 6, and 5"},
		{"lists of unequal length", strings.Replace(smallVLLM+details, `"ttfts":[0.005,`, `"ttfts":[`, 1) + "}", "2 ttfts, 3 itls"},
		{"details in part", strings.Replace(smallVLLM+details, `"errors"`, `"mistakes"`, 1) + "}", "errors: missing beside ttfts"},
		{"the second run", smallVLLM + "}\n" + smallVLLM + `,"duration":-1}`, "run 2"},
	} {
		_, err := bench.ReadForeign(strings.NewReader(tc.in))
		require.ErrorContains(t, err, tc.why, tc.name)
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
	}
}

func FuzzReadForeign(f *testing.F) {
	f.Add([]byte(smallSGLang + details + "}\n" + smallVLLM + "}"))
	f.Add([]byte(`{"a":"\"NaN`))
	f.Fuzz(func(t *testing.T, in []byte) {
		runs, err := bench.ReadForeign(bytes.NewReader(in))
		for _, r := range runs {
			require.NoError(t, err)
			require.Positive(t, r.DurationS)
			_, _ = r.MockErrors() // must not panic
		}
	})
}
