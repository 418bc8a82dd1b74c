//go:build unix

package sim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/sim"
)

func get(t *testing.T, url string) (int, string, http.Header) {
	t.Helper()
	r, err := http.Get(url)
	require.NoError(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(b), r.Header
}

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	r, err := http.Post(url, "application/json", strings.NewReader(body))
	require.NoError(t, err)
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(b)
}

func TestCompletions(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Speed: 20})
	model := h.Layout().ModelPath
	for _, engine := range []string{"sglang", "vllm", "tensorrt_llm"} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			p := launch(t, h, engine, gpuFor(engine))
			a, err := ask(t.Context(), p.url+"/v1/completions", completion(model, prompt(20, 1), 16))
			require.NoError(t, err)
			require.Equal(t, "1", a.headers.Get(sim.Header))
			require.Equal(t, 16, a.events, "one event a token")
			require.Equal(t, "length", a.finish)
			require.True(t, a.done)
			require.EqualValues(t, 20, a.usage["prompt_tokens"])
			require.EqualValues(t, 16, a.usage["completion_tokens"])
			require.Len(t, strings.Fields(a.text), 16)

			body := completion(model, prompt(20, 1), 16)
			body["stream"] = false
			delete(body, "stream_options")
			body["logprobs"] = 2
			whole, err := ask(t.Context(), p.url+"/v1/completions", body)
			require.NoError(t, err)
			var got struct {
				Choices []struct {
					Text     string
					Logprobs struct {
						Logs []float64            `json:"token_logprobs"`
						Tops []map[string]float64 `json:"top_logprobs"`
					}
				}
			}
			require.NoError(t, json.Unmarshal([]byte(whole.body), &got), whole.body)
			require.Equal(t, a.text, got.Choices[0].Text, "stream and whole agree")
			require.Len(t, got.Choices[0].Logprobs.Logs, 16)
			for _, l := range got.Choices[0].Logprobs.Logs {
				require.True(t, l < 0 && l > -60, l)
			}
			require.Len(t, got.Choices[0].Logprobs.Tops[0], 3)

			// Text made of the model's own words is the same prompt as its ids.
			body["prompt"] = got.Choices[0].Text
			delete(body, "logprobs")
			again, err := ask(t.Context(), p.url+"/v1/completions", body)
			require.NoError(t, err)
			require.Contains(t, again.body, `"prompt_tokens":16`)
		})
	}
}

// gpuFor keeps engines of one host on GPUs of their own.
func gpuFor(engine string) []string {
	return []string{"CUDA_VISIBLE_DEVICES=" + map[string]string{"sglang": "0", "vllm": "1", "tensorrt_llm": "2", "tokenspeed": "3"}[engine]}
}

func TestDefaultsAndRefusals(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Speed: 20})
	p := launch(t, h, "vllm", nil, "--served-model-name", "demo", "--max-model-len", "2048")
	status, body := post(t, p.url+"/v1/completions", `{"model":"demo","prompt":"a b c","temperature":0}`)
	require.Equal(t, 200, status)
	require.True(t, strings.Contains(body, `"completion_tokens":16`) || strings.Contains(body, `"finish_reason":"stop"`), "max_tokens defaults to 16: %s", body)
	for _, c := range []struct {
		body, says string
		status     int
	}{
		{`{"model":"other","prompt":"a"}`, "The model `other` does not exist.", 404},
		{`{"model":"demo","prompt":"a","max_tokens":4096}`, "maximum context length is 2048 tokens", 400},
		{`{"model":"demo","prompt":""}`, "prompt is empty", 400},
		{`{"model":"demo","prompt":[999999999]}`, "out of vocabulary", 400},
		{`{"model":"demo","prompt":"a","temperature":-1}`, "temperature must be non-negative", 400},
		{`{"model":"demo","prompt":"a","n":4}`, "n=4 is not simulated", 400},
		{`{"model":"demo","prompt":`, "JSON decode error", 422},
	} {
		status, body := post(t, p.url+"/v1/completions", c.body)
		require.Equal(t, c.status, status, body)
		require.Contains(t, body, c.says)
	}
	status, _, _ = get(t, p.url+"/reset_prefix_cache")
	require.Equal(t, 404, status, "only with VLLM_SERVER_DEV_MODE=1")
	status, _ = post(t, p.url+"/start_profile", "")
	require.Equal(t, 404, status, "only with --profiler-config")
	_, body, _ = get(t, p.url+"/version")
	require.JSONEq(t, `{"version":"0.26.0"}`, body)
	_, body, _ = get(t, p.url+"/metrics")
	require.Contains(t, body, "vllm:generation_tokens_total{")
}

