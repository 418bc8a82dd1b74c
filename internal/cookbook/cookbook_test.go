package cookbook_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/cookbook"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// helps are the frameworks' own helps, as internal/framework keeps them.
func helps(t *testing.T) cookbook.Helps {
	t.Helper()
	out := cookbook.Helps{}
	for fw, file := range map[contract.Framework]string{
		contract.SGLang: "sglang_launch_server.txt", contract.VLLM: "vllm_serve_all.txt", contract.TensorRTLLM: "trtllm_serve.txt", contract.TokenSpeed: "tokenspeed_engine.txt",
	} {
		raw, err := os.ReadFile(filepath.Join("..", "framework", "testdata", "help", file))
		require.NoError(t, err)
		known, err := framework.Of(fw)
		require.NoError(t, err)
		out[fw], err = known.ParseHelp(string(raw))
		require.NoError(t, err)
	}
	return out
}

func open(t *testing.T) *cookbook.Book {
	t.Helper()
	b, err := cookbook.Open()
	require.NoError(t, err)
	return b
}

func entry(t *testing.T, id string) cookbook.Entry {
	t.Helper()
	e, ok := open(t).ByID(id)
	require.True(t, ok, id)
	return e
}

func TestEveryEntryIsValid(t *testing.T) {
	t.Parallel()
	b := open(t)
	require.Len(t, b.Entries, 39)
	for _, p := range b.Validate(helps(t)) {
		t.Error(p.Error())
	}
}

// TestNothingClaimsToHaveRun holds until a campaign of this product measured an entry; then its evidence is checked here.
func TestNothingClaimsToHaveRun(t *testing.T) {
	t.Parallel()
	for _, e := range open(t).Entries {
		for fw, s := range e.Frameworks {
			require.NotEqual(t, cookbook.StateRun, s.State, "%s %s", e.ID, fw)
			require.Empty(t, s.Evidence)
		}
	}
}

func TestDocument(t *testing.T) {
	t.Parallel()
	const file = "../../docs/COOKBOOK.md"
	want := open(t).Markdown()
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, want, string(got), "stale: run UPDATE=1 go test ./internal/cookbook")
}

// TestWhatWasMendedStaysMended names the defects of the recipes that the entries started from.
func TestWhatWasMendedStaysMended(t *testing.T) {
	t.Parallel()
	llama := entry(t, "llama-3.3-70b")
	require.Equal(t, 2, llama.GPUs)
	require.Greater(t, llama.Model().WeightsGiB(1), 80.0, "one 80 GB GPU does not hold it")
	require.Less(t, llama.Model().WeightsGiB(2), 0.9*80)

	for _, k := range entry(t, "qwen3.5-397b-a17b-fp8").Frameworks[contract.SGLang].Knobs() {
		require.NotContains(t, k.Values, 8.0, "%s: no size of 8 on 4 GPUs", k.Flag)
	}
	for _, id := range []string{"nemotron-3-nano-30b-a3b-bf16", "nemotron-3-super-120b-a12b-bf16"} {
		e := entry(t, id)
		require.Equal(t, "auto", e.KVDtype)
		for _, fw := range contract.Frameworks {
			for name := range e.ContractFlags(contract.Framework(fw)) {
				require.NotContains(t, name, "kv", "%s %s", id, fw)
			}
		}
	}
	require.Equal(t, []contract.Framework{contract.SGLang}, entry(t, "llada2.1-mini").Supported(), "only one framework decodes by diffusion")
	require.Empty(t, entry(t, "ling-2.5-1t").Supported(), "two hosts")
	require.Equal(t, 12288, entry(t, "llama-4-maverick-17b-128e-fp8").MaxContext)
	for _, id := range []string{"glm-4.5", "glm-4.7"} {
		require.Equal(t, 12288, entry(t, id).MaxContext, "9000 cuts an output of 1000 to 998")
		require.Equal(t, "fp8", entry(t, id).Model().Precision)
	}
	for _, id := range []string{"gpt-oss-120b", "llama-4-scout-17b-16e"} {
		for _, k := range entry(t, id).Frameworks[contract.SGLang].Knobs() {
			require.NotContains(t, k.Values, "flashinfer", "%s %s: SGLang refuses it", id, k.Flag)
		}
	}
	require.True(t, entry(t, "ring-2.5-1t").RemoteCode)
}

