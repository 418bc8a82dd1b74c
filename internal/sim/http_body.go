package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
)

// maxBody is the largest request body that is read.
const maxBody = 32 << 20

// openAIBody is a completion or chat request, as far as it is simulated.
type openAIBody struct {
	Model         string          `json:"model"`
	Prompt        json.RawMessage `json:"prompt"`
	Messages      []chatMessage   `json:"messages"`
	MaxTokens     *int            `json:"max_tokens"`
	MaxCompletion *int            `json:"max_completion_tokens"`
	Temperature   *float64        `json:"temperature"`
	TopP          *float64        `json:"top_p"`
	TopK          *int            `json:"top_k"`
	N             *int            `json:"n"`
	Seed          *int64          `json:"seed"`
	Stream        bool            `json:"stream"`
	StreamOptions *streamOptions  `json:"stream_options"`
	Logprobs      json.RawMessage `json:"logprobs"` // a count for completions, a boolean for chat
	TopLogprobs   int             `json:"top_logprobs"`
	IgnoreEOS     bool            `json:"ignore_eos"`
	StopTokenIDs  []int           `json:"stop_token_ids"`
}

type chatMessage struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
	Continuous   bool `json:"continuous_usage_stats"`
}

// badRequest is an error whose sentence goes to the client with its status.
type badRequest struct {
	status int
	text   string
}

func (b *badRequest) Error() string { return b.text }

func bad(format string, args ...any) error {
	return &badRequest{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// readBody decodes a request into v.
func readBody(r *http.Request, v any) error {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return bad("read body: %v", err)
	}
	if len(b) > maxBody {
		return &badRequest{http.StatusRequestEntityTooLarge, "request body too large"}
	}
	if err := json.Unmarshal(b, v); err != nil {
		return &badRequest{http.StatusUnprocessableEntity, "JSON decode error: " + err.Error()}
	}
	return nil
}

// promptIDs reads a prompt: text, ids, or a list holding exactly one of them.
func (e *engine) promptIDs(raw json.RawMessage) ([]int, error) {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		e.repeat(text)
		return e.set.model.encode(text), nil
	}
	if e.id == "tokenspeed" {
		return nil, &badRequest{http.StatusUnprocessableEntity, "prompt must be a string; send token ids to /generate"}
	}
	var ids []int
	if json.Unmarshal(raw, &ids) == nil {
		for _, id := range ids {
			if id < 0 || id >= e.set.model.Vocab {
				return nil, bad("Token id %d is out of vocabulary", id)
			}
		}
		return ids, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil && len(list) == 1 {
		return e.promptIDs(list[0])
	}
	return nil, bad("prompt must be one string or one list of token ids; several prompts in a request are not simulated")
}

// chatIDs renders messages the way a chat template does: role marks around the words.
func (e *engine) chatIDs(messages []chatMessage) ([]int, error) {
	if len(messages) == 0 {
		return nil, bad("messages must not be empty")
	}
	var b strings.Builder
	for _, m := range messages {
		var text string
		if json.Unmarshal(m.Content, &text) != nil {
			var parts []struct {
				Type string `json:"type"`
				Text string `json:"text"`
			}
			if json.Unmarshal(m.Content, &parts) != nil {
				return nil, bad("message content must be text")
			}
			for _, p := range parts {
				if p.Type != "text" {
					return nil, bad("only text content is simulated, not %q", p.Type)
				}
				text += p.Text + " "
			}
		}
		fmt.Fprintf(&b, "<|im_start|> %s %s <|im_end|> ", m.Role, text)
	}
	b.WriteString("<|im_start|> assistant")
	e.repeat(b.String())
	return e.set.model.encode(b.String()), nil
}

// repeat logs what was asked where the fault says so.
func (e *engine) repeat(text string) {
	if e.faults.logRequests {
		e.log.info("Received request: prompt: %q", text)
	}
}

// sampling reads the parameters that decide tokens.
func (b *openAIBody) sampling() (sampling, error) {
	s := sampling{temperature: 1, topP: 1, ignoreEOS: b.IgnoreEOS}
	if b.Temperature != nil {
		s.temperature = *b.Temperature
	}
	if b.TopP != nil {
		s.topP = *b.TopP
	}
	if b.TopK != nil {
		s.topK = *b.TopK
	}
	switch {
	case s.temperature < 0:
		return s, bad("temperature must be non-negative, got %g.", s.temperature)
	case s.topP <= 0 || s.topP > 1:
		return s, bad("top_p must be in (0, 1], got %g.", s.topP)
	case b.N != nil && *b.N != 1:
		return s, bad("n=%d is not simulated", *b.N)
	}
	s.seed = rand.Uint64() // without a seed, sampled text differs each time
	if b.Seed != nil {
		s.seed = uint64(*b.Seed)
	}
	return s, nil
}

// admitRequest checks a prompt against the engine's limits and hands it to the scheduler.
func (e *engine) admitRequest(ctx context.Context, prompt []int, maxTokens int, s sampling, stops []int) (*request, error) {
	if !e.ready.Load() {
		return nil, &badRequest{http.StatusServiceUnavailable, "the server is not ready"}
	}
	total := len(prompt) + maxTokens
	switch {
	case len(prompt) == 0:
		return nil, bad("The prompt is empty")
	case maxTokens < 1:
		return nil, bad("max_tokens must be at least 1, got %d.", maxTokens)
	case total > e.set.contextLen && e.id == "vllm":
		return nil, bad("This model's maximum context length is %d tokens. However, you requested %d tokens (%d in the messages, %d in the completion). Please reduce the length of the messages or completion.", e.set.contextLen, total, len(prompt), maxTokens)
	case total > e.set.contextLen:
		return nil, bad("Requested token count exceeds the model's maximum context length of %d tokens. You requested a total of %d tokens: %d tokens from the input messages and %d tokens for the completion.", e.set.contextLen, total, len(prompt), maxTokens)
	case total > e.mem.tokens:
		return nil, bad("The input (%d tokens) and output (%d) are longer than the cache of %d tokens.", len(prompt), maxTokens, e.mem.tokens)
	case !e.set.chunked && len(prompt) > e.set.stepTokens:
		return nil, bad("The prompt of %d tokens is longer than a step of %d tokens and chunked prefill is off.", len(prompt), e.set.stepTokens)
	}
	r := &request{ctx: ctx, prompt: slices.Clone(prompt), maxTokens: maxTokens, sampling: s, stops: map[int]bool{}}
	for _, id := range stops {
		r.stops[id] = true
	}
	if e.faults.wrongTokens {
		r.sampling.temperature, r.sampling.seed = 0.5, 99
	}
	n := int(e.answer.Add(1))
	r.cut = e.faults.truncateAfter >= 0 && n > e.faults.truncateAfter
	r.muted = e.faults.hangAfter >= 0 && n > e.faults.hangAfter
	if e.faults.crashAfter >= 0 && n > e.faults.crashAfter {
		e.ranks[0].cmd.Process.Kill() //nolint:errcheck // the wished crash: the engine follows its rank
	}
	e.sched.submit(r)
	return r, nil
}
