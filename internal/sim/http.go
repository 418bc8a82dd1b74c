package sim

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// routes is the API port's handler.
func (e *engine) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", e.health)
	mux.HandleFunc("GET /v1/models", e.models)
	mux.HandleFunc("POST /v1/completions", e.completions)
	mux.HandleFunc("POST /v1/chat/completions", e.chat)
	switch e.id {
	case "sglang":
		mux.HandleFunc("POST /generate", e.generate)
		e.sglangAdmin(mux)
	case "vllm":
		mux.HandleFunc("GET /ping", e.health)
		mux.HandleFunc("GET /version", e.version)
		mux.HandleFunc("GET /load", func(w http.ResponseWriter, _ *http.Request) {
			l := e.sched.load()
			answer(w, http.StatusOK, map[string]any{"server_load": l.running + l.waiting})
		})
		mux.HandleFunc("GET /metrics", e.vllmMetrics)
		e.vllmAdmin(mux)
	case "tensorrt_llm":
		mux.HandleFunc("GET /health_generate", e.health)
		mux.HandleFunc("GET /version", e.version)
		mux.HandleFunc("GET /metrics", e.iterationStats)
		mux.HandleFunc("GET /server_info", e.info)
	case "tokenspeed":
		mux.HandleFunc("GET /readiness", e.health)
		mux.HandleFunc("POST /generate", e.generate)
		mux.HandleFunc("POST /flush_cache", e.flushCache)
		e.profileRoutes(mux)
	}
	return e.marked(mux)
}

// controlRoutes is TokenSpeed's second port.
func (e *engine) controlRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", e.health)
	mux.HandleFunc("GET /health_check", e.health)
	e.sglangAdmin(mux)
	return e.marked(mux)
}

func (e *engine) sglangAdmin(mux *http.ServeMux) {
	mux.HandleFunc("GET /health_generate", e.health)
	for _, path := range []string{"/server_info", "/get_server_info"} {
		mux.HandleFunc("GET "+path, e.info)
	}
	for _, path := range []string{"/model_info", "/get_model_info"} {
		mux.HandleFunc("GET "+path, e.modelInfo)
	}
	mux.HandleFunc("/flush_cache", e.flushCache)
	for _, path := range []string{"/get_load", "/v1/loads"} {
		mux.HandleFunc("GET "+path, e.loads)
	}
	if e.set.metrics {
		mux.HandleFunc("GET /metrics", e.sglangMetrics)
	}
	e.profileRoutes(mux)
}

func (e *engine) vllmAdmin(mux *http.ServeMux) {
	if e.p.env["VLLM_SERVER_DEV_MODE"] == "1" {
		mux.HandleFunc("POST /reset_prefix_cache", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusOK, map[string]any{"success": e.sched.flush()})
		})
		mux.HandleFunc("POST /reset_mm_cache", func(http.ResponseWriter, *http.Request) {})
		mux.HandleFunc("GET /server_info", e.info)
	}
	if e.set.profilerDir != "" {
		e.profileRoutes(mux)
	}
}

// marked adds the header that tells a simulated response and writes the access log.
func (e *engine) marked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(Header, "1")
		w.Header().Set("Server", "uvicorn")
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		defer func() {
			e.log.access(r.RemoteAddr, r.Method, r.URL.Path, seen.status, http.StatusText(seen.status))
		}()
		next.ServeHTTP(seen, r)
	})
}

// statusWriter remembers the status for the access log.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader keeps the status.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach Flush.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// answer writes a JSON response.
func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// refuse is an OpenAI-style error, in the shape of the engine.
func (e *engine) refuse(w http.ResponseWriter, status int, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	kind := map[int]string{http.StatusNotFound: "NotFoundError", http.StatusServiceUnavailable: "ServiceUnavailable"}[status]
	if kind == "" {
		kind = "BadRequestError"
	}
	if e.id == "vllm" {
		answer(w, status, map[string]any{"error": map[string]any{"message": text, "type": kind, "param": nil, "code": status}})
		return
	}
	answer(w, status, map[string]any{"object": "error", "message": text, "type": kind, "param": nil, "code": status})
}

func (e *engine) health(w http.ResponseWriter, _ *http.Request) {
	if !e.ready.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (e *engine) models(w http.ResponseWriter, _ *http.Request) {
	data := []map[string]any{}
	for _, name := range e.set.served {
		data = append(data, map[string]any{"id": name, "object": "model", "created": e.begun.Unix(), "owned_by": e.id,
			"root": e.set.model.Name, "parent": nil, "max_model_len": e.set.contextLen})
	}
	answer(w, http.StatusOK, map[string]any{"object": "list", "data": data})
}

func (e *engine) version(w http.ResponseWriter, _ *http.Request) {
	p, _ := productOf(e.id)
	answer(w, http.StatusOK, map[string]any{"version": p.version})
}
