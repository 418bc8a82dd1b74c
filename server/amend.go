package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// request is what amend needs of the client's message.
type request struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name   string `json:"name"`
		Cursor string `json:"cursor"`
		URI    string `json:"uri"`
	} `json:"params"`
}

// answer is a JSON-RPC error.
type answer struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Error   struct {
		Code    int             `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data,omitempty"`
	} `json:"error"`
}

// amend makes the protocol library's errors useful: an unknown tool's names the valid ones, ours get their code and
// data, and none shows Go's own words. Everything else passes as it is, with the id that the request has.
func (s *Server) amend(received, sent []byte) []byte {
	var r request
	_ = json.Unmarshal(received, &r) // a request that cannot be read has neither method nor name
	sent = ownID(sent, r.ID)
	if !bytes.Contains(sent, []byte(`"error":`)) {
		return sent
	}
	var a answer
	if json.Unmarshal(sent, &a) != nil || a.Error.Message == "" {
		return sent
	}
	switch {
	case strings.HasSuffix(r.Method, "/list") && a.Error.Code == mcp.INVALID_PARAMS && r.Params.Cursor != "":
		a.Error.Message = "the cursor is none that this server gave: begin without one"
	case r.Method == string(mcp.MethodToolsCall) && a.Error.Code == mcp.INVALID_PARAMS && !s.isTool(r.Params.Name):
		a.describe(s.faultJSON(s.unknownTool(r.Params.Name)))
	case r.Method == string(mcp.MethodResourcesRead) && (a.Error.Code == mcp.INVALID_PARAMS || a.Error.Code == mcp.RESOURCE_NOT_FOUND) && !strings.HasPrefix(a.Error.Message, `{"code":`):
		a.noResource(r.Params.URI)
	case strings.HasPrefix(a.Error.Message, `{"code":`):
		a.describe(json.RawMessage(a.Error.Message))
	case strings.Contains(a.Error.Message, "json:") || strings.Contains(a.Error.Message, "Go "):
		before, _, _ := strings.Cut(a.Error.Message, ": ")
		a.Error.Code, a.Error.Message = mcp.INVALID_PARAMS, before+": params do not have the shape that this method takes"
	default:
		return sent
	}
	raw, err := json.Marshal(a)
	if err != nil {
		return sent
	}
	return raw
}

// isTool says whether there is a tool of that name.
func (s *Server) isTool(name string) bool {
	return slices.Contains(s.names, name)
}

// unknownTool names the tools that there are.
func (s *Server) unknownTool(name string) *fault.Error {
	f := fault.New(fault.NotFound, "unknown tool %q, valid are %s", name, strings.Join(s.names, ", ")).At("name", name, s.names...)
	if near := nearest(name, s.names); near != "" {
		return f.Hint("did you mean %q?", near)
	}
	return f.Hint("call one of these")
}

// describe puts a fault into a JSON-RPC error: the whole of it as data, its message and hints as text.
func (a *answer) describe(raw json.RawMessage) {
	var f faultView
	if json.Unmarshal(raw, &f) != nil {
		return
	}
	a.Error.Data = raw
	a.Error.Message = strings.Join(append([]string{f.Message}, f.Hints...), "; ")
	a.Error.Code = mcp.INVALID_PARAMS
	if f.Code == fault.Internal {
		a.Error.Code = mcp.INTERNAL_ERROR
	}
}

// noResource says that nothing has a URI, which the protocol wants repeated as data.
func (a *answer) noResource(uri string) {
	a.Error.Message = fmt.Sprintf("no resource has the URI %q; resources/list and resources/templates/list name those there are", clip(uri, 200))
	if raw, err := json.Marshal(map[string]string{"uri": clip(uri, 2000)}); err == nil { // strings always encode
		a.Error.Data = raw
	}
}