func TestLookup(t *testing.T) {
	t.Parallel()
	b := open(t)
	for model, want := range map[string]string{
		"Qwen/Qwen3-235B-A22B": "qwen3-235b-a22b", "qwen/qwen3-235b-a22b": "qwen3-235b-a22b", "zai-org/GLM-4.5": "glm-4.5", "deepseek-ai/DeepSeek-R1": "deepseek-r1-0528",
		"meta-llama/Llama-3.3-70B-Instruct": "llama-3.3-70b", "nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16": "nemotron-3-nano-30b-a3b-bf16",
	} {
		m, ok := b.Lookup(model)
		require.True(t, ok, model)
		require.Equal(t, want, m.Entry.ID, model)
		require.True(t, m.Exact, model)
	}
	for model, want := range map[string]string{
		"acme/Qwen3-235B-A22B-Thinking-2507-AWQ": "qwen3-235b-a22b", "/models/Meta-Llama-3.1-70B-Instruct": "llama-3.1-70b", `C:\models\GLM-4.6-FP8`: "glm-4.6", "moonshotai/Kimi-K2-Thinking": "kimi-k2-instruct",
		"nvidia/DeepSeek-V3.2-NVFP4": "deepseek-v3.2", "zai-org/GLM-5": "glm-5-fp8", "deepseek-ai/DeepSeek-V3.1-Base": "deepseek-v3.1", "mistralai/Ministral-3-8B-Base-2512": "ministral-3-8b",
	} {
		m, ok := b.Lookup(model)
		require.True(t, ok, model)
		require.Equal(t, want, m.Entry.ID, model)
	}
}

// TestLookupNeverGivesAnotherSize holds names that look like a family's and are another model.
func TestLookupNeverGivesAnotherSize(t *testing.T) {
	t.Parallel()
	b := open(t)
	for _, model := range []string{
		"", "/", "Qwen/Qwen3-8B", "Qwen/Qwen3-30B-A3B", "Qwen/Qwen3-VL-235B-A22B-Instruct", "Qwen/Qwen3-Coder-30B-A3B-Instruct", "Qwen/Qwen3.5-35B-A3B", "Qwen/Qwen3-Next",
		"zai-org/GLM-4.5-Air", "zai-org/GLM-4.5V", "zai-org/GLM-4.6V", "zai-org/GLM-5.1", "zai-org/GLM-5.3-Flash", "internlm/Intern-S1-mini", "openai/gpt-oss-20b",
		"deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", "deepseek-ai/DeepSeek-V2", "deepseek-ai/DeepSeek-V4-Flash", "deepseek-ai/DeepSeek-V3.2-Lite",
		"meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-405B", "meta-llama/Llama-3.3", "mistralai/Ministral-3-14B-Instruct-2512", "mistralai/Mistral-Small-4-119B-2603-eagle",
		"moonshotai/Kimi-K2.7-Code", "moonshotai/Kimi-K3", "inclusionAI/LLaDA2.1-flash", "inclusionAI/Ling-2.6-1T", "MiniMaxAI/MiniMax-M2", "cerebras/GLM-4.6-REAP-218B-A32B", "acme/GLM-4.6-REAP",
		"lightseekorg/kimi-k2.6-eagle3-mla", "nvidia/NVIDIA-Nemotron-3-Nano-4B-BF16", "stepfun-ai/Step-3.7-Flash", "XiaomiMiMo/MiMo-V2.5",
	} {
		m, ok := b.Lookup(model)
		require.False(t, ok, "%q was taken for %s", model, m.Entry.ID)
	}
}

// gpus is a host of n equal GPUs; memory as the driver reports it.
func gpus(n int, model string) contract.Host {
	mib := map[string]int64{"NVIDIA H100 80GB HBM3": 81559, "NVIDIA H200": 143771, "NVIDIA B200": 183359}
	h := contract.Host{Device: "cuda", GPUModel: model, GPUMemory: mib[model]}
	for i := range n {
		h.GPUs = append(h.GPUs, i)
	}
	return h
}

const h100, h200, b200 = "NVIDIA H100 80GB HBM3", "NVIDIA H200", "NVIDIA B200"

