package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpgo "github.com/mark3labs/mcp-go/server"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Path is where HTTP clients find the server.
const Path = "/mcp"

// sessionTTL frees what the library keeps of clients that left without a word.
const sessionTTL = time.Hour

// Listen opens a listener for ServeListener and refuses any address but loopback. Port 0 takes a free one.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "%q is not an address with a port", addr).At("addr", addr).Hint("give 127.0.0.1:8080")
	}
	if !isLoopback(host) {
		return nil, fault.New(fault.Denied, "refusing to listen on %q: whoever reaches it could run campaigns", addr).
			At("addr", addr, "127.0.0.1:"+port, "[::1]:"+port).
			Hint("listen on 127.0.0.1:%s or [::1]:%s", port, port).
			Hint("from another machine, start the server over ssh on its standard input and output, or forward the port with ssh -L")
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	// A name such as localhost could stand for anything.
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		_ = l.Close()
		return nil, fault.New(fault.Denied, "refusing to listen on %q: it stands for %s", addr, l.Addr()).At("addr", addr)
	}
	return l, nil
}

// ServeListener answers HTTP clients on l at Path until ctx is done, and closes l. On TCP a client has to show the bearer
// token, of at least 32 bytes; a Unix socket has the permissions of its file, and token may be empty.
func (s *Server) ServeListener(ctx context.Context, l net.Listener, token string) error {
	who, err := newEntrance(l, token)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	library := mcpgo.NewStreamableHTTPServer(s.mcp,
		mcpgo.WithDisableStreaming(true), // nothing is ever sent outside of an answer
		mcpgo.WithSessionIdleTTL(sessionTTL),
		mcpgo.WithStreamableHTTPLogger(s.log),
	)
	mux := http.NewServeMux()
	mux.Handle(Path, &httpDoor{s: s, who: who, next: library})
	calls, cancel := context.WithCancel(ctx)
	defer cancel()
	h := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return calls },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	stopped := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() { s.stop(ctx, h); close(stopped) })
	defer unwatch()
	err = h.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		<-stopped
		err = nil
	}
	quiet, done := context.WithTimeout(context.WithoutCancel(ctx), lastCall)
	defer done()
	return errors.Join(err, library.Shutdown(quiet))
}

// stop ends the running answers, whose contexts are done by now, and then the connections.
func (s *Server) stop(ctx context.Context, h *http.Server) {
	quiet, done := context.WithTimeout(context.WithoutCancel(ctx), lastCall)
	defer done()
	if err := h.Shutdown(quiet); err != nil {
		_ = h.Close()
	}
}

// httpDoor stands in front of the library: it turns away who may not come in, bounds a message, and shows every message to
// the transcript.
type httpDoor struct {
	s     *Server
	who   entrance
	next  http.Handler
	count atomic.Int64
	ended endedSessions
}

// ServeHTTP handles one HTTP exchange.
func (d *httpDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			d.s.log.Error("panic outside of a handler", "panic", p)
			panic(http.ErrAbortHandler)
		}
	}()
	if d.who.refuse(w, r) {
		d.s.log.Warn("refused at the door", "from", r.RemoteAddr, "host", r.Host, "origin", r.Header.Get("Origin"))
		return
	}
	id, modern := r.Header.Get(mcp.HeaderSessionID), mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion))
	switch {
	case !modern && d.ended.has(id):
		http.Error(w, "this session was ended: begin a new one with initialize", http.StatusNotFound)
		return
	case r.Method == http.MethodDelete && !modern:
		d.ended.add(id)
	}
	if r.Method != http.MethodPost {
		d.next.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		http.Error(w, fmt.Sprintf("a message may have %d bytes", maxMessage), http.StatusRequestEntityTooLarge)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	session := fmt.Sprintf("http-%d", d.count.Add(1))
	d.s.record(d.s.opts.Transcript.Received(session, body))
	t := &tee{ResponseWriter: w, s: d.s, session: session, received: body, modern: modern}
	if e := openEnvelope(body); e.refusal != nil {
		t.refuse(e.refusal)
		return
	}
	if streams(r.Header.Get("Accept")) {
		t.sent = newDeliveries()
	}
	d.next.ServeHTTP(t, r.WithContext(withExchange(r.Context(), exchange{raw: body, events: t.sent})))
	t.finish()
}
