package framework_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// TestClassesGolden is the list to read: every flag of the real help texts with its class, kind and role.
func TestClassesGolden(t *testing.T) {
	t.Parallel()
	for _, h := range helps {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			fw := adapter(t, h.of)
			byClass := map[framework.FlagClass][]string{}
			for _, f := range helpOf(t, h.name, h.of).Flags {
				line := strings.TrimLeft(f.Name, "-") + " " + f.Kind
				if role := fw.Role(f.Name); role != "" {
					line += " role=" + role
				}
				c := fw.Class(f)
				byClass[c] = append(byClass[c], line)
			}
			var b strings.Builder
			for _, c := range slices.Sorted(maps.Keys(byClass)) {
				slices.Sort(byClass[c])
				fmt.Fprintf(&b, "## %s\n%s\n\n", c, strings.Join(byClass[c], "\n"))
			}
			golden(t, "class/"+h.name+".txt", []byte(b.String()))
		})
	}
}

// classes lists what must have a class, by framework; "?" marks flags that the captured build does not have.
var classes = map[contract.Framework]map[framework.FlagClass]string{
	contract.SGLang: {
		framework.ClassSearch: `prefill-attention-backend decode-attention-backend attention-backend chunked-prefill-size max-running-requests ep-size
			max-prefill-tokens max-total-tokens schedule-conservativeness cuda-graph-max-bs cuda-graph-bs disable-cuda-graph page-size tp-size dp-size
			pp-size moe-runner-backend enable-symm-mem disable-radix-cache num-continuous-decode-steps enable-mixed-chunk enable-torch-compile
			disable-overlap-schedule enable-dp-attention cuda-graph-max-bs-decode ?enable-nsa-prefill-foo`,
		framework.ClassPinned: `mem-fraction-static schedule-policy`,
		framework.ClassContract: `model-path trust-remote-code dtype quantization kv-cache-dtype context-length json-model-override-args
			speculative-algorithm speculative-num-steps tokenizer-path load-format random-seed enable-fp32-lm-head enable-lora reasoning-parser
			tool-call-parser model-loader-extra-config ep-dispatch-algorithm ?speculative-new-thing ?enable-fp8-everything ?lora-thing`,
		framework.ClassHost: `host port api-key log-level nccl-port dist-init-addr enable-metrics decode-log-interval file-storage-path
			base-gpu-id nnodes ?new-metrics-port ?bind-address`,
		framework.ClassForbidden: `config chat-template custom-weight-loader forward-hooks enable-custom-logit-processor lmcache-config-file
			hicache-storage-backend debug-tensor-dump-input-file delete-ckpt-after-loading warmups ?some-plugin-path ?hook-module`,
	},
	contract.VLLM: {
		framework.ClassSearch: `max-num-seqs max-num-batched-tokens enable-chunked-prefill enable-prefix-caching tensor-parallel-size
			pipeline-parallel-size data-parallel-size enable-expert-parallel attention-backend block-size compilation-config
			cudagraph-capture-sizes max-cudagraph-capture-size enforce-eager async-scheduling long-prefill-token-threshold all2all-backend
			?max-seq-len-to-capture ?cuda-graph-sizes`,
		framework.ClassPinned: `gpu-memory-utilization kv-cache-memory-bytes num-gpu-blocks-override`,
		framework.ClassContract: `max-model-len dtype quantization kv-cache-dtype speculative-config hf-overrides trust-remote-code seed revision
			tokenizer-mode load-format enable-lora reasoning-parser tool-call-parser calculate-kv-scales spec-tokens ?speculative-model`,
		framework.ClassHost: `host port uds api-key hf-token root-path profiler-config download-dir node-rank disable-log-stats stream-interval
			api-server-count otlp-traces-endpoint ?dotted-log-port`,
		framework.ClassForbidden: `middleware tool-parser-plugin logits-processors config chat-template worker-cls worker-extension-cls
			scheduler-cls kv-transfer-config lora-modules allowed-local-media-path distributed-executor-backend model-class-overrides
			log-config-file ?kv-transfer-config.kv_connector_module_path ?new-connector ?any-script-path`,
	},
	contract.TensorRTLLM: {
		framework.ClassSearch:    `max_batch_size max_num_tokens tp_size pp_size ep_size enable_chunked_prefill num_postprocess_workers`,
		framework.ClassPinned:    `kv_cache_free_gpu_memory_fraction free_gpu_memory_fraction`,
		framework.ClassContract:  `backend max_seq_len trust_remote_code tokenizer revision ?kv_cache_dtype`,
		framework.ClassHost:      `host port log_level metadata_server_config_file`,
		framework.ClassForbidden: `config extra_llm_api_options custom_module_dirs chat_template custom_tokenizer`,
	},
	contract.TokenSpeed: {
		framework.ClassSearch: `max-num-seqs chunked-prefill-size attention-backend tensor-parallel-size moe-backend enforce-eager
			enable-prefix-caching max-cudagraph-capture-size cudagraph-capture-sizes block-size expert-parallel-size sampling-backend`,
		framework.ClassPinned: `gpu-memory-utilization`,
		framework.ClassContract: `model max-model-len dtype quantization kv-cache-dtype speculative-config hf-overrides seed trust-remote-code
			numerics skip-softmax-threshold moe-combine-order`,
		framework.ClassHost:      `host port app-key log-level world-size dist-init-addr rl-control-port ?prometheus-port`,
		framework.ClassForbidden: `ext-yaml model-update-sdk-module kvstore-storage-backend init-expert-location ?config`,
	},
}

