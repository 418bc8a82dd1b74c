package bench_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// server is a completions server in the test's process. It emits on an absolute schedule: request arrival + ttft + k·itl.
type server struct {
	ttft, itl time.Duration
	perEvent  int                                            // tokens an event, 0 = 1
	breaks    func(n int, w http.ResponseWriter) (done bool) // takes over request n, if it wants to

	count    atomic.Int64
	inFlight atomic.Int64
	most     atomic.Int64

	mu      sync.Mutex
	bodies  []body
	arrived []time.Time
}

// body is what the client sent.
type body struct {
	Model         string         `json:"model"`
	Prompt        any            `json:"prompt"`
	Messages      []any          `json:"messages"`
	InputIDs      []int          `json:"input_ids"`
	MaxTokens     int            `json:"max_tokens"`
	Temperature   *float64       `json:"temperature"`
	IgnoreEOS     *bool          `json:"ignore_eos"`
	Stream        bool           `json:"stream"`
	StreamOptions map[string]any `json:"stream_options"`
	Seed          *uint64        `json:"seed"`
	Extra         string         `json:"stop"`
}

func (b body) promptLen() int {
	switch p := b.Prompt.(type) {
	case []any:
		return len(p)
	case string:
		return len(strings.Fields(p))
	}
	return len(b.Messages)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	var b body
	if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n := int(s.count.Add(1))
	for flight, most := s.inFlight.Add(1), s.most.Load(); flight > most && !s.most.CompareAndSwap(most, flight); most = s.most.Load() {
	}
	s.mu.Lock()
	s.bodies, s.arrived = append(s.bodies, b), append(s.arrived, now)
	s.mu.Unlock()
	defer s.inFlight.Add(-1)
	if s.breaks != nil && s.breaks(n, w) {
		return
	}
	s.stream(w, r, b, now)
}

func (s *server) stream(w http.ResponseWriter, r *http.Request, b body, start time.Time) {
	w.Header().Set("Content-Type", "text/event-stream")
	per := max(s.perEvent, 1)
	for k := 0; k*per < b.MaxTokens; k++ {
		wait := time.NewTimer(time.Until(start.Add(s.ttft + time.Duration(k)*s.itl)))
		select {
		case <-wait.C:
		case <-r.Context().Done():
			return
		}
		finish := "null"
		if (k+1)*per >= b.MaxTokens {
			finish = `"length"`
		}
		_, _ = fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"text\":\"%s\",\"finish_reason\":%s}]}\n\n", strings.Repeat("w ", per), finish)
		w.(http.Flusher).Flush()
		if finish != "null" {
			// The inflight count falls before the client can know that the request has ended.
			break
		}
	}
	_, _ = fmt.Fprintf(w, "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d}}\n\ndata: [DONE]\n\n", b.promptLen(), b.MaxTokens)
}

// serve starts the server and gives its target.
func serve(t *testing.T, s http.Handler) bench.Target {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return bench.Target{BaseURL: srv.URL, Path: bench.PathCompletions, Model: "m"}
}

func ptr[T any](v T) *T { return &v }

// closed is a closed-loop scenario.
func closed(prompts, slots int) bench.Spec {
	return bench.Spec{Seed: 7, Vocab: bench.TokenRange{Lo: 10, Hi: 30000}, Scenario: contract.Scenario{Name: "chat", Kind: contract.KindRandom,
		InputLen: 8, OutputLen: 4, NumPrompts: prompts, Arrival: contract.ArrivalClosed, MaxConcurrency: &slots, IgnoreEOS: true, Stream: true}}
}

// open is a Poisson scenario over a short window.
func open(rate float64, window time.Duration) bench.Spec {
	s := closed(1, 1)
	s.Scenario.Arrival, s.Scenario.MaxConcurrency, s.Scenario.RequestRate = contract.ArrivalPoisson, nil, &rate
	s.Window = bench.WindowRule{Min: window, Lead: window / 5}
	return s
}
