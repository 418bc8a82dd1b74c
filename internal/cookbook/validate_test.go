package cookbook_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/cookbook"
)

const file = "models/qwen3-235b-a22b.json"

// edited is an entry after an edit of its JSON.
func edited(t *testing.T, edit func(e map[string]any)) (cookbook.Entry, error) {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var e map[string]any
	require.NoError(t, json.Unmarshal(raw, &e))
	edit(e)
	raw, err = json.Marshal(e)
	require.NoError(t, err)
	return cookbook.Parse(file, raw)
}

// within gives an object below another by its path.
func within(e map[string]any, keys ...string) map[string]any {
	for _, k := range keys {
		e = e[k].(map[string]any)
	}
	return e
}

// knob gives the first knob of a side's family.
func knob(e map[string]any, fw string, family int) map[string]any {
	return within(e, "frameworks", fw)["families"].([]any)[family].(map[string]any)["knobs"].([]any)[0].(map[string]any)
}

func TestWhatIsWrongIsNamedByFileAndField(t *testing.T) {
	t.Parallel()
	all := helps(t)
	base := func(e map[string]any, fw string) map[string]any { return within(e, "frameworks", fw, "base") }
	checkpoint := func(e map[string]any) map[string]any { return e["checkpoints"].([]any)[0].(map[string]any) }
	for name, c := range map[string]struct {
		edit        func(e map[string]any)
		field, what string
	}{
		"unknown flag":              {func(e map[string]any) { base(e, "sglang")["tensor-parallel-sizes"] = 8 }, "frameworks.sglang.base.tensor-parallel-sizes", "like it: tensor-parallel-size"},
		"another framework's flag":  {func(e map[string]any) { base(e, "vllm")["mem-fraction-static"] = 0.8 }, "frameworks.vllm.base.mem-fraction-static", "no flag of vllm's help"},
		"a bench flag":              {func(e map[string]any) { base(e, "vllm")["request-rate"] = 1 }, "frameworks.vllm.base.request-rate", "no flag"},
		"value of another type":     {func(e map[string]any) { knob(e, "vllm", 0)["values"] = []any{"many"} }, "frameworks.vllm.families.batching.max-num-seqs", "takes a whole number"},
		"value that is no choice":   {func(e map[string]any) { base(e, "sglang")["schedule-policy"] = "fastest" }, "frameworks.sglang.base.schedule-policy", "not one of its choices"},
		"a switch with a number":    {func(e map[string]any) { base(e, "vllm")["enable-prefix-caching"] = 1 }, "frameworks.vllm.base.enable-prefix-caching", "is a switch"},
		"a switch off without one":  {func(e map[string]any) { base(e, "tokenspeed")["enable-prefix-caching"] = false }, "frameworks.tokenspeed.base.enable-prefix-caching", "false says nothing"},
		"contract flag in the base": {func(e map[string]any) { base(e, "sglang")["kv-cache-dtype"] = "fp8_e4m3" }, "frameworks.sglang.base.kv-cache-dtype", "is a contract flag"},
		"host flag":                 {func(e map[string]any) { base(e, "tokenspeed")["port"] = 1 }, "frameworks.tokenspeed.base.port", "is a host flag"},
		"pinned flag searched":      {func(e map[string]any) { knob(e, "sglang", 1)["flag"] = "mem-fraction-static" }, "frameworks.sglang.families.chunking.mem-fraction-static", "is a pinned flag"},
		"deprecated":                {func(e map[string]any) { base(e, "sglang")["nsa-decode-backend"] = "fa3" }, "frameworks.sglang.base.nsa-decode-backend", "is deprecated"},
		"the same flag twice":       {func(e map[string]any) { base(e, "sglang")["tp-size"] = 8 }, "frameworks.sglang.base.tp-size", "same flag as tensor-parallel-size"},
		"more than the GPUs":        {func(e map[string]any) { base(e, "tensorrt_llm")["pp_size"] = 2 }, "frameworks.tensorrt_llm.base", "not the 8 GPUs"},
		"fewer than the GPUs":       {func(e map[string]any) { base(e, "tokenspeed")["tensor-parallel-size"] = 4 }, "frameworks.tokenspeed.base", "not the 8 GPUs"},
		"experts over too many":     {func(e map[string]any) { knob(e, "sglang", 3)["values"] = []any{16} }, "frameworks.sglang.families.experts.expert-parallel-size", "does not divide 8"},
		"only the base's value":     {func(e map[string]any) { knob(e, "sglang", 0)["values"] = []any{"fa3"} }, "frameworks.sglang.families.attention.prefill-attention-backend", "only value is the base's"},
		"base's value not listed":   {func(e map[string]any) { knob(e, "sglang", 0)["values"] = []any{"flashinfer", "triton"} }, "frameworks.sglang.families.attention.prefill-attention-backend", "not among its values"},
		"a value twice":             {func(e map[string]any) { knob(e, "vllm", 0)["values"] = []any{32, 32.0} }, "frameworks.vllm.families.batching.max-num-seqs", "there twice"},
		"no values":                 {func(e map[string]any) { knob(e, "vllm", 0)["values"] = []any{} }, "frameworks.vllm.families.batching.max-num-seqs", "no values"},
		"a knob twice":              {func(e map[string]any) { knob(e, "vllm", 1)["flag"] = "max-num-seqs" }, "frameworks.vllm.families.chunking.max-num-seqs", "searched twice"},
		"a cure nobody knows": {func(e map[string]any) {
			within(e, "frameworks", "vllm")["families"].([]any)[0].(map[string]any)["cures"] = []any{"slowness"}
		}, "frameworks.vllm.families.batching", "cures of"},
		"KV type as a term": {func(e map[string]any) {
			within(e, "frameworks", "vllm")["terms"] = map[string]any{"kv-cache-dtype": "fp8"}
		}, "frameworks.vllm.terms.kv-cache-dtype", "equal for every framework"},
		"KV type one cannot take":   {func(e map[string]any) { e["kv_dtype"] = "fp8_e4m3" }, "frameworks.tensorrt_llm.contract.kv_cache_dtype", "no flag"},
		"a parser nobody has":       {func(e map[string]any) { within(e, "frameworks", "sglang", "parsers")["tool"] = "hermes9" }, "frameworks.sglang.contract.tool-call-parser", "not one of its choices"},
		"context of the request":    {func(e map[string]any) { e["max_context"] = 9000 }, "max_context", "9002"},
		"context beyond the model":  {func(e map[string]any) { e["max_context"] = 65536 }, "model_context", "less than max_context"},
		"weights beyond the GPU":    {func(e map[string]any) { checkpoint(e)["parameters"] = 320e9 }, "gpu_memory_gib", "more than 90 %"},
		"weights beyond a fraction": {func(e map[string]any) { base(e, "sglang")["mem-fraction-static"] = 0.6 }, "frameworks.sglang.base", "less than the 54.7 GiB"},
		"precision nobody knows":    {func(e map[string]any) { checkpoint(e)["precision"] = "fp7" }, "checkpoints[0].precision", "none of"},
		"a count without a source":  {func(e map[string]any) { checkpoint(e)["source"] = "" }, "checkpoints[0].parameters", "where it was read"},
		"an id without a maker":     {func(e map[string]any) { checkpoint(e)["id"] = "Qwen3" }, "checkpoints[0].id", "organisation/name"},
		"another file's id":         {func(e map[string]any) { e["id"] = "qwen" }, "id", "not the file's name"},
		"a name in upper case":      {func(e map[string]any) { e["names"] = []any{"Qwen3"} }, "names[0]", "lower case"},
		"no GPUs":                   {func(e map[string]any) { e["gpus"] = 0 }, "gpus", "must be given"},
		"a framework left out":      {func(e map[string]any) { delete(within(e, "frameworks"), "tokenspeed") }, "frameworks.tokenspeed", "is missing"},
		"a framework of nobody's":   {func(e map[string]any) { within(e, "frameworks")["llamacpp"] = map[string]any{"state": "documented"} }, "frameworks.llamacpp", "is no framework"},
		"unsupported, no reason":    {func(e map[string]any) { within(e, "frameworks")["vllm"] = map[string]any{"state": "unsupported"} }, "frameworks.vllm.reason", "needs a reason"},
		"unsupported with flags": {func(e map[string]any) {
			s := within(e, "frameworks", "vllm")
			s["state"], s["reason"] = "unsupported", "x"
		}, "frameworks.vllm.base", "has no flags"},
		"run without evidence": {func(e map[string]any) { within(e, "frameworks", "vllm")["state"] = "run" }, "frameworks.vllm.evidence", "campaign"},
		"a state of nobody's":  {func(e map[string]any) { within(e, "frameworks", "vllm")["state"] = "fast" }, "frameworks.vllm.state", "none of run"},
		"two hosts":            {func(e map[string]any) { e["hosts"] = 2 }, "frameworks.vllm.state", "2 hosts"},
		"nothing to search":    {func(e map[string]any) { within(e, "frameworks", "vllm")["families"] = []any{} }, "frameworks.vllm.families", "nothing to search"},
		"a bad limit":          {func(e map[string]any) { within(e, "sla")["max_ttft_ms"] = 1 }, "sla", "max_ttft_ms"},
		"no limits":            {func(e map[string]any) { e["sla"] = map[string]any{} }, "sla", "needs valid limits"},
		"rates upside down":    {func(e map[string]any) { within(e, "rate")["upper"] = 0.1 }, "rate", "lower < upper"},
		"a level twice":        {func(e map[string]any) { e["concurrency"] = []any{8, 8} }, "concurrency", "chat-c8 is there twice"},
		"no slots":             {func(e map[string]any) { e["concurrency"] = []any{0} }, "shapes", "max_concurrency"},
		"no load":              {func(e map[string]any) { e["concurrency"] = []any{} }, "shapes", "load level"},
		"a note of no kind":    {func(e map[string]any) { e["notes"] = []any{map[string]any{"kind": "joke", "text": "x"}} }, "notes[0]", "needs a text"},
	} {
		e, err := edited(t, c.edit)
		require.NoError(t, err, name)
		var said []string
		for _, p := range e.Validate(all) {
			require.Equal(t, file, p.File)
			said = append(said, p.Error())
		}
		require.Condition(t, func() bool {
			for _, s := range said {
				if strings.HasPrefix(s, file+": "+c.field+": ") && strings.Contains(s, c.what) {
					return true
				}
			}
			return false
		}, "%s: %v", name, said)
	}
	untouched, err := edited(t, func(map[string]any) {})
	require.NoError(t, err)
	require.Empty(t, untouched.Validate(all))
	require.NotEmpty(t, untouched.Validate(nil), "without a help nothing is checked, and that is said")
}

