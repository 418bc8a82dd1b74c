package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
)

// rowServer answers text and chat, and remembers what it was sent.
type rowServer struct {
	mu   sync.Mutex
	sent []string
}

func (s *rowServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v1/models" {
		_, _ = io.WriteString(w, `{"data":[{"id":"m"}]}`)
		return
	}
	var body struct {
		Prompt   string `json:"prompt"`
		Messages []struct {
			Content string `json:"content"`
		} `json:"messages"`
		MaxTokens int `json:"max_tokens"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	text := body.Prompt
	for _, m := range body.Messages {
		text += m.Content
	}
	s.mu.Lock()
	s.sent = append(s.sent, text)
	s.mu.Unlock()
	<-time.After(5 * time.Millisecond) // a window needs requests that take some time
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"text\":\"w\",\"delta\":{\"content\":\"w\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":1,\"prompt_tokens_details\":{\"cached_tokens\":1}}}\n\ndata: [DONE]\n\n")
}

func rowsFile(t *testing.T, line string, n int) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, line+"\n", i, i%5+1)
	}
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o600))
	return path
}

const (
	promptLine  = `{"prompt":"row %d","output_len":%d}`
	messageLine = `{"messages":[{"role":"user","content":"row %d"}],"output_len":%d}`
)

func loadRows(t *testing.T, args ...string) (result map[string]any, said string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = dispatch(t.Context(), streams{In: strings.NewReader(""), Out: &out, Err: &errs}, append([]string{"loadgen", "run", "--json", "--seed", "7"}, args...))
	if code == 0 {
		require.NoError(t, json.Unmarshal(out.Bytes(), &result), out.String())
	}
	return result, errs.String(), code
}

func TestLoadgenRunSendsRows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		line, kind, path string
		args             []string
	}{
		"prompts":                   {promptLine, "text", bench.PathCompletions, nil},
		"messages choose chat":      {messageLine, "chat", bench.PathChat, nil},
		"prompts as a user's words": {promptLine, "chat", bench.PathChat, []string{"--endpoint", "chat"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &rowServer{}
			h := httptest.NewServer(s)
			defer h.Close()
			records := filepath.Join(t.TempDir(), "records.zst")
			got, said, code := loadRows(t, append([]string{"--url", h.URL, "--dataset", rowsFile(t, c.line, 200), "--max-concurrency", "2", "--num-prompts", "40", "--warmup", "1", "--out", records}, c.args...)...)
			require.Zero(t, code, said)
			workload, _ := got["workload"].(map[string]any)
			require.Equal(t, c.kind, workload["kind"])
			require.Equal(t, c.path, workload["endpoint"])
			require.Equal(t, false, workload["ignore_eos"])
			metrics, _ := got["metrics"].(map[string]any)
			require.Equal(t, 0.25, metrics["prefix_cache_hit_rate"])
			seen := map[string]int{}
			for _, text := range s.sent {
				require.True(t, strings.HasPrefix(text, "row "), text)
				seen[text]++
			}
			raw, err := os.ReadFile(records)
			require.NoError(t, err)
			rec, err := bench.ReadRecords(bytes.NewReader(raw))
			require.NoError(t, err)
			require.Equal(t, 40, rec.Header.Drawn.Rows)
			plain, err := json.Marshal(rec)
			require.NoError(t, err)
			require.NotContains(t, string(plain), "row 1", "records hold no text")
			require.GreaterOrEqual(t, len(seen), 42, "forty measured rows, and others for the warm-up and the first request")
		})
	}
}

func TestLoadgenRunRefusesRowsThatDoNotFit(t *testing.T) {
	t.Parallel()
	s := &rowServer{}
	h := httptest.NewServer(s)
	defer h.Close()
	prompts, messages := rowsFile(t, promptLine, 50), rowsFile(t, messageLine, 50)
	scenario := filepath.Join(t.TempDir(), "s.json")
	require.NoError(t, os.WriteFile(scenario, []byte(`{"name":"x","kind":"text","dataset":"sha256:0","num_prompts":5,"arrival":"burst","stream":true}`), 0o600))
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"too few":                 {[]string{"--dataset", prompts, "--arrival", "burst", "--num-prompts", "500"}, "give a dataset of at least"},
		"messages as completions": {[]string{"--dataset", messages, "--arrival", "burst", "--num-prompts", "5", "--endpoint", "completions"}, "does not take"},
		"no timestamps":           {[]string{"--dataset", prompts, "--arrival", "replay", "--num-prompts", "5"}, "needs timestamps"},
		"lengths of random ones":  {[]string{"--dataset", prompts, "--arrival", "burst", "--input-len", "5"}, "the rows are what is sent"},
		"no such file":            {[]string{"--dataset", prompts + "x", "--arrival", "burst"}, "open dataset"},
		"another dataset":         {[]string{"--dataset", prompts, "--scenario", scenario}, "names another dataset"},
		"a replay at a rate":      {[]string{"--dataset", prompts, "--arrival", "replay", "--num-prompts", "5", "--request-rate", "5"}, "at their own times"},
	} {
		t.Run(name, func(t *testing.T) {
			_, said, code := loadRows(t, append([]string{"--url", h.URL}, c.args...)...)
			require.Equal(t, 2, code, said)
			require.Contains(t, said, c.says)
		})
	}
	require.Empty(t, s.sent, "nothing was sent")
}
