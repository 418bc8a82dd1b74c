package compare

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// Rules that a comparison enforces. Their texts are package rules' business.
const (
	RuleSameClient    = "fair.same-client"
	RuleSameWorkload  = "fair.same-workload"
	RuleSameSLA       = "fair.same-sla"
	RuleSameModel     = "fair.same-model"
	RuleSamePrecision = "fair.same-precision"
	RuleSameHardware  = "fair.same-hardware"
	RuleSameThreads   = "fair.same-threads"
	RuleSameCache     = "fair.same-cache"
	RuleSameContract  = "fair.same-contract"
	RuleSameCandidate = "fair.same-candidate"
	RuleSameOutput    = "fair.same-output-length"
	RuleInterleaved   = "fair.interleaved"
	RuleReplicates    = "fair.launch-replicates"
	RuleEverySide     = "fair.every-side"
	RuleHoldOut       = "fair.hold-out"
	RuleEqualEffort   = "fair.equal-effort"
	RuleQuietHost     = "fair.quiet-host"
	RuleGenuineEngine = "fair.genuine-engine"
	RuleRealHost      = "evid.real-host"
	RuleSLAFirst      = "fair.sla-first"
	RuleRowStatus     = "fair.row-status"
	RuleNotMeasured   = "evid.not-measured"
)

// Rules lists the ids of the rules that this package enforces.
func Rules() []string {
	return []string{
		RuleSameClient, RuleSameWorkload, RuleSameSLA, RuleSameModel, RuleSamePrecision, RuleSameHardware, RuleSameThreads, RuleSameCache,
		RuleSameContract, RuleSameCandidate, RuleSameOutput, RuleInterleaved, RuleReplicates, RuleEverySide, RuleHoldOut,
		RuleEqualEffort, RuleQuietHost, RuleGenuineEngine, RuleRealHost, RuleSLAFirst, RuleRowStatus, RuleNotMeasured,
	}
}

// extent is over which rows a fact must be equal.
type extent int

const (
	everywhere  extent = iota // all rows of the comparison
	withinBlock               // both sides of each block; blocks may differ
	withinSide                // all rows of one side
)

// fact is one thing that must be equal. get gives "" where a row does not say.
type fact struct {
	rule   string
	field  string
	extent extent
	get    func(*Row) string
}

// unbounded is what null means for rate and concurrency: a statement, not a gap.
const unbounded = "unbounded"

// facts are what must be equal over rows. Where every row comes from a host without GPUs, its CPU stands for them; where
// one does, the mark itself differs.
func facts(rows []*Row) []fact {
	marked := func(r *Row) bool { return r.Mark == contract.NoGPUClaim }
	out := slices.Concat(identityFacts(), workloadFacts(), engineFacts())
	switch {
	case !slices.ContainsFunc(rows, marked):
		return append(out, hardwareFacts()...)
	case !slices.ContainsFunc(rows, func(r *Row) bool { return !marked(r) }):
		return append(out, cpuFacts()...)
	}
	return append(out, fact{RuleSameHardware, "mark", everywhere, func(r *Row) string {
		if marked(r) {
			return r.Mark
		}
		return "none"
	}})
}

func identityFacts() []fact {
	return []fact{
		{RuleSameContract, "contract_digest", everywhere, func(r *Row) string { return r.ContractDigest }},
		{RuleRealHost, "simulated", everywhere, func(r *Row) string { return strconv.FormatBool(r.Simulated) }},
		{RuleSameClient, "client", everywhere, func(r *Row) string { return r.Client }},
		{RuleSameClient, "client_version", everywhere, func(r *Row) string { return r.ClientVersion }},
		{RuleSameModel, "model", everywhere, func(r *Row) string { return r.Model }},
		{RuleSameModel, "weights_revision", everywhere, func(r *Row) string { return r.WeightsRevision }},
		{RuleSameModel, "tokenizer_hash", everywhere, func(r *Row) string { return r.TokenizerHash }},
		{RuleSameCandidate, "framework", withinSide, func(r *Row) string { return string(r.Framework) }},
		{RuleSameCandidate, "framework_version", withinSide, func(r *Row) string { return r.FrameworkVersion }},
		{RuleSameCandidate, "framework_commit", withinSide, func(r *Row) string { return r.FrameworkCommit }},
		{RuleSameCandidate, "candidate_id", withinSide, func(r *Row) string { return r.CandidateID }},
	}
}

func workloadFacts() []fact {
	w := func(field string, extent extent, get func(*Workload) string) fact {
		return fact{RuleSameWorkload, "workload." + field, extent, func(r *Row) string { return get(&r.Workload) }}
	}
	return []fact{
		w("kind", everywhere, func(w *Workload) string { return w.Kind }),
		w("dataset_path", everywhere, func(w *Workload) string { return w.DatasetPath }),
		w("endpoint", everywhere, func(w *Workload) string { return w.Endpoint }),
		w("arrival", everywhere, func(w *Workload) string { return string(w.Arrival) }),
		w("input_len", everywhere, func(w *Workload) string { return number(w.InputLen) }),
		w("output_len", everywhere, func(w *Workload) string { return number(w.OutputLen) }),
		w("num_prompts", everywhere, func(w *Workload) string { return number(w.NumPrompts) }),
		w("request_rate", everywhere, func(w *Workload) string { return bound(w.RequestRate) }),
		w("max_concurrency", everywhere, func(w *Workload) string { return bound(w.MaxConcurrency) }),
		w("temperature", everywhere, func(w *Workload) string { return number(w.Temperature) }),
		w("ignore_eos", everywhere, func(w *Workload) string { return boolean(w.IgnoreEOS) }),
		w("stream", everywhere, func(w *Workload) string { return boolean(w.Stream) }),
		w("input_len_p50", withinBlock, func(w *Workload) string { return number(w.InputLenP50) }),
		w("input_len_p95", withinBlock, func(w *Workload) string { return number(w.InputLenP95) }),
		w("draw_digest", withinBlock, func(w *Workload) string { return w.DrawDigest }),
	}
}

