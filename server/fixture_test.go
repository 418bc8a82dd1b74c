package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/redact"
	"github.com/sotaloop/sotaloop/server"
	"github.com/sotaloop/sotaloop/tools"
)

const secret = "hf_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z"

type symptom struct {
	Scenario string `json:"scenario" jsonschema_description:"scenario of the contract"`
	Metric   string `json:"metric"`
}

// limits can be given as the word "none".
type limits struct {
	TTFT float64 `json:"max_p50_ttft_ms,omitempty"`
	None bool    `json:"none,omitempty"`
}

// UnmarshalText accepts "none".
func (l *limits) UnmarshalText(b []byte) error {
	if l.None = string(b) == "none"; !l.None {
		return errors.New(`only "none" is a word for it`)
	}
	return nil
}

type echoIn struct {
	Campaign  string           `json:"campaign" jsonschema_description:"campaign id, as open_campaign gave it."`
	Framework string           `json:"framework,omitempty" jsonschema:"enum=sglang,enum=vllm" jsonschema_description:"engine type"`
	Stages    []string         `json:"stages,omitempty" jsonschema:"enum=prefill,enum=decode"`
	Command   string           `json:"command,omitempty"`
	Blocks    int              `json:"blocks,omitempty" jsonschema:"minimum=1,maximum=64"`
	Gain      float64          `json:"predicted_gain,omitempty"`
	Plan      bool             `json:"plan,omitempty"`
	GPUs      []int            `json:"gpus,omitempty"`
	Symptom   *symptom         `json:"symptom,omitempty"`
	Space     map[string][]any `json:"space,omitempty"`
	SLA       *limits          `json:"sla,omitempty"`
	Cursor    string           `json:"cursor,omitempty"`
}

type row struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

type echoOut struct {
	tools.Answer
	In       echoIn          `json:"in"`
	Rows     []row           `json:"rows"`
	Measured *float64        `json:"measured"`
	Contract json.RawMessage `json:"contract"`
	Extra    map[string]any  `json:"extra"`
}

type noIn struct{}

type choosyIn struct {
	Blocks int `json:"blocks"`
}

type textOut struct {
	tools.Answer
	Text string `json:"text"`
}

func textTool(name string, call func(ctx context.Context) (string, error)) tools.Tool {
	return tools.Define(name, "", "Answers a text.", tools.Hints{ReadOnly: true, Idempotent: true}, func(ctx context.Context, _ noIn) (textOut, error) {
		text, err := call(ctx)
		return textOut{Text: text}, err
	})
}