func TestFitsAndWarnings(t *testing.T) {
	t.Parallel()
	b := open(t)
	match := func(model string) cookbook.Match {
		m, ok := b.Lookup(model)
		require.True(t, ok, model)
		return m
	}
	require.Empty(t, match("Qwen/Qwen3-235B-A22B").Fits(gpus(8, h100)))
	require.Empty(t, match("Qwen/Qwen3-235B-A22B").Warnings(gpus(8, h100)))
	require.Contains(t, match("Qwen/Qwen3-235B-A22B").Fits(gpus(4, h100)), "109 GiB of each of 4 GPUs")
	require.Contains(t, match("meta-llama/Llama-3.3-70B-Instruct").Fits(gpus(1, h100)), "131 GiB")
	require.Empty(t, match("nvidia/Llama-3.3-70B-Instruct-FP8").Fits(gpus(1, h100)))
	require.Contains(t, match("zai-org/GLM-4.5").Fits(gpus(4, h200)), "167 GiB")
	require.Contains(t, match("inclusionAI/Ling-2.5-1T").Fits(gpus(8, h200)), "2 hosts")
	require.Empty(t, match("deepseek-ai/DeepSeek-V3").Fits(gpus(8, h200)))
	require.NotEmpty(t, match("deepseek-ai/DeepSeek-V3").Fits(gpus(8, h100)))
	require.Contains(t, match("mistralai/Ministral-3-8B-Instruct-2512").Fits(contract.Host{Device: "cpu"}), "for GPUs")
	for _, model := range []string{"Qwen/Qwen3-235B-A22B-AWQ", "Qwen/Qwen3-235B-A22B-Instruct-2507-FP8"} {
		require.Contains(t, strings.Join(match(model).Warnings(gpus(4, h100)), "; "), "Qwen/Qwen3-235B-A22B in bf16")
	}
	require.Contains(t, strings.Join(match("deepseek-ai/DeepSeek-V3").Warnings(gpus(8, h100)), "; "), "140 GiB, not 80")
}

func TestScenariosAreOnesThatCanBeOffered(t *testing.T) {
	t.Parallel()
	s := entry(t, "gpt-oss-120b").Scenarios()
	require.Len(t, s, 6)
	require.Equal(t, "chat-burst", s[0].Name)
	require.Equal(t, "makespan_s", s[0].Primary)
	require.Equal(t, "summarization-c8", s[5].Name)
	require.Equal(t, 8000, s[5].InputLen)
	require.Equal(t, 80, s[5].NumPrompts)
	ministral := entry(t, "ministral-3-8b").Scenarios()
	require.Equal(t, "chat-c32", ministral[2].Name)
	require.Equal(t, 160, ministral[2].NumPrompts, "five prompts a slot, where 80 were listed")
}

func TestStartFollowsTheGPUs(t *testing.T) {
	t.Parallel()
	e := entry(t, "qwen3-235b-a22b")
	same, err := e.Start(contract.SGLang, gpus(8, h100))
	require.NoError(t, err)
	require.Equal(t, 8, same.Base["tensor-parallel-size"])
	require.Empty(t, same.Dropped)
	half, err := e.Start(contract.SGLang, gpus(4, h100))
	require.NoError(t, err)
	require.Equal(t, 4, half.Base["tensor-parallel-size"])
	require.Equal(t, []string{"expert-parallel-size 8: expert-parallel size 8 does not divide 4"}, half.Dropped)
	one, err := e.Start(contract.TensorRTLLM, gpus(1, h100))
	require.NoError(t, err)
	require.NotContains(t, one.Base, "tensor_parallel_size")
	require.Len(t, one.Dropped, 2)
	for _, k := range one.Knobs {
		require.NotEqual(t, "moe_expert_parallel_size", k.Flag)
	}
	coder, err := entry(t, "qwen3-coder-480b-a35b").Start(contract.SGLang, gpus(1, h100))
	require.NoError(t, err)
	require.NotContains(t, coder.Base, "expert-parallel-size")

	_, err = entry(t, "llada2.1-mini").Start(contract.VLLM, gpus(1, h100))
	require.ErrorContains(t, err, "diffusion")
	require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
	_, err = e.Start("nobody", gpus(8, h100))
	require.Error(t, err)
	delete(e.Frameworks, contract.VLLM)
	_, err = e.Start(contract.VLLM, gpus(8, h100))
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}

func TestStartLeavesOutAnotherGenerationsKernels(t *testing.T) {
	t.Parallel()
	e := entry(t, "qwen3-235b-a22b")
	s, err := e.Start(contract.SGLang, gpus(8, b200))
	require.NoError(t, err)
	require.NotContains(t, s.Base, "prefill-attention-backend")
	require.Equal(t, []any{"flashinfer"}, s.Knobs[0].Values)
	require.Contains(t, s.Dropped, "decode-attention-backend fa3: runs on Hopper, not on NVIDIA B200")
	for _, model := range []string{"", h100, h200, "NVIDIA H20", "NVIDIA GH200 480GB", "NVIDIA H100 NVL"} {
		s, err := e.Start(contract.SGLang, gpus(8, model))
		require.NoError(t, err)
		require.Equal(t, "fa3", s.Base["prefill-attention-backend"], model)
		require.Empty(t, s.Dropped)
	}
	for _, model := range []string{"NVIDIA A100-SXM4-80GB", "NVIDIA L40S", "NVIDIA GeForce RTX 5090", "NVIDIA RTX PRO 6000 H1000"} {
		s, err := e.Start(contract.SGLang, gpus(8, model))
		require.NoError(t, err)
		require.NotContains(t, s.Base, "prefill-attention-backend", model)
	}
}

