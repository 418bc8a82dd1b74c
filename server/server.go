// Package server speaks MCP for the tools, in both protocol eras, over standard input and output and over HTTP on
// loopback. It is the only place that knows the protocol library and the schema library.
//
// Every handler runs behind one guard: recover → admit → decode → policy → handler → redact → cap. The transcript
// hangs below it, at the messages themselves, so that it also holds what no handler ever sees.
//
// A success carries everything in structuredContent and the same JSON as text. A refusal or failure is a result with
// isError and, as its only content, one JSON object {code, rule, message, field, got, want, hints, next}: clients drop
// an error's structuredContent, and some throw on it.
package server

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/mark3labs/mcp-go/mcp"
	mcpgo "github.com/mark3labs/mcp-go/server"

	"github.com/sotaloop/sotaloop/internal/redact"
	"github.com/sotaloop/sotaloop/tools"
	"github.com/sotaloop/sotaloop/transcripts"
)

// Bounds that hold unless Options say otherwise.
const (
	// maxCalls is how many handlers run at once.
	maxCalls = 32
	// maxResult bounds an answer's JSON. Clients cut what is longer than about 25,000 tokens.
	maxResult = 64 << 10
	// maxMessage bounds one incoming message.
	maxMessage = 16 << 20
)

// Options configure a Server.
type Options struct {
	Name, Version string
	Instructions  string // how to work with the tools, told to every client
	Tools         []tools.Tool
	Resources     []Resource
	Prompts       []Prompt
	Complete      Completer // nil: arguments of resources and prompts are not completed

	// Transcript records every message; nil records nothing.
	Transcript *transcripts.Recorder
	// Redact takes secrets out of everything that is answered; nil knows the patterns only.
	Redact *redact.Redactor
	// Policy may refuse a decoded call; nil allows all. name is a tool's, or a resource's URI, or a prompt's.
	Policy func(ctx context.Context, name string, in any) error
	// Waits says by tool name how many of its calls may run at once, for tools that wait; they must leave room
	// for the others. One call more is refused as busy.
	Waits map[string]int
	// MaxResult bounds an answer in bytes of JSON; 0 means 64 KiB.
	MaxResult int
	// ValidateOutput checks every success against its schema. For tests: it costs time.
	ValidateOutput bool
	// Log takes what must not reach a client, such as the text of internal errors; nil discards it.
	Log *slog.Logger
}

// Server answers MCP clients. It may serve several of them at once.
type Server struct {
	opts  Options
	log   *slog.Logger
	mcp   *mcpgo.MCPServer
	names []string // of tools
	calls chan struct{}
	waits map[string]chan struct{}
}

// New gives a Server. Tools must have distinct names.
func New(opts Options) *Server {
	opts.MaxResult = cmp.Or(opts.MaxResult, maxResult)
	s := &Server{
		opts: opts, log: opts.Log, names: tools.Names(opts.Tools),
		calls: make(chan struct{}, maxCalls), waits: map[string]chan struct{}{},
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for name, n := range opts.Waits {
		s.waits[name] = make(chan struct{}, n)
	}
	s.mcp = mcpgo.NewMCPServer(opts.Name, opts.Version, s.features()...)
	for _, t := range opts.Tools {
		s.addTool(t)
	}
	for _, r := range opts.Resources {
		s.addResource(r)
	}
	for _, p := range opts.Prompts {
		s.addPrompt(p)
	}
	return s
}

// features are what the server says it can do. Nothing in its lists changes while it runs.
func (s *Server) features() []mcpgo.ServerOption {
	out := []mcpgo.ServerOption{mcpgo.WithInstructions(s.opts.Instructions), mcpgo.WithToolCapabilities(false), mcpgo.WithLogging(), mcpgo.WithHooks(acknowledged())}
	if len(s.opts.Resources) > 0 {
		out = append(out, mcpgo.WithResourceCapabilities(false, false))
	}
	if len(s.opts.Prompts) > 0 {
		out = append(out, mcpgo.WithPromptCapabilities(false))
	}
	if s.opts.Complete != nil {
		c := completions{s}
		out = append(out, mcpgo.WithCompletions(), mcpgo.WithPromptCompletionProvider(c), mcpgo.WithResourceCompletionProvider(c))
	}
	if s.opts.ValidateOutput {
		out = append(out, mcpgo.WithOutputSchemaValidation())
	}
	return out
}

// addTool makes a tool callable.
func (s *Server) addTool(t tools.Tool) {
	hint := func(b bool) *bool { return &b }
	s.mcp.AddTool(mcp.Tool{
		Name: t.Name, Title: t.Title, Description: t.Doc,
		RawInputSchema: InputSchema(t.In), RawOutputSchema: OutputSchema(t.Out),
		// All four: the protocol's defaults for a missing hint are the alarming ones.
		Annotations: mcp.ToolAnnotation{
			ReadOnlyHint: hint(t.Hints.ReadOnly), DestructiveHint: hint(t.Hints.Destructive),
			IdempotentHint: hint(t.Hints.Idempotent), OpenWorldHint: hint(t.Hints.OpenWorld),
		},
	}, s.toolHandler(t))
}

// toolHandler answers calls of one tool.
func (s *Server) toolHandler(t tools.Tool) mcpgo.ToolHandlerFunc {
	return func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		ctx = s.withProgress(ctx, req)
		out, f := s.guard(ctx, handler{
			name: t.Name,
			decode: func() (any, []string, error) {
				if err := s.withoutSecrets(req.Params.RawArguments, t.In); err != nil {
					return nil, nil, err
				}
				return decode(req.Params.RawArguments, t.In)
			},
			handle: t.Call,
			encode: encodeOut,
			narrow: narrowing(t.In),
		})
		if f != nil {
			return s.failure(wayOn(t.Name, f)), nil
		}
		return success(out), nil
	}
}
