package server

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/mcp"
	mcpgo "github.com/mark3labs/mcp-go/server"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// logger names the server in log messages to clients.
const logger = "sotaloop"

// tell sends a client that asked for it one log message about a call that has ended: debug for an answer, info for a
// refusal, warning for an internal error. What it says is what the log says; nothing is told by it alone.
func (s *Server) tell(ctx context.Context, name string, size int, ms int64, f *fault.Error) {
	level, line := mcp.LoggingLevelDebug, map[string]any{"call": name, "code": "ok", "bytes": size, "ms": ms}
	if f != nil {
		level = mcp.LoggingLevelInfo
		if f.Code == fault.Internal {
			level = mcp.LoggingLevelWarning
		}
		line["code"], line["rule"], line["message"] = f.Code, f.Rule, f.Message
	}
	if !asksFor(ctx, level) {
		return
	}
	raw, err := json.Marshal(line)
	if err != nil {
		return
	}
	message := mcp.NewLoggingMessageNotification(level, logger, s.opts.Redact.JSON(raw))
	s.notify(ctx, func() error { return s.mcp.SendLogMessageToClient(ctx, message) })
}

// asksFor says whether the client wants messages of a level: by its request since 2026-07-28, by logging/setLevel before.
func asksFor(ctx context.Context, level mcp.LoggingLevel) bool {
	if info := mcpgo.RequestProtocolInfoFromContext(ctx); info != nil && info.Modern {
		return info.LogLevel != "" && level.ShouldSendTo(info.LogLevel)
	}
	session, ok := mcpgo.ClientSessionFromContext(ctx).(mcpgo.SessionWithLogging)
	return ok && level.ShouldSendTo(session.GetLogLevel())
}

// logLevel is what a conversation over standard input asked to be told; its zero value is silence.
type logLevel struct {
	level atomic.Pointer[mcp.LoggingLevel]
}

// SetLogLevel keeps what logging/setLevel asked for.
func (l *logLevel) SetLogLevel(level mcp.LoggingLevel) { l.level.Store(&level) }

// GetLogLevel gives what was asked for.
func (l *logLevel) GetLogLevel() mcp.LoggingLevel {
	if level := l.level.Load(); level != nil {
		return *level
	}
	return mcp.LoggingLevelEmergency // nothing that this server says
}