func TestClasses(t *testing.T) {
	t.Parallel()
	for _, h := range helps {
		fw, help := adapter(t, h.of), helpOf(t, h.name, h.of)
		for class, names := range classes[h.of] {
			for _, name := range strings.Fields(names) {
				f, ok := help.Find(name)
				if unknown, missing := strings.CutPrefix(name, "?"); missing {
					f = framework.Flag{Name: "--" + unknown, Kind: framework.KindString}
					if class == framework.ClassSearch {
						f.Kind = framework.KindInt
					}
				} else {
					require.True(t, ok, "%s has no %s", h.name, name)
				}
				require.Equal(t, class, fw.Class(f), "%s --%s", h.of, name)
			}
		}
	}
}

// TestSwitchesAreClassedByWords shows that a new flag is no knob only because its value is harmless to parse.
func TestSwitchesAreClassedByWords(t *testing.T) {
	t.Parallel()
	for _, fw := range framework.All {
		for name, want := range map[string]framework.FlagClass{
			"--enable-fp8-attention": framework.ClassContract, "--speculative-tree-depth": framework.ClassContract, "--metrics-port": framework.ClassHost,
			"--enable-tracing": framework.ClassHost, "--new-batch-limit": framework.ClassSearch, "--enable-fast-path-kernel": framework.ClassSearch,
		} {
			for _, kind := range []string{framework.KindBool, framework.KindInt, framework.KindEnum} {
				require.Equal(t, want, fw.Class(framework.Flag{Name: name, Kind: kind}), "%s %s %s", fw.Type(), name, kind)
			}
		}
		for _, kind := range []string{framework.KindString, framework.KindJSON, framework.KindList} {
			require.Equal(t, framework.ClassUnlisted, fw.Class(framework.Flag{Name: "--new-thing", Kind: kind}), "%s %s", fw.Type(), kind)
			require.Equal(t, framework.ClassForbidden, fw.Class(framework.Flag{Name: "--new-thing-path", Kind: kind}), "%s %s", fw.Type(), kind)
		}
	}
}

// TestNoAliasHidesAClass judges a flag by the worst of its names.
func TestNoAliasHidesAClass(t *testing.T) {
	t.Parallel()
	fw := adapter(t, contract.TensorRTLLM)
	require.Equal(t, framework.ClassForbidden, fw.Class(framework.Flag{Name: "--max_batch_size", Aliases: []string{"--config"}, Kind: framework.KindInt}))
}

func TestRoles(t *testing.T) {
	t.Parallel()
	for of, roles := range map[contract.Framework]map[string]string{
		contract.SGLang:      {"tp-size": "tp", "tensor_parallel_size": "tp", "--dp": "dp", "pp_size": "pp", "ep": "ep", "context-length": "context", "page-size": ""},
		contract.VLLM:        {"-tp": "tp", "tp": "tp", "dp": "dp", "pipeline_parallel_size": "pp", "max-model-len": "context", "enable-expert-parallel": ""},
		contract.TensorRTLLM: {"tp_size": "tp", "tensor_parallel_size": "tp", "moe_expert_parallel_size": "ep", "backend": "backend", "max_seq_len": "context"},
		contract.TokenSpeed:  {"tp": "tp", "attn-tp-size": "tp", "ep-size": "ep", "max-model-len": "context", "data-parallel-size": "dp"},
	} {
		fw := adapter(t, of)
		for name, role := range roles {
			require.Equal(t, role, fw.Role(name), "%s %s", of, name)
		}
	}
}
