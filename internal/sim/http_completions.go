package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// usage is the token counts of a response.
type usage struct {
	Prompt     int          `json:"prompt_tokens"`
	Completion int          `json:"completion_tokens"`
	Total      int          `json:"total_tokens"`
	Details    *usageCached `json:"prompt_tokens_details"`
}

type usageCached struct {
	Cached int `json:"cached_tokens"`
}

func (e *engine) usageOf(r *request, produced int) *usage {
	u := &usage{Prompt: len(r.prompt), Completion: produced, Total: len(r.prompt) + produced}
	if e.set.cacheReport {
		u.Details = &usageCached{r.cached}
	}
	return u
}

// reply is one OpenAI-style answer in the making; its two makers differ in the shape of choices.
type reply struct {
	e       *engine
	body    *openAIBody
	req     *request
	id      string
	object  string
	created int64
	name    string
	choice  func(tokens []token, finish *string) any // of a stream's chunk
	whole   func(tokens []token, finish *string) any // of a complete answer
	first   any                                      // a chunk sent before any token (chat's role)
	tops    int                                      // alternatives asked for; -1 no log probabilities
}

func (e *engine) completions(w http.ResponseWriter, r *http.Request) {
	var body openAIBody
	err := readBody(r, &body)
	var ids []int
	if err == nil {
		ids, err = e.promptIDs(body.Prompt)
	}
	if err != nil {
		e.refuseError(w, err)
		return
	}
	p := &reply{e: e, body: &body, object: "text_completion", tops: -1}
	if n := 0; len(body.Logprobs) > 0 && json.Unmarshal(body.Logprobs, &n) == nil {
		p.tops = n
	}
	p.choice = func(tokens []token, finish *string) any { return p.textChoice(tokens, finish) }
	p.whole = p.choice
	limit := 16
	if body.MaxTokens != nil {
		limit = *body.MaxTokens
	}
	p.run(w, r, ids, limit)
}

// run submits the request and writes the answer.
func (p *reply) run(w http.ResponseWriter, r *http.Request, ids []int, limit int) {
	e := p.e
	s, err := p.body.sampling()
	if err == nil {
		err = p.nameModel()
	}
	if p.tops > 20 {
		err = bad("Requested sample logprobs of %d, which is greater than max allowed: 20", p.tops)
	}
	if err == nil {
		p.req, err = e.admitRequest(r.Context(), ids, limit, s, p.body.StopTokenIDs)
	}
	if err != nil {
		e.refuseError(w, err)
		return
	}
	p.created = time.Now().Unix()
	p.id = fmt.Sprintf("%s%032x", map[string]string{"vllm": "cmpl-", "tensorrt_llm": "cmpl-"}[e.id], mix(e.seed, uint64(e.answer.Load())))
	if p.body.Stream {
		p.stream(w)
		return
	}
	p.complete(w)
}

// nameModel checks the model's name where the engine does: vLLM. The others answer to any.
func (p *reply) nameModel() error {
	served := p.e.set.served
	p.name = p.body.Model
	if p.name == "" {
		p.name = served[0]
	}
	if p.e.id == "vllm" && !slices.Contains(served, p.name) {
		return &badRequest{http.StatusNotFound, fmt.Sprintf("The model `%s` does not exist.", p.name)}
	}
	return nil
}

func (e *engine) refuseError(w http.ResponseWriter, err error) {
	status := http.StatusBadRequest
	if b := (*badRequest)(nil); errors.As(err, &b) {
		status = b.status
	}
	e.refuse(w, status, "%s", err.Error())
}

// complete answers in one piece.
func (p *reply) complete(w http.ResponseWriter) {
	all := []token{}
	for {
		t, ok := p.receive()
		if !ok {
			panic(http.ErrAbortHandler) // cut off, or the client is gone
		}
		all = append(all, t)
		if t.finish != "" {
			break
		}
	}
	finish := all[len(all)-1].finish
	answer(w, http.StatusOK, map[string]any{"id": p.id, "object": p.object, "created": p.created, "model": p.name,
		"choices": []any{p.whole(all, &finish)}, "usage": p.e.usageOf(p.req, len(all))})
}

// receive waits for the next token; false when there will be none or the client went away.
func (p *reply) receive() (token, bool) {
	select {
	case t, ok := <-p.req.out:
		if ok && p.tops > 0 {
			t.altIDs, t.altLogs = p.req.gen.alternatives(t, p.tops)
		}
		return t, ok
	case <-p.req.ctx.Done():
		return token{}, false
	}
}

// textChoice is a completion's choice.
func (p *reply) textChoice(tokens []token, finish *string) map[string]any {
	out := map[string]any{"index": 0, "text": decode(idsOf(tokens)), "logprobs": nil, "finish_reason": finish}
	if p.e.id == "vllm" {
		out["stop_reason"] = nil
	} else {
		out["matched_stop"] = nil
	}
	if p.tops >= 0 && len(tokens) > 0 {
		out["logprobs"] = textLogprobs(tokens)
	}
	return out
}

func idsOf(tokens []token) []int {
	out := make([]int, 0, len(tokens))
	for _, t := range tokens {
		out = append(out, t.id)
	}
	return out
}

func textLogprobs(tokens []token) map[string]any {
	texts, logs, offsets, tops := []string{}, []float64{}, []int{}, []map[string]float64{}
	at := 0
	for _, t := range tokens {
		word := " " + wordOf(t.id)
		top := map[string]float64{word: t.logprob}
		for i, id := range t.altIDs {
			top[" "+wordOf(id)] = t.altLogs[i]
		}
		texts, logs, offsets, tops = append(texts, word), append(logs, t.logprob), append(offsets, at), append(tops, top)
		at += len(word)
	}
	return map[string]any{"tokens": texts, "token_logprobs": logs, "text_offset": offsets, "top_logprobs": tops}
}
