package sim

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// generateBody is SGLang's native request, which TokenSpeed shares.
type generateBody struct {
	Text     string `json:"text"`
	InputIDs []int  `json:"input_ids"`
	Sampling struct {
		MaxNewTokens *int     `json:"max_new_tokens"`
		Temperature  *float64 `json:"temperature"`
		TopP         *float64 `json:"top_p"`
		TopK         *int     `json:"top_k"`
		Seed         *int64   `json:"sampling_seed"`
		IgnoreEOS    bool     `json:"ignore_eos"`
		StopTokenIDs []int    `json:"stop_token_ids"`
	} `json:"sampling_params"`
	Stream        bool `json:"stream"`
	ReturnLogprob bool `json:"return_logprob"`
	TopLogprobs   int  `json:"top_logprobs_num"`
}

// generate is POST /generate: text and ids so far in every event.
func (e *engine) generate(w http.ResponseWriter, r *http.Request) {
	var body generateBody
	if err := readBody(r, &body); err != nil {
		e.refuseError(w, err)
		return
	}
	ids := body.InputIDs
	if len(ids) == 0 {
		ids = e.set.model.encode(body.Text)
	}
	raw, err := json.Marshal(ids)
	if err == nil && e.id != "tokenspeed" {
		_, err = e.promptIDs(raw) // checks the range
	}
	sp := body.Sampling
	s := sampling{}
	if err == nil {
		s, err = (&openAIBody{Temperature: sp.Temperature, TopP: sp.TopP, TopK: sp.TopK, Seed: sp.Seed, IgnoreEOS: sp.IgnoreEOS}).sampling()
	}
	limit := 128
	if sp.MaxNewTokens != nil {
		limit = *sp.MaxNewTokens
	}
	p := &reply{e: e, body: &openAIBody{}, tops: -1}
	if body.ReturnLogprob {
		p.tops = body.TopLogprobs
	}
	if err == nil {
		p.req, err = e.admitRequest(r.Context(), ids, limit, s, sp.StopTokenIDs)
	}
	if err != nil {
		e.refuseError(w, err)
		return
	}
	p.id = fmt.Sprintf("%032x", mix(e.seed, uint64(e.answer.Load())))
	p.native(w, body.Stream)
}

func (p *reply) native(w http.ResponseWriter, stream bool) {
	var out *events
	if stream {
		out = newEvents(w)
	}
	all, held := []token{}, 0
	for {
		t, ok := p.receive()
		if !ok || (out != nil && out.dead) {
			panic(http.ErrAbortHandler)
		}
		all = append(all, t)
		held++
		if out != nil && (t.finish != "" || len(all) == 1 || held >= p.e.set.streamInterval) {
			out.send(p.nativeEvent(all))
			held = 0
		}
		if t.finish != "" {
			break
		}
	}
	if out == nil {
		answer(w, http.StatusOK, p.nativeEvent(all))
		return
	}
	out.raw([]byte("[DONE]"))
}

func (p *reply) nativeEvent(all []token) map[string]any {
	var finish any
	switch last := all[len(all)-1]; last.finish {
	case "length":
		finish = map[string]any{"type": "length", "length": len(all)}
	case "stop":
		finish = map[string]any{"type": "stop", "matched": last.id}
	}
	meta := map[string]any{"id": p.id, "finish_reason": finish, "prompt_tokens": len(p.req.prompt), "completion_tokens": len(all),
		"cached_tokens": p.req.cached, "weight_version": "default"}
	if p.tops >= 0 {
		logs := [][]any{}
		for _, t := range all {
			logs = append(logs, []any{t.logprob, t.id, nil})
		}
		meta["output_token_logprobs"] = logs
	}
	return map[string]any{"text": decode(idsOf(all)), "output_ids": idsOf(all), "meta_info": meta}
}
