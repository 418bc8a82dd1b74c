package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// foreignObject is one run as a foreign client wrote it. Fields are read by name, so that releases may add others.
type foreignObject map[string]json.RawMessage

// foreignObjects reads JSON objects, one after the other, as Python writes them.
func foreignObjects(raw []byte) ([]foreignObject, error) {
	d := json.NewDecoder(bytes.NewReader(finiteJSON(raw)))
	var out []foreignObject
	for {
		var o foreignObject
		switch err := d.Decode(&o); {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return out, err
		}
		out = append(out, o)
	}
}

// finiteJSON replaces NaN, Infinity and -Infinity outside of strings by null: Python's json writes them, JSON has none.
func finiteJSON(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] == '"' {
			end := stringEnd(raw, i)
			out = append(out, raw[i:end]...)
			i = end
			continue
		}
		word := 0
		for _, w := range []string{"-Infinity", "Infinity", "NaN"} {
			if bytes.HasPrefix(raw[i:], []byte(w)) {
				word = len(w)
				break
			}
		}
		if word > 0 {
			out, i = append(out, "null"...), i+word
			continue
		}
		out, i = append(out, raw[i]), i+1
	}
	return out
}

// stringEnd is the index behind the string that begins at i.
func stringEnd(raw []byte, i int) int {
	for i++; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(raw)
}

// client tells the two apart by a field that only one of them has.
func (o foreignObject) client() (ForeignClient, error) {
	_, sglang := o["total_output_tokens_retokenized"]
	_, vllm := o["model_id"]
	switch {
	case sglang && !vllm:
		return ForeignSGLang, nil
	case vllm && !sglang:
		return ForeignVLLM, nil
	}
	return "", fmt.Errorf("neither %s (total_output_tokens_retokenized) nor %s (model_id) wrote this", ForeignSGLang, ForeignVLLM)
}

// number reads a field that has to be a number that is not negative.
func (o foreignObject) number(name string) (float64, error) {
	var v *float64
	if err := json.Unmarshal(o[name], &v); err != nil || v == nil || *v < 0 || math.IsInf(*v, 0) {
		return 0, fmt.Errorf("%s: %.40q is no number", name, o[name])
	}
	return *v, nil
}

// optional reads a number if there is one.
func (o foreignObject) optional(name string) *float64 {
	var v *float64
	if json.Unmarshal(o[name], &v) != nil {
		return nil // a string such as "inf" is no number
	}
	return v
}

// run makes the run of an object.
func (o foreignObject) run() (*ForeignRun, error) {
	client, err := o.client()
	if err != nil {
		return nil, err
	}
	r := &ForeignRun{Client: client, RequestRate: o.optional("request_rate"), Metrics: Metrics{}}
	_ = json.Unmarshal(o["model_id"], &r.Model) // SGLang's client has none
	var whole [3]float64
	for i, name := range []string{"completed", "total_input_tokens", "total_output_tokens"} {
		if whole[i], err = o.number(name); err != nil {
			return nil, err
		}
		if whole[i] != math.Trunc(whole[i]) || whole[i] > 1<<53 {
			return nil, fmt.Errorf("%s: %v is no count", name, whole[i])
		}
	}
	r.Completed, r.InputTokens, r.OutputTokens = int(whole[0]), int(whole[1]), int(whole[2])
	if r.DurationS, err = o.number("duration"); err != nil {
		return nil, err
	}
	if r.DurationS <= 0 {
		return nil, fmt.Errorf("duration: %v s", r.DurationS)
	}
	if slots := o.optional("max_concurrency"); slots != nil && *slots >= 1 && *slots < 1<<31 {
		n := int(*slots)
		r.MaxConcurrency = &n
	}
	if err := o.details(r); err != nil {
		return nil, err
	}
	if failed := o.optional("failed"); failed != nil && *failed >= 0 && *failed < 1<<53 {
		r.Failed = int(*failed)
	}
	if err := o.metrics(r); err != nil {
		return nil, err
	}
	return r, r.check()
}

// metrics gives the client's figures the names of our rows.
func (o foreignObject) metrics(r *ForeignRun) error {
	for ours, theirs := range map[string]string{"request_throughput": "request_throughput", "output_token_throughput": "output_throughput"} {
		v, err := o.number(theirs)
		if err != nil {
			return err
		}
		r.Metrics.set(ours, v)
	}
	for _, name := range []string{"total_token_throughput", "total_throughput"} {
		if v := o.optional(name); v != nil {
			r.Metrics.set("total_token_throughput", *v)
		}
	}
	for ours, theirs := range map[string]string{"mean": "mean", "p50": "median", "p95": "p95", "p99": "p99"} {
		for latency, name := range map[string]string{"ttft_ms": "ttft_ms", "tpot_ms": "tpot_ms", "icl_ms": "itl_ms", "e2e_ms": "e2e_latency_ms"} {
			if v := o.optional(theirs + "_" + name); v != nil {
				r.Metrics.set(ours+"_"+latency, *v)
			}
		}
		if v := o.optional(theirs + "_e2el_ms"); v != nil { // vLLM's name
			r.Metrics.set(ours+"_e2e_ms", *v)
		}
	}
	offered := r.Completed + r.Failed
	r.Metrics.set("requests_offered", float64(offered))
	r.Metrics.set("requests_ok", float64(r.Completed))
	r.Metrics.ratio("success_rate", float64(r.Completed), float64(offered))
	r.Metrics.ratio("mean_input_tokens", float64(r.InputTokens), float64(r.Completed))
	r.Metrics.ratio("mean_output_tokens", float64(r.OutputTokens), float64(r.Completed))
	return nil
}

// details reads what was kept of each request, if anything.
func (o foreignObject) details(r *ForeignRun) error {
	if o["ttfts"] == nil {
		return nil
	}
	var ttfts []float64
	var itls [][]float64
	var out []int
	var texts, failures []string
	for name, into := range map[string]any{"ttfts": &ttfts, "itls": &itls, "output_lens": &out, "generated_texts": &texts, "errors": &failures} {
		if o[name] == nil {
			return fmt.Errorf("%s: missing beside ttfts", name)
		}
		if err := json.Unmarshal(o[name], into); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if n := len(ttfts); len(itls) != n || len(out) != n || len(texts) != n || len(failures) != n {
		return fmt.Errorf("%w: %d ttfts, %d itls, %d output_lens, %d generated_texts, %d errors", errForeign, n, len(itls), len(out), len(texts), len(failures))
	}
	for i := range ttfts {
		q := ForeignRequest{TTFT: seconds(ttfts[i]), Out: out[i], Text: texts[i], Failed: failures[i] != ""}
		for _, gap := range itls[i] {
			q.Gaps = append(q.Gaps, seconds(gap))
		}
		if q.Failed {
			r.Failed++
		}
		r.Requests = append(r.Requests, q)
	}
	return nil
}

func seconds(s float64) time.Duration { return time.Duration(math.Round(min(s, 1e9) * 1e9)) }
