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
	"net/netip"
	"net/url"
	"sync/atomic"
	"time"

	mcpgo "github.com/mark3labs/mcp-go/server"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Path is where HTTP clients find the server.
const Path = "/mcp"

// sessionTTL frees what the library keeps of clients that left without a word.
const sessionTTL = time.Hour

// ServeHTTP listens on addr, "127.0.0.1:8080", and answers at Path until ctx is done. Only loopback is served.
func (s *Server) ServeHTTP(ctx context.Context, addr string) error {
	l, err := Listen(ctx, addr)
	if err != nil {
		return err
	}
	return s.ServeListener(ctx, l)
}

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

// isLoopback says whether host is this machine for itself only.
func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// ServeListener answers HTTP clients on l until ctx is done, and closes l.
func (s *Server) ServeListener(ctx context.Context, l net.Listener) error {
	library := mcpgo.NewStreamableHTTPServer(s.mcp,
		mcpgo.WithDisableStreaming(true), // nothing is ever sent outside of an answer
		mcpgo.WithSessionIdleTTL(sessionTTL),
		mcpgo.WithStreamableHTTPLogger(s.log),
	)
	mux := http.NewServeMux()
	mux.Handle(Path, &httpDoor{s: s, next: library})
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
	err := h.Serve(l)
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

// httpDoor stands in front of the library: it turns away foreign pages, bounds a message, and shows every message to
// the transcript.
type httpDoor struct {
	s     *Server
	next  http.Handler
	count atomic.Int64
}

// ServeHTTP handles one HTTP exchange.
func (d *httpDoor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			d.s.log.Error("panic outside of a handler", "panic", p)
			panic(http.ErrAbortHandler)
		}
	}()
	if origin := r.Header.Get("Origin"); origin != "" && !isLocalOrigin(origin) {
		http.Error(w, "pages of other origins may not call this server", http.StatusForbidden)
		return
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
	t := &tee{ResponseWriter: w, s: d.s, session: session, received: body}
	d.next.ServeHTTP(t, r)
	t.finish()
}

// isLocalOrigin says whether a page of origin was served by this machine. The library checks the Host header, which
// stops a foreign name that resolves to us; this stops a foreign page that names us.
func isLocalOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && isLoopback(u.Hostname())
}
