package server

import (
	"context"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Prompt is a way to work that a person can start by name.
type Prompt struct {
	Name, Title, Doc string
	Arguments        []Argument
	// Render gives the text; arguments are those that were given.
	Render func(ctx context.Context, arguments map[string]string) (string, error)
}

// Argument is one argument of a prompt.
type Argument struct {
	Name, Doc string
	Required  bool
}

// Completer gives the values that an argument of a prompt or a resource template may take and that start with prefix.
type Completer func(ctx context.Context, argument, prefix string) ([]string, error)

// addPrompt makes a prompt available.
func (s *Server) addPrompt(p Prompt) {
	decl := mcp.Prompt{Name: p.Name, Title: p.Title, Description: p.Doc}
	for _, a := range p.Arguments {
		decl.Arguments = append(decl.Arguments, mcp.PromptArgument{Name: a.Name, Description: a.Doc, Required: a.Required})
	}
	s.mcp.AddPrompt(decl, func(ctx context.Context, req mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		raw, f := s.guard(ctx, handler{
			name:   p.Name,
			decode: func() (any, []string, error) { return req.Params.Arguments, nil, p.check(req.Params.Arguments) },
			handle: func(ctx context.Context, in any) (any, error) { return p.Render(ctx, in.(map[string]string)) },
			encode: encodeText,
		})
		if f != nil {
			return nil, rpcFault{s.faultJSON(f)}
		}
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, rpcFault{s.faultJSON(s.internal(p.Name, err))}
		}
		return &mcp.GetPromptResult{Description: p.Doc, Messages: []mcp.PromptMessage{
			mcp.NewPromptMessage(mcp.RoleUser, mcp.NewTextContent(text)),
		}}, nil
	})
}

// check refuses missing and unknown arguments.
func (p Prompt) check(given map[string]string) error {
	known, names := map[string]bool{}, make([]string, 0, len(p.Arguments))
	for _, a := range p.Arguments {
		known[a.Name] = true
		names = append(names, a.Name)
		if a.Required && given[a.Name] == "" {
			return fault.New(fault.InvalidInput, "%q is required", a.Name).At(a.Name, "").Hint("give %q: %s", a.Name, a.Doc)
		}
	}
	for name := range given {
		if !known[name] {
			return fault.New(fault.InvalidInput, "unknown argument %q", name).At(name, name, names...)
		}
	}
	return nil
}

// completions puts a Completer behind the guard.
type completions struct{ s *Server }

// CompletePromptArgument completes an argument of a prompt.
func (c completions) CompletePromptArgument(ctx context.Context, _ string, a mcp.CompleteArgument, _ mcp.CompleteContext) (*mcp.Completion, error) {
	return c.complete(ctx, a)
}

// CompleteResourceArgument completes a variable of a resource template.
func (c completions) CompleteResourceArgument(ctx context.Context, _ string, a mcp.CompleteArgument, _ mcp.CompleteContext) (*mcp.Completion, error) {
	return c.complete(ctx, a)
}

// complete gives at most the hundred values that the protocol allows.
func (c completions) complete(ctx context.Context, a mcp.CompleteArgument) (*mcp.Completion, error) {
	raw, f := c.s.guard(ctx, handler{
		name:   "completion of " + a.Name,
		decode: func() (any, []string, error) { return a, nil, nil },
		handle: func(ctx context.Context, _ any) (any, error) { return c.s.opts.Complete(ctx, a.Name, a.Value) },
		encode: encodeText,
	})
	if f != nil {
		return nil, rpcFault{c.s.faultJSON(f)}
	}
	var values []string
	if err := json.Unmarshal(raw, &values); err != nil {
		return nil, rpcFault{c.s.faultJSON(c.s.internal("completion", err))}
	}
	const most = 100
	return &mcp.Completion{Values: values[:min(len(values), most)], Total: len(values), HasMore: len(values) > most}, nil
}
