//go:build conformance

package server

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/mark3labs/mcp-go/mcp"
	mcpgo "github.com/mark3labs/mcp-go/server"
)

// The conformance suite asks for contents that no tool of the product has: images, sounds, questions to the client. What
// follows registers handlers that answer in the library's own types, behind the same guard, the same transcript and the same
// doors as everything else.

// Enable turns on what the product does not offer.
func (s *Server) Enable(opts ...mcpgo.ServerOption) {
	for _, opt := range opts {
		opt(s.mcp)
	}
}

// Library is the protocol library's server.
func (s *Server) Library() *mcpgo.MCPServer { return s.mcp }

// ErrInvalid refuses a request as a whole, as a JSON-RPC error.
var ErrInvalid = errors.New("the request cannot be served")

// AddRawTool makes a tool callable.
func (s *Server) AddRawTool(tool mcp.Tool, call mcpgo.ToolHandlerFunc) {
	s.names = append(s.names, tool.Name)
	s.mcp.AddTool(tool, func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		ctx = s.withProgress(ctx, req)
		raw, err := s.guarded(ctx, tool.Name, func(ctx context.Context) (any, error) { return call(ctx, req) })
		if err != nil {
			return nil, err
		}
		return mcp.ParseCallToolResult(&raw)
	})
}

// AddRawPrompt makes a prompt available.
func (s *Server) AddRawPrompt(prompt mcp.Prompt, render mcpgo.PromptHandlerFunc) {
	s.mcp.AddPrompt(prompt, func(ctx context.Context, req mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		raw, err := s.guarded(ctx, prompt.Name, func(ctx context.Context) (any, error) { return render(ctx, req) })
		if err != nil {
			return nil, err
		}
		return mcp.ParseGetPromptResult(&raw)
	})
}

// AddRawResource makes a resource readable.
func (s *Server) AddRawResource(resource mcp.Resource, contents mcp.BlobResourceContents) {
	s.mcp.AddResource(resource, func(ctx context.Context, _ mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		raw, err := s.guarded(ctx, resource.URI, func(context.Context) (any, error) { return contents, nil })
		if err != nil {
			return nil, err
		}
		var out mcp.BlobResourceContents
		return []mcp.ResourceContents{&out}, json.Unmarshal(raw, &out)
	})
}

// guarded runs handle behind the guard: its answer goes through redaction and the cap as JSON.
func (s *Server) guarded(ctx context.Context, name string, handle func(context.Context) (any, error)) (json.RawMessage, error) {
	raw, f := s.guard(ctx, handler{
		name:   name,
		decode: func() (any, []string, error) { return nil, nil, nil },
		handle: func(ctx context.Context, _ any) (any, error) { return handle(ctx) },
		encode: func(out any, _ []string) (json.RawMessage, error) { return json.Marshal(out) },
	})
	if f != nil {
		return nil, rpcFault{s.faultJSON(f)}
	}
	return raw, nil
}