// TestStartsCanBeLaunched renders base and every single value as the product would.
func TestStartsCanBeLaunched(t *testing.T) {
	t.Parallel()
	all := helps(t)
	for _, e := range open(t).Entries {
		for _, fw := range e.Supported() {
			known, err := framework.Of(fw)
			require.NoError(t, err)
			s, err := e.Start(fw, gpus(e.GPUs, h200))
			require.NoError(t, err)
			help := all[fw]
			spec := framework.Spec{Engine: framework.Engine{Entry: string(fw)}, ModelPath: "/m", ServedName: "m", Device: "cuda", GPUs: make([]int, e.GPUs), Help: &help,
				Contract: &contract.Contract{Precision: e.Dtype, KVDtype: e.KVDtype, MaxContext: e.MaxContext}, Flags: s.Base}
			_, err = known.Launch(spec)
			require.NoError(t, err, "%s %s", e.ID, fw)
			for _, k := range s.Knobs {
				for _, v := range k.Values {
					spec.Flags = map[string]any{k.Flag: v}
					_, err = known.Launch(spec)
					require.NoError(t, err, "%s %s %s %v", e.ID, fw, k.Flag, v)
				}
			}
		}
	}
}

func TestContractFlags(t *testing.T) {
	t.Parallel()
	require.Equal(t, map[string]any{"context-length": 12288, "trust-remote-code": true, "tool-call-parser": "glm47", "reasoning-parser": "glm45"}, entry(t, "glm-4.7").ContractFlags(contract.SGLang))
	require.Equal(t, map[string]any{"max_seq_len": 65536, "trust_remote_code": true}, entry(t, "llama-4-scout-17b-16e").ContractFlags(contract.TensorRTLLM))
	require.Equal(t, "bfloat16", entry(t, "llama-4-scout-17b-16e").ContractFlags(contract.VLLM)["dtype"])
	require.Equal(t, "JointThreshold", entry(t, "llada2.1-mini").ContractFlags(contract.SGLang)["dllm-algorithm"])
}

func TestLayout(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fw    contract.Framework
		flags map[string]any
		gpus  int
		why   string // "": legal
	}{
		{contract.SGLang, nil, 8, ""},
		{contract.SGLang, map[string]any{"tp": 8}, 8, ""},
		{contract.SGLang, map[string]any{"tp-size": 4, "dp-size": 2.0, "ep": 4}, 8, ""},
		{contract.SGLang, map[string]any{"tp-size": 4, "dp-size": 2, "ep-size": 8}, 8, "does not divide 4"},
		{contract.SGLang, map[string]any{"tensor-parallel-size": 8, "pipeline-parallel-size": 2}, 8, "= 16, not the 8 GPUs"},
		{contract.SGLang, map[string]any{"ep-size": 8}, 4, "does not divide 4"},
		{contract.SGLang, map[string]any{"ep-size": 3}, 8, "does not divide 8"},
		{contract.SGLang, map[string]any{"tp-size": 4}, 8, "not the 8 GPUs"},
		{contract.SGLang, map[string]any{"tp-size": "many"}, 8, "is no size"},
		{contract.SGLang, map[string]any{"tp-size": 0}, 8, "is no size"},
		{contract.SGLang, map[string]any{"tp-size": nil}, 8, ""},
		{contract.VLLM, map[string]any{"tensor-parallel-size": 4, "data-parallel-size": 2, "enable-expert-parallel": true}, 8, ""},
		{contract.TensorRTLLM, map[string]any{"tp_size": json.Number("8"), "ep_size": "4"}, 8, ""},
		{contract.TensorRTLLM, map[string]any{"tp_size": 4, "pp_size": 2, "ep_size": 8}, 8, "does not divide 4"},
		{contract.TokenSpeed, map[string]any{"data-parallel-size": 8, "ep-size": 8}, 8, ""},
		{contract.TokenSpeed, map[string]any{"tensor-parallel-size": 2.5}, 2, "is no size"},
		{"nobody", nil, 1, "unknown framework"},
	} {
		got := cookbook.Layout(c.fw, c.flags, c.gpus)
		if c.why == "" {
			require.Empty(t, got, "%s %v", c.fw, c.flags)
			continue
		}
		require.Contains(t, got, c.why, "%s %v", c.fw, c.flags)
	}
	for _, fw := range contract.Frameworks {
		require.NotEmpty(t, cookbook.LayoutRule(contract.Framework(fw)))
	}
}