func TestTwoEntriesMustBeToldApart(t *testing.T) {
	t.Parallel()
	one, err := edited(t, func(map[string]any) {})
	require.NoError(t, err)
	b := cookbook.Book{Entries: []cookbook.Entry{one, one}}
	require.Contains(t, b.Validate(helps(t))[0].Error(), "is models/qwen3-235b-a22b.json's, too")
	other, err := edited(t, func(e map[string]any) { e["id"], e["names"] = "qwen", []any{"qwen3"} })
	require.NoError(t, err)
	b = cookbook.Book{Entries: []cookbook.Entry{other, one}}
	var said []string
	for _, p := range b.Validate(helps(t)) {
		said = append(said, p.Error())
	}
	require.Contains(t, strings.Join(said, "\n"), `is found in "qwen"`)
}

func TestParseRefusesWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for raw, says := range map[string]string{
		``: "EOF", `[]`: "cannot unmarshal", `{}`: `kind ""`, `{"kind":"sotaloop.cookbook","v":2}`: "version 2", `{"kind":"sotaloop.contract","v":1}`: "sotaloop.contract",
		`{"kind":"sotaloop.cookbook","v":1,"gpu":8}`: `unknown field "gpu"`, `{"kind":"sotaloop.cookbook","v":1} {}`: "something follows",
	} {
		_, err := cookbook.Parse("models/x.json", []byte(raw))
		require.ErrorContains(t, err, says, raw)
		require.ErrorContains(t, err, "models/x.json", raw)
	}
}