// fixtures are tools that do what tools should not, besides one that is rich and well-behaved.
func fixtures() []tools.Tool {
	return []tools.Tool{
		tools.Define("echo", "Echo", "Answers what it was asked.", tools.Hints{ReadOnly: true, Idempotent: true}, func(_ context.Context, in echoIn) (echoOut, error) {
			return echoOut{In: in, Rows: []row{{Name: "<a> & b"}}, Answer: tools.Answer{Evidence: []string{"row:1"}}}, nil
		}),
		tools.Define("refuse", "", "Refuses.", tools.Hints{}, func(context.Context, noIn) (textOut, error) {
			return textOut{}, fmt.Errorf("loop: %w", fault.New(fault.RuleViolation, "row %q does not exist", "kernel:decode:1").
				ByRule("evid.row-known").At("rows", "kernel:decode:1", "kernel:decode:2").Hint("call analyze_trace and cite its ids").
				Then("analyze_trace", "lists the rows"))
		}),
		textTool("wrapped", func(context.Context) (string, error) {
			return "", fault.Wrap(fault.HostUnreachable, errors.New("dial tcp 10.0.0.1:22: refused"), "host %q does not answer", "h100")
		}),
		textTool("fail", func(context.Context) (string, error) { return "", errors.New("open /root/x: &{Name:secret} is nil") }),
		textTool("boom", func(context.Context) (string, error) { panic("goroutine 1: index out of range") }),
		textTool("leak", func(context.Context) (string, error) { return "token " + secret, nil }),
		textTool("leak_refusal", func(context.Context) (string, error) {
			return "", fault.New(fault.Denied, "value %q is not allowed", secret).At("x", secret)
		}),
		tools.Define("big", "", "Answers too much.", tools.Hints{}, func(_ context.Context, in echoIn) (textOut, error) {
			return textOut{Text: strings.Repeat("x", 70<<10)}, nil
		}),
		tools.Define("choosy", "", "Refuses what is odd.", tools.Hints{ReadOnly: true}, func(_ context.Context, in choosyIn) (textOut, error) {
			if in.Blocks%2 == 1 {
				return textOut{}, fault.New(fault.RuleViolation, "%d blocks", in.Blocks).ByRule("fair.same-sla").Hint("give an even number")
			}
			return textOut{Text: "even"}, nil
		}),
		textTool("denied", func(context.Context) (string, error) { return "reached", nil }),
		textTool("late", func(context.Context) (string, error) { return "", context.DeadlineExceeded }),
		textTool("step", func(ctx context.Context) (string, error) {
			for i := range 10 {
				tools.Progress(ctx)(float64(i+1), 10, fmt.Sprintf("step %d", i+1))
			}
			return "done", nil
		}),
	}
}

func options() server.Options {
	return server.Options{
		Name: "sotaloop", Version: "1.2.3", Instructions: "Call echo.", Tools: fixtures(), ValidateOutput: true,
		Redact: redact.New(map[string]string{"HF_TOKEN": secret}),
		Policy: func(_ context.Context, name string, _ any) error {
			if name == "denied" || name == "res://denied" {
				return fault.New(fault.Denied, "the policy does not allow %q", name)
			}
			return nil
		},
		Resources: []server.Resource{
			{URI: "res://plain", Name: "plain", Doc: "A text.", MIME: "text/plain", Read: func(context.Context, map[string]string) (string, error) { return "has " + secret, nil }},
			{URI: "res://boom", Name: "boom", Doc: "Panics.", MIME: "text/plain", Read: func(context.Context, map[string]string) (string, error) { panic("boom") }},
			{URI: "res://denied", Name: "denied", Doc: "Denied.", MIME: "text/plain", Read: func(context.Context, map[string]string) (string, error) { return "reached", nil }},
			{URI: "campaign://{campaign}/report", Name: "report", Doc: "A report.", MIME: "text/markdown", Read: func(_ context.Context, v map[string]string) (string, error) {
				if v["campaign"] != "c1" {
					return "", fault.New(fault.NotFound, "no campaign %q", v["campaign"]).At("campaign", v["campaign"], "c1")
				}
				return "# Report", nil
			}},
		},
		Prompts: []server.Prompt{{
			Name: "tune", Title: "Tune", Doc: "Tunes one engine.", Arguments: []server.Argument{{Name: "model", Doc: "a model id", Required: true}},
			Render: func(_ context.Context, a map[string]string) (string, error) {
				return "Tune " + a["model"] + " " + secret, nil
			},
		}},
		Complete: func(_ context.Context, argument, prefix string) ([]string, error) {
			if argument == "boom" {
				return nil, errors.New("broken: &{}")
			}
			return []string{prefix + "1", prefix + "2"}, nil
		},
	}
}

// requireNoGoWords wants nothing in an answer that tells how the server is made.
func requireNoGoWords(t *testing.T, raw string) {
	t.Helper()
	for _, word := range []string{"&{", "goroutine", "json:", "Go struct", "interface {", "panic", ".go:", "/root"} {
		if strings.Contains(raw, word) {
			t.Fatalf("%q is in %s", word, raw)
		}
	}
}

// token lets tests in over TCP.
const token = "a-token-of-the-tests-with-more-than-32-bytes"
