package sim

import (
	"encoding/json"
	"net/http"
)

func (e *engine) chat(w http.ResponseWriter, r *http.Request) {
	var body openAIBody
	err := readBody(r, &body)
	var ids []int
	if err == nil {
		ids, err = e.chatIDs(body.Messages)
	}
	if err != nil {
		e.refuseError(w, err)
		return
	}
	p := &reply{e: e, body: &body, object: "chat.completion", tops: -1}
	if body.Stream {
		p.object = "chat.completion.chunk"
	}
	if on := false; len(body.Logprobs) > 0 && json.Unmarshal(body.Logprobs, &on) == nil && on {
		p.tops = body.TopLogprobs
	}
	p.first = map[string]any{"index": 0, "delta": map[string]any{"role": "assistant", "content": ""}, "logprobs": nil, "finish_reason": nil}
	p.choice = func(tokens []token, finish *string) any {
		return map[string]any{"index": 0, "delta": map[string]any{"content": decode(idsOf(tokens))}, "logprobs": p.chatLogprobs(tokens), "finish_reason": finish}
	}
	p.whole = func(tokens []token, finish *string) any {
		return map[string]any{"index": 0, "message": map[string]any{"role": "assistant", "content": decode(idsOf(tokens)), "tool_calls": nil},
			"logprobs": p.chatLogprobs(tokens), "finish_reason": finish}
	}
	limit := min(e.set.contextLen-len(ids), 2048) // a chat without a limit goes on to the context's end; kept finite
	if body.MaxTokens != nil {
		limit = *body.MaxTokens
	}
	if body.MaxCompletion != nil {
		limit = *body.MaxCompletion
	}
	p.run(w, r, ids, limit)
}

func (p *reply) chatLogprobs(tokens []token) any {
	if p.tops < 0 {
		return nil
	}
	entry := func(id int, logprob float64) map[string]any {
		word := " " + wordOf(id)
		bytes := []int{}
		for _, c := range []byte(word) {
			bytes = append(bytes, int(c))
		}
		return map[string]any{"token": word, "logprob": logprob, "bytes": bytes}
	}
	content := []map[string]any{}
	for _, t := range tokens {
		one := entry(t.id, t.logprob)
		tops := []map[string]any{}
		for i, id := range t.altIDs {
			tops = append(tops, entry(id, t.altLogs[i]))
		}
		one["top_logprobs"] = tops
		content = append(content, one)
	}
	return map[string]any{"content": content}
}
