package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/transcripts"
)

func TestATranscriptIsShownForAPersonWithNothingHidden(t *testing.T) {
	t.Parallel()
	rec := transcripts.New(t.TempDir(), nil)
	for _, m := range [][2]string{
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_benchmark","arguments":{"campaign":"c1","candidates":["a","b"]}}}`,
			`{"jsonrpc":"2.0","id":1,"result":{"isError":true,"content":[{"type":"text","text":"{\"rule\":\"fair.tuned-competitor\",\"message\":\"not yet\\u001b[2J\\u202e\",\"hints\":[\"search it\"]}"}]}}`},
		{`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"wait_job","arguments":{"campaign":"c1","job":"job-1"}}}`,
			`{"jsonrpc":"2.0","id":2,"result":{"structuredContent":{"state":"running","job":"job-1"}}}`},
		{`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"wait_job","arguments":{"campaign":"c1","job":"job-1"}}}`,
			`{"jsonrpc":"2.0","id":3,"result":{"structuredContent":{"state":"running","job":"job-1"}}}`},
		{`{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"compare_results","arguments":{"campaign":"c1"}}}`,
			`{"jsonrpc":"2.0","id":4,"result":{"structuredContent":{"state":"done","verdicts":[{"verdict":"loss","candidate":"a","against":"b","metric":"m","ratio":0.7}]}}}`},
	} {
		require.NoError(t, rec.Received("stdio", []byte(m[0])))
		require.NoError(t, rec.Sent("stdio", []byte(m[1])))
	}
	require.NoError(t, rec.Received("stdio", []byte("rubbish\x07")))
	path := rec.Path()
	require.NoError(t, rec.Close())
	var out bytes.Buffer
	require.NoError(t, runTranscript(t.Context(), streams{Out: &out}, []string{"show", "--campaign", "c1", path}))
	require.NotContains(t, out.String(), "rubbish", "it belongs to no campaign")
	out.Reset()
	require.NoError(t, runTranscript(t.Context(), streams{Out: &out}, []string{"show", path}))
	text := out.String()
	for _, want := range []string{"campaign c1\n", `▸ run_benchmark candidates=["a","b"]`, "✗ refused by fair.tuned-competitor: not yet<U+001B>[2J<U+202E>", "→ search it",
		"… wait_job job-1: still running, asked 2 times", "✓ done", "loss: a against b, m, ratio 0.700", "✗ no message: rubbish<U+0007>"} {
		require.Contains(t, text, want)
	}
	require.NotContains(t, text, "\x1b", "colours only on a terminal")
	for line := range strings.Lines(text) {
		require.LessOrEqual(t, len([]rune(line)), widest+2, line)
	}
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, bytes.Replace(raw, []byte("compare_results"), []byte("compare_resultz"), 1), 0o600))
	out.Reset()
	require.ErrorContains(t, runTranscript(t.Context(), streams{Out: &out}, []string{"show", path}), "does not verify")
	require.Contains(t, out.String(), "run_benchmark", "what stands before the damage is shown")
}

func TestARealCampaignIsNotReplayed(t *testing.T) {
	t.Parallel()
	slots := 2
	c := &contract.Contract{
		Kind: contract.Kind, V: contract.Version, Campaign: "20261123_tiny_sota_loop", Study: contract.StudySOTA, Created: time.Now(),
		Model: contract.Model{ID: "tiny", Path: "/models/tiny", Identity: "1d"}, Precision: "bfloat16", KVDtype: "auto", Endpoint: "/v1/completions", Delta: 0.03, Seed: 42,
		Host:   contract.Host{Name: "h100a", Device: "cuda", GPUs: []int{0}, GPUModel: "H100", GPUMemory: 81559, Driver: "570.1", BootID: "b007"},
		Target: contract.Side{Entry: "sglang", Framework: contract.SGLang}, Against: []contract.Side{{Entry: "vllm", Framework: contract.VLLM}},
		Scenarios: []contract.Scenario{{Name: "chat", Kind: contract.KindRandom, InputLen: 20, OutputLen: 4, NumPrompts: 40, Arrival: contract.ArrivalClosed,
			MaxConcurrency: &slots, IgnoreEOS: true, Stream: true, Primary: "output_token_throughput"}},
		SLA: contract.SLA{"max_p50_ttft_ms": 2000}, Blocks: contract.Blocks{Max: 6, Looks: []int{6}, Comparisons: 1}, Budget: contract.Budget{Launches: 2},
		Assumed: []string{}, Cost: []contract.Cost{}, Policy: "p01", Approvers: "a44",
	}
	raw, digest, err := c.Freeze()
	require.NoError(t, err)
	payload, err := json.Marshal(loop.ContractFrozen{Contract: raw, Digest: digest})
	require.NoError(t, err)
	dir := t.TempDir()
	var b bytes.Buffer
	_, err = chain.Write(&b, time.Now(), chain.Pending{Kind: "contract.frozen", Payload: payload})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, ledger.ChainFile), b.Bytes(), 0o600))
	err = runTranscript(t.Context(), streams{Out: &bytes.Buffer{}}, []string{"replay", dir})
	require.ErrorContains(t, err, "was measured on a real host")
}
