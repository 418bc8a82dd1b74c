package server

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpgo "github.com/mark3labs/mcp-go/server"

	"github.com/sotaloop/sotaloop/tools"
)

// progressPause lets the last notification leave before the answer does. Over HTTP the library sends both from
// different goroutines: without the pause one in ten is lost or comes late, with it none was in 12 × 10. Over standard
// output our own loop keeps the order.
const progressPause = 25 * time.Millisecond

// withProgress gives a context in which tools.Progress reaches the client, if it asked, and what to do before the
// answer is returned.
func (s *Server) withProgress(ctx context.Context, req mcp.CallToolRequest) (context.Context, func()) {
	if req.Params.Meta == nil || req.Params.Meta.ProgressToken == nil {
		return ctx, func() {}
	}
	var sent atomic.Bool
	report := func(done, total float64, message string) {
		params := map[string]any{"progressToken": req.Params.Meta.ProgressToken, "progress": done}
		if total > 0 {
			params["total"] = total
		}
		if message != "" {
			params["message"] = s.opts.Redact.String(message)
		}
		sent.Store(true)
		if err := mcpgo.ServerFromContext(ctx).SendNotificationToClient(ctx, "notifications/progress", params); err != nil {
			s.log.Debug("progress was not sent", "error", err)
		}
	}
	return tools.WithProgress(ctx, report), func() {
		if _, ours := mcpgo.ClientSessionFromContext(ctx).(*stdioSession); sent.Load() && !ours {
			time.Sleep(progressPause)
		}
	}
}
