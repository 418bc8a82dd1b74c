package server

import (
	"context"
	"encoding/json"

	"github.com/mark3labs/mcp-go/mcp"
	mcpgo "github.com/mark3labs/mcp-go/server"

	"github.com/sotaloop/sotaloop/tools"
)

// withProgress gives a context in which tools.Progress reaches the client, if it asked.
func (s *Server) withProgress(ctx context.Context, req mcp.CallToolRequest) context.Context {
	if req.Params.Meta == nil || req.Params.Meta.ProgressToken == nil {
		return ctx
	}
	token := progressToken(ctx, req)
	report := func(done, total float64, message string) {
		params := map[string]any{"progressToken": token, "progress": done}
		if total > 0 {
			params["total"] = total
		}
		if message != "" {
			params["message"] = s.opts.Redact.String(message)
		}
		s.notify(ctx, func() error {
			return mcpgo.ServerFromContext(ctx).SendNotificationToClient(ctx, "notifications/progress", params)
		})
	}
	return tools.WithProgress(ctx, report)
}

// progressToken gives the token as the client wrote it: the library reads numbers as floats, which change large ones.
func progressToken(ctx context.Context, req mcp.CallToolRequest) any {
	var m struct {
		Params struct {
			Meta struct {
				Token json.RawMessage `json:"progressToken"`
			} `json:"_meta"`
		} `json:"params"`
	}
	if json.Unmarshal(exchangeOf(ctx).raw, &m) != nil || len(m.Params.Meta.Token) == 0 {
		return req.Params.Meta.ProgressToken
	}
	return m.Params.Meta.Token
}

// notify sends a notification that belongs before the answer.
func (s *Server) notify(ctx context.Context, send func() error) {
	if err := send(); err != nil {
		s.log.Debug("a notification was not sent", "error", err)
		return
	}
	exchangeOf(ctx).events.expect()
}