func engineFacts() []fact {
	return []fact{
		{RuleSamePrecision, "precision", everywhere, func(r *Row) string { return r.Precision }},
		{RuleSamePrecision, "quantization", everywhere, func(r *Row) string {
			if r.Quantization != nil && *r.Quantization == "" {
				return "none"
			}
			return text(r.Quantization)
		}},
		{RuleSamePrecision, "memory.kv_cache_dtype", everywhere, func(r *Row) string {
			if r.Memory == nil {
				return ""
			}
			return r.Memory.KVCacheDtype
		}},
		{RuleSamePrecision, "memory.cpu_offload_gb", everywhere, func(r *Row) string {
			if r.Memory == nil {
				return ""
			}
			return number(r.Memory.CPUOffloadGB)
		}},
		{RuleSamePrecision, "spec_decode.enabled", everywhere, func(r *Row) string {
			if r.SpecDecode == nil {
				return ""
			}
			return boolean(r.SpecDecode.Enabled)
		}},
		{RuleSameCache, "cache.prefix_cache_enabled", everywhere, func(r *Row) string {
			if r.Cache == nil {
				return ""
			}
			return boolean(r.Cache.PrefixCacheEnabled)
		}},
	}
}

func hardwareFacts() []fact {
	return []fact{
		{RuleSameHardware, "hardware.gpu_model", everywhere, func(r *Row) string { return r.Hardware.GPUModel }},
		{RuleSameHardware, "hardware.gpu_count", everywhere, func(r *Row) string { return number(r.Hardware.GPUCount) }},
		{RuleSameHardware, "hardware.gpu_memory_mib", everywhere, func(r *Row) string { return number(r.Hardware.GPUMemoryMiB) }},
		{RuleInterleaved, "hardware.host", withinBlock, func(r *Row) string { return r.Hardware.Host }},
		{RuleInterleaved, "hardware.visible_devices", withinBlock, func(r *Row) string { return r.Hardware.VisibleDevices }},
		{RuleInterleaved, "hardware.driver", withinBlock, func(r *Row) string { return r.Hardware.Driver }},
		{RuleInterleaved, "hardware.boot_id", withinBlock, func(r *Row) string { return r.Hardware.BootID }},
	}
}

// cpuFacts are a CPU host's. Threads and the client's cores are equal for every row: they are part of what is measured.
func cpuFacts() []fact {
	return []fact{
		{RuleSameHardware, "hardware.cpu_model", everywhere, func(r *Row) string { return r.Hardware.CPUModel }},
		{RuleSameHardware, "hardware.memory_mib", everywhere, func(r *Row) string { return number(r.Hardware.MemoryMiB) }},
		{RuleSameHardware, "hardware.cores", everywhere, func(r *Row) string { return r.Hardware.Cores }},
		{RuleSameThreads, "hardware.threads", everywhere, func(r *Row) string { return r.Hardware.Threads }},
		{RuleInterleaved, "hardware.client_cores", withinBlock, func(r *Row) string { return r.Hardware.ClientCores }},
		{RuleInterleaved, "hardware.host", withinBlock, func(r *Row) string { return r.Hardware.Host }},
		{RuleInterleaved, "hardware.boot_id", withinBlock, func(r *Row) string { return r.Hardware.BootID }},
	}
}

// slaFacts is one fact for each limit that any row names; naming none is a statement, not a gap.
func slaFacts(rows []*Row) []fact {
	keys := map[string]bool{}
	for _, r := range rows {
		for key := range r.SLA.Limits {
			keys[key] = true
		}
	}
	var out []fact
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		out = append(out, fact{RuleSameSLA, "sla." + key, everywhere, func(r *Row) string {
			if v, ok := r.SLA.Limits[key]; ok {
				return number(&v)
			}
			return "no limit"
		}})
	}
	return out
}

func number[T int | int64 | float64](v *T) string {
	if v == nil {
		return ""
	}
	return strings.TrimSuffix(strconv.FormatFloat(float64(*v), 'g', -1, 64), ".0")
}

func bound[T int | int64 | float64](v *T) string {
	if v == nil {
		return unbounded
	}
	return number(v)
}

func boolean(v *bool) string {
	if v == nil {
		return ""
	}
	return strconv.FormatBool(*v)
}

func text(v *string) string {
	if v == nil {
		return ""
	}
	return *v
}

// place says where a row is, for a person.
func place(r *Row) string {
	out := Printable(r.SideName())
	if r.Block != nil {
		out += fmt.Sprintf(" block %d", *r.Block)
	}
	if r.Line > 0 {
		out += fmt.Sprintf(" (line %d)", r.Line)
	}
	return out
}

// arrivalOf is how a row's requests were offered; foreign rows say it by rate and concurrency alone.
func arrivalOf(w *Workload) (contract.Arrival, error) {
	switch {
	case w.Arrival != "":
		return w.Arrival, nil
	case w.RequestRate != nil && w.MaxConcurrency != nil:
		return "", fmt.Errorf("request_rate %s with max_concurrency %s hides queueing: neither a rate nor a concurrency was measured", number(w.RequestRate), number(w.MaxConcurrency))
	case w.MaxConcurrency != nil:
		return contract.ArrivalClosed, nil
	case w.RequestRate != nil:
		return contract.ArrivalPoisson, nil
	default:
		return contract.ArrivalBurst, nil
	}
}
