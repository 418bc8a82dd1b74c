package server

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	mcpgo "github.com/mark3labs/mcp-go/server"
)

// Resource is something to read by its URI.
type Resource struct {
	URI  string // or a template of RFC 6570, as "campaign://{campaign}/report"
	Name string
	Doc  string
	MIME string
	// Read gives the text; variables are those of the template.
	Read func(ctx context.Context, variables map[string]string) (string, error)
}

// addResource makes a resource readable.
func (s *Server) addResource(r Resource) {
	read := func(ctx context.Context, req mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		raw, f := s.guard(ctx, handler{
			name:   req.Params.URI,
			decode: func() (any, []string, error) { return variables(req.Params.Arguments), nil, nil },
			handle: func(ctx context.Context, in any) (any, error) { return r.Read(ctx, in.(map[string]string)) },
			encode: encodeText,
		})
		if f != nil {
			return nil, rpcFault{s.faultJSON(f)}
		}
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, rpcFault{s.faultJSON(s.internal(req.Params.URI, err))}
		}
		return []mcp.ResourceContents{mcp.TextResourceContents{URI: req.Params.URI, MIMEType: r.MIME, Text: text}}, nil
	}
	if strings.Contains(r.URI, "{") {
		t := mcp.NewResourceTemplate(r.URI, r.Name, mcp.WithTemplateDescription(r.Doc), mcp.WithTemplateMIMEType(r.MIME))
		s.mcp.AddResourceTemplate(t, mcpgo.ResourceTemplateHandlerFunc(read))
		return
	}
	s.mcp.AddResource(mcp.NewResource(r.URI, r.Name, mcp.WithResourceDescription(r.Doc), mcp.WithMIMEType(r.MIME)), read)
}

// variables gives a template's values, which the library hands over as lists.
func variables(in map[string]any) map[string]string {
	out := make(map[string]string, len(in))
	for name, value := range in {
		if list, ok := value.([]string); ok {
			out[name] = strings.Join(list, ",")
			continue
		}
		out[name] = fmt.Sprint(value)
	}
	return out
}

// encodeText encodes a string for the guard.
func encodeText(out any, _ []string) (json.RawMessage, error) { return json.Marshal(out) }

// rpcFault is a fault on its way through the library, which knows only an error's text; amend unfolds it.
type rpcFault struct{ raw json.RawMessage }

// Error is the fault's JSON.
func (e rpcFault) Error() string { return string(e.raw) }
