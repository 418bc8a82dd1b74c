package bench

import (
	"encoding/json"
	"fmt"
)

// addLogprobs reads the log-probabilities of an event in the shape of its endpoint. They are asked for in equality
// checks only, never while times are measured, so that plain decoding will do.
func (in *reception) addLogprobs() error {
	raw := in.chunk.logprobs
	if in.chunk.whole {
		return in.addMetaLogprobs(raw)
	}
	var shape struct {
		Tokens  []string       `json:"tokens"`
		Values  []*float64     `json:"token_logprobs"`
		Content []TokenLogprob `json:"content"`
	}
	if err := json.Unmarshal(raw, &shape); err != nil {
		return fail(ErrBadEvent, fmt.Errorf("log-probabilities: %w", err))
	}
	in.rec.Logprobs = append(in.rec.Logprobs, shape.Content...)
	for i, value := range shape.Values {
		if i < len(shape.Tokens) && value != nil {
			in.rec.Logprobs = append(in.rec.Logprobs, TokenLogprob{Token: shape.Tokens[i], Logprob: *value})
		}
	}
	return nil
}

// addMetaLogprobs reads /generate's triples (log-probability, id, text or null): everything so far, or increments.
func (in *reception) addMetaLogprobs(raw []byte) error {
	var triples [][]any
	if err := json.Unmarshal(raw, &triples); err != nil {
		return fail(ErrBadEvent, fmt.Errorf("log-probabilities: %w", err))
	}
	if len(triples) == in.chunk.out {
		in.rec.Logprobs = in.rec.Logprobs[:0]
	}
	for _, triple := range triples {
		if len(triple) < 2 {
			continue
		}
		value, ok := triple[0].(float64)
		if !ok {
			continue
		}
		token := fmt.Sprint(triple[1])
		if len(triple) > 2 && triple[2] != nil {
			token = fmt.Sprint(triple[2])
		}
		in.rec.Logprobs = append(in.rec.Logprobs, TokenLogprob{Token: token, Logprob: value})
	}
	return nil
}
