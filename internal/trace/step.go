package trace

import (
	"strconv"
	"strings"
)

// step is what the name of a framework's step annotation says.
type step struct {
	framework string
	mode      string // as the framework spells it
	stage     string // empty for steps that do no work of a stage
	draft     bool   // of a draft model
	unknown   bool   // the mode is not one we know
}

// sglangModes are SGLang's forward modes (sglang/srt/model_executor/forward_batch_info.py).
func sglangMode(mode string) (stage string, known bool) {
	switch mode {
	case "EXTEND", "SPLIT_PREFILL", "DLLM_EXTEND":
		return Prefill, true
	case "DECODE", "TARGET_VERIFY", "DRAFT_EXTEND", "DRAFT_EXTEND_V2":
		return Decode, true
	case "MIXED":
		return Mixed, true
	case "IDLE", "PREBUILT":
		return "", true
	}
	return "", false
}

// parseStep reads a step annotation; nil when the name is none.
func parseStep(name string) *step {
	switch {
	case strings.HasPrefix(name, "step["), strings.HasPrefix(name, "draft step["):
		return parseSGLang(name)
	case strings.HasPrefix(name, "execute_"):
		return parseVLLM(name)
	case strings.HasPrefix(name, "[Executor] _forward_step "):
		return parseTensorRT(name)
	}
	return nil
}

// parseSGLang reads "[draft ]step[MODE bs=N …]"; what follows the mode does not matter.
func parseSGLang(name string) *step {
	name, draft := strings.CutPrefix(name, "draft ")
	body, closed := strings.CutSuffix(strings.TrimPrefix(name, "step["), "]")
	if !closed {
		return nil
	}
	mode, _, _ := strings.Cut(body, " ")
	if mode == "" {
		return nil
	}
	stage, known := sglangMode(mode)
	return &step{
		framework: "sglang", mode: mode, stage: stage, unknown: !known,
		draft: draft || strings.HasPrefix(mode, "DRAFT_"),
	}
}

// parseVLLM reads "execute_context_C(…)_generation_G(…)" and "execute_<tokens>_context_…".
func parseVLLM(name string) *step {
	rest := strings.TrimPrefix(name, "execute_")
	if !strings.HasPrefix(rest, "context_") {
		tokens, after, ok := strings.Cut(rest, "_")
		if _, err := strconv.Atoi(tokens); !ok || err != nil {
			return nil
		}
		rest = after
	}
	rest, ok := strings.CutPrefix(rest, "context_")
	if !ok {
		return nil
	}
	contexts, ok := countBefore(rest, "(")
	if !ok {
		return nil
	}
	_, rest, ok = strings.Cut(rest, "_generation_")
	if !ok {
		return nil
	}
	generations, ok := countBefore(rest, "(")
	if !ok {
		return nil
	}
	return &step{framework: "vllm", mode: name, stage: stageOfCounts(contexts, generations)}
}

// parseTensorRT reads "[Executor] _forward_step N: C ctx reqs[, T ctx tokens], G gen reqs".
func parseTensorRT(name string) *step {
	_, rest, ok := strings.Cut(name, ": ")
	if !ok {
		return nil
	}
	contexts, generations := -1, -1
	for part := range strings.SplitSeq(rest, ", ") {
		count, what, _ := strings.Cut(part, " ")
		n, err := strconv.Atoi(count)
		switch {
		case err != nil || n < 0:
		case what == "ctx reqs":
			contexts = n
		case what == "gen reqs":
			generations = n
		}
	}
	if contexts < 0 || generations < 0 {
		return nil
	}
	return &step{framework: "tensorrt_llm", mode: rest, stage: stageOfCounts(contexts, generations)}
}

// countBefore reads the number that stands before sep.
func countBefore(s, sep string) (int, bool) {
	digits, _, ok := strings.Cut(s, sep)
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n >= 0
}

// stageOfCounts is the stage of a batch with that many requests in prefill and in decode.
func stageOfCounts(contexts, generations int) string {
	switch {
	case contexts > 0 && generations > 0:
		return Mixed
	case contexts > 0:
		return Prefill
	case generations > 0:
		return Decode
	}
	return ""
}
