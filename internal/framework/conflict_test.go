package framework_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
)

func TestConflictsThatFrameworksCheckThemselves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		of      contract.Framework
		flags   map[string]any
		context int
		says    string
	}{
		"vllm, tokens below sequences":        {contract.VLLM, map[string]any{"max-num-batched-tokens": 512.0, "max_num_seqs": 1024.0}, 0, "max-num-batched-tokens 512 is below max-num-seqs 1024"},
		"vllm, as many":                       {contract.VLLM, map[string]any{"max-num-batched-tokens": 1024.0, "max-num-seqs": 1024.0}, 0, ""},
		"vllm, sequences alone":               {contract.VLLM, map[string]any{"max-num-seqs": 1024.0}, 4096, ""},
		"vllm, not chunked, context too long": {contract.VLLM, map[string]any{"max-num-batched-tokens": "2048", "enable-chunked-prefill": false}, 4096, "prefill is not chunked"},
		"vllm, chunked":                       {contract.VLLM, map[string]any{"max-num-batched-tokens": 2048.0, "enable-chunked-prefill": true}, 4096, ""},
		"sglang, half a page":                 {contract.SGLang, map[string]any{"chunked-prefill-size": 2000.0, "page-size": 64.0}, 0, "no whole number of pages of 64"},
		"sglang, whole pages":                 {contract.SGLang, map[string]any{"chunked-prefill-size": 2048.0, "page-size": 64.0}, 0, ""},
		"sglang, chunking off":                {contract.SGLang, map[string]any{"chunked-prefill-size": -1.0, "page-size": 64.0}, 0, ""},
		"another framework":                   {contract.TokenSpeed, map[string]any{"max-num-batched-tokens": 512.0, "max-num-seqs": 1024.0}, 0, ""},
	} {
		got := framework.Conflict(c.of, c.flags, c.context)
		if c.says == "" {
			require.Empty(t, got, name)
		} else {
			require.Contains(t, got, c.says, name)
		}
	}
}

func TestWhatCannotComeUpIsKnownBefore(t *testing.T) {
	t.Parallel()
	four := &contract.Contract{Host: contract.Host{GPUs: []int{0, 1, 2, 3}, GPUMemory: 81920}, Model: contract.Model{Bytes: 140 << 30}}
	for name, c := range map[string]struct {
		flags map[string]any
		says  string
	}{
		"nothing said: all GPUs":      {map[string]any{}, ""},
		"two replicas of two":         {map[string]any{"tp-size": 2.0, "dp-size": 2.0}, ""},
		"two replicas of four":        {map[string]any{"tp-size": 4.0, "dp-size": 2.0}, "the layout needs 8 GPUs, the contract has 4"},
		"a flag that null removes":    {map[string]any{"tp-size": 4.0, "dp-size": nil}, ""},
		"weights on one GPU":          {map[string]any{"tp-size": 1.0}, "the weights take 140 GiB of each GPU, which has 80"},
		"weights in four replicas":    {map[string]any{"dp-size": 4.0}, "the weights take 140 GiB"},
		"weights over a pipeline":     {map[string]any{"pp-size": 2.0}, ""},
		"what the framework refuses":  {map[string]any{"chunked-prefill-size": 100.0, "page-size": 64.0}, "pages of 64"},
		"in the framework's spelling": {map[string]any{"tensor_parallel_size": 8.0}, "needs 8 GPUs"},
	} {
		got := framework.Unfit(adapter(t, contract.SGLang), c.flags, four)
		if c.says == "" {
			require.Empty(t, got, name)
		} else {
			require.Contains(t, got, c.says, name)
		}
	}
	require.Empty(t, framework.Unfit(adapter(t, contract.SGLang), map[string]any{"tp-size": 1.0}, &contract.Contract{}), "what was not recorded is not judged")
}
