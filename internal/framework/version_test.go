package framework_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
)

func TestParseVersion(t *testing.T) {
	t.Parallel()
	const commit = "0123456789abcdef0123456789abcdef01234567"
	for text, want := range map[string]framework.Version{
		"0.26.0\n":                         {Version: "0.26.0"},
		"vllm 0.26.0":                      {Version: "0.26.0"},
		"0.5.15.post1\n\n":                 {Version: "0.5.15.post1"},
		"0.5.16rc1":                        {Version: "0.5.16rc1"},
		"0.26.1.dev123+g0a1b2c3d4\n":       {Version: "0.26.1.dev123+g0a1b2c3d4", Commit: "0a1b2c3d4"},
		"0.26.1.dev3+g0a1b2c3d4.cu130":     {Version: "0.26.1.dev3+g0a1b2c3d4.cu130", Commit: "0a1b2c3d4"},
		"0.26.1.dev3+g0a1b2c3d4.d20261123": {Version: "0.26.1.dev3+g0a1b2c3d4.d20261123", Commit: "0a1b2c3d4"},
		"0.26.0+cu129":                     {Version: "0.26.0+cu129"},
		"0.26.0+cpu":                       {Version: "0.26.0+cpu"},
		"WARNING 11-23 17:47:16 [importing.py:65] Triton is installed, but doesn't include CPU backend. Disabling Triton.\n0.26.0+cpu\n":        {Version: "0.26.0+cpu"},
		"INFO 11-23 10:00:00 [importing.py:53] Triton 3.6.0 is installed but 0 active driver(s) found\n0.26.0\n":                                {Version: "0.26.0"},
		"/v/lib/python3.12/site-packages/x.py:52: UserWarning: torch 2.11.0\n  warnings.warn(\n0.5.15\n":                                        {Version: "0.5.15"},
		"0.5.15\n" + `{"url": "https://x/sglang.git", "vcs_info": {"vcs": "git", "requested_revision": "main", "commit_id": "` + commit + `"}}`: {Version: "0.5.15", Commit: commit},
		"0.5.15\n" + `{"dir_info": {"editable": true}, "url": "file:///sgl-workspace/sglang/python"}`:                                           {Version: "0.5.15"},
		"1.2.1\n[TensorRT-LLM] TensorRT LLM version: 1.2.1\n":                                                                                   {Version: "1.2.1"},
	} {
		for _, fw := range framework.All {
			got, err := fw.ParseVersion(text)
			require.NoError(t, err, text)
			require.Equal(t, want.Version, got.Version, text)
			require.Equal(t, want.Commit, got.Commit, text)
			require.NotEmpty(t, got.Raw)
		}
	}
	for _, text := range []string{"", "vllm: command not found", "Traceback (most recent call last):\n", `{"version": "1.2"}`} {
		_, err := adapter(t, contract.VLLM).ParseVersion(text)
		require.Error(t, err, text)
		require.Equal(t, fault.FrameworkFailed, fault.CodeOf(err))
	}
}