func TestChatAndSampling(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Speed: 20})
	p := launch(t, h, "sglang", nil)
	chat := map[string]any{"model": "any", "messages": []map[string]any{{"role": "user", "content": "hello there"}}, "max_tokens": 6,
		"ignore_eos": true, "temperature": 0.8, "seed": 11, "stream": true}
	a, err := ask(t.Context(), p.url+"/v1/chat/completions", chat)
	require.NoError(t, err)
	require.Equal(t, 6, a.events, "the role-only delta is not a token")
	b, err := ask(t.Context(), p.url+"/v1/chat/completions", chat)
	require.NoError(t, err)
	require.Equal(t, a.text, b.text, "same seed, same text")
	chat["seed"] = 12
	c, err := ask(t.Context(), p.url+"/v1/chat/completions", chat)
	require.NoError(t, err)
	require.NotEqual(t, a.text, c.text)

	_, body := post(t, p.url+"/generate", `{"input_ids":[5,6,7],"sampling_params":{"max_new_tokens":4,"ignore_eos":true,"temperature":0},"return_logprob":true}`)
	require.Contains(t, body, `"output_token_logprobs"`)
	require.Contains(t, body, `"completion_tokens":4`)
}

func TestStopsAtEndOfText(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Speed: 200})
	p := launch(t, h, "sglang", nil)
	stopped := 0
	for i := range 4 {
		body := completion("m", prompt(8, i), 1200)
		body["ignore_eos"] = false
		a, err := ask(t.Context(), p.url+"/v1/completions", body)
		require.NoError(t, err)
		if a.finish == "stop" {
			stopped++
			require.Less(t, a.events, 1200)
		}
	}
	require.Positive(t, stopped)
}

func TestPrefixCacheAndFlush(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Speed: 20})
	p := launch(t, h, "sglang", nil, "--enable-cache-report", "--enable-metrics")
	body := completion("m", prompt(64, 1), 2)
	cached := func() any {
		a, err := ask(t.Context(), p.url+"/v1/completions", body)
		require.NoError(t, err)
		return a.usage["prompt_tokens_details"].(map[string]any)["cached_tokens"]
	}
	require.EqualValues(t, 0, cached())
	require.EqualValues(t, 63, cached(), "all but one token")
	require.Eventually(t, func() bool { s, _ := post(t, p.url+"/flush_cache", ""); return s == 200 }, waitFor, tick)
	require.EqualValues(t, 0, cached())
	status, info, _ := get(t, p.url+"/server_info")
	require.Equal(t, 200, status)
	require.Contains(t, info, `"simulated":true`)
	require.Contains(t, info, `"enable_cache_report":true`)
	_, metrics, _ := get(t, p.url+"/metrics")
	require.Contains(t, metrics, "sglang:cache_hit_rate")
}

func TestTokenSpeedHasTwoPorts(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Speed: 20})
	p := launch(t, h, "tokenspeed", nil)
	require.Contains(t, p.text(), "ts control server ready on http://")
	status, body := post(t, p.url+"/v1/completions", `{"prompt":[1,2,3]}`)
	require.Equal(t, 422, status, body)
	status, body = post(t, p.url+"/generate", `{"input_ids":[1,2,3],"sampling_params":{"max_new_tokens":2,"ignore_eos":true}}`)
	require.Equal(t, 200, status, body)
	host, port, _ := strings.Cut(strings.TrimPrefix(p.url, "http://"), ":")
	status, body, _ = get(t, "http://"+host+":"+next(t, port)+"/get_server_info")
	require.Equal(t, 200, status)
	require.Contains(t, body, `"simulated":true`)
}

func TestFaults(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Speed: 20})
	t.Run("truncate", func(t *testing.T) {
		t.Parallel()
		p := launch(t, h, "sglang", append(gpuFor("sglang"), "SOTALOOP_SIM_FAULT=truncate-stream=1"))
		a, err := ask(t.Context(), p.url+"/v1/completions", completion("m", prompt(8, 1), 8))
		require.NoError(t, err)
		require.True(t, a.done)
		a, err = ask(t.Context(), p.url+"/v1/completions", completion("m", prompt(8, 2), 8))
		require.Error(t, err, "the connection breaks")
		require.False(t, a.done)
		require.Equal(t, 4, a.events)
	})
	t.Run("crash", func(t *testing.T) {
		t.Parallel()
		p := launch(t, h, "vllm", append(gpuFor("vllm"), "SOTALOOP_SIM_FAULT=vllm:crash-after=0,sglang:hang"))
		_, err := ask(t.Context(), p.url+"/v1/completions", completion(h.Layout().ModelPath, prompt(8, 1), 20000))
		require.Error(t, err)
		require.Error(t, <-p.done)
		require.Contains(t, p.text(), "EngineDeadError")
	})
}
