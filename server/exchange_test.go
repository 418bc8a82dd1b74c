package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/server"
)

// An exchange file holds "-- calls --", one per line, "method {params}" or "raw bytes", and what the server sends in
// each era. UPDATE=1 rewrites the answers.

var reference = regexp.MustCompile(`reference [A-Z2-7]{8}`)

func TestExchanges(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/exchange/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			golden, err := txtar.ParseFile(file)
			require.NoError(t, err)
			require.Equal(t, "calls", golden.Files[0].Name)
			calls := strings.Split(strings.TrimSpace(string(golden.Files[0].Data)), "\n")
			out := &txtar.Archive{Comment: golden.Comment, Files: golden.Files[:1:1]}
			for _, era := range []string{server.Era2025, server.Era2026} {
				got := overStdio(t, era, calls)
				out.Files = append(out.Files, txtar.File{Name: era, Data: []byte(got)})
				if !strings.Contains(string(golden.Comment), "stdio only") {
					requireSameLines(t, got, overHTTP(t, era, calls), "HTTP answers as standard output does, "+era)
				}
			}
			if os.Getenv("UPDATE") != "" {
				require.NoError(t, os.WriteFile(file, txtar.Format(out), 0o600))
				return
			}
			requireSameLines(t, string(txtar.Format(golden)), string(txtar.Format(out)), file)
		})
	}
}

// requireSameLines compares line by line, so that a failure shows the one that differs.
func requireSameLines(t *testing.T, want, got, what string) {
	t.Helper()
	wants, gots := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(wants), len(gots)) {
		require.Equal(t, wants[i], gots[i], "%s, line %d", what, i+1)
	}
	require.Len(t, gots, len(wants), what)
}

// message renders a call as a client of the era sends it.
func message(era string, id int, call string) []byte {
	method, params, _ := strings.Cut(call, " ")
	if method == "raw" {
		return []byte(params)
	}
	m := map[string]any{}
	if params != "" {
		if err := json.Unmarshal([]byte(params), &m); err != nil {
			return []byte(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, id, method, params))
		}
	}
	if era == server.Era2026 {
		m["_meta"] = merge(m["_meta"], map[string]any{
			"io.modelcontextprotocol/protocolVersion":    era,
			"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "test", "version": "1"},
			"io.modelcontextprotocol/clientCapabilities": map[string]any{},
		})
	}
	raw, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": m})
	return raw
}

func merge(into any, more map[string]any) map[string]any {
	m, _ := into.(map[string]any)
	if m == nil {
		m = map[string]any{}
	}
	for k, v := range more {
		m[k] = v
	}
	return m
}

// hello is how a client of the era begins.
func hello(era string) string {
	if era == server.Era2026 {
		return "server/discover"
	}
	return `initialize {"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"test","version":"1"}}`
}

// pipe is a server on a pair of streams.
type pipe struct {
	in   io.WriteCloser
	out  *bufio.Scanner
	done chan error
}

func startPipe(t *testing.T, s *server.Server) *pipe {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	p := &pipe{in: inW, out: bufio.NewScanner(outR), done: make(chan error, 1)}
	p.out.Buffer(nil, 8<<20)
	go func() {
		err := s.ServeStdio(t.Context(), inR, outW)
		_ = outW.Close()
		p.done <- err
	}()
	t.Cleanup(func() { _ = inW.Close(); _ = outR.Close() })
	return p
}

func (p *pipe) send(t *testing.T, raw []byte) {
	t.Helper()
	_, err := p.in.Write(append(raw, '\n'))
	require.NoError(t, err)
}

func (p *pipe) next(t *testing.T) string {
	t.Helper()
	require.True(t, p.out.Scan(), "the server sends one more line: %v", p.out.Err())
	return p.out.Text()
}

// until collects lines up to the one that answers.
func (p *pipe) until(t *testing.T) []string {
	t.Helper()
	var lines []string
	for {
		line := p.next(t)
		lines = append(lines, line)
		if strings.Contains(line, `"id":`) {
			return lines
		}
	}
}

func overStdio(t *testing.T, era string, calls []string) string {
	p := startPipe(t, server.New(options()))
	p.send(t, message(era, 0, hello(era)))
	p.until(t)
	var out strings.Builder
	for i, call := range calls {
		p.send(t, message(era, i+1, call))
		for _, line := range p.until(t) {
			out.WriteString(tidy(t, line))
		}
	}
	require.NoError(t, p.in.Close())
	require.NoError(t, <-p.done)
	return out.String()
}

func overHTTP(t *testing.T, era string, calls []string) string {
	url := startHTTP(t, server.New(options()))
	session := ""
	post := func(raw []byte) string {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(raw))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		req.Header.Set("Mcp-Protocol-Version", era)
		if session != "" {
			req.Header.Set("Mcp-Session-Id", session)
		}
		var m struct {
			Method string
			Params struct{ Name, URI string }
		}
		if json.Unmarshal(raw, &m) == nil && era == server.Era2026 {
			req.Header.Set("Mcp-Method", m.Method)
			if name := m.Params.Name + m.Params.URI; name != "" {
				req.Header.Set("Mcp-Name", name)
			}
		}
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		if id := res.Header.Get("Mcp-Session-Id"); id != "" {
			session = id
		}
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		var out strings.Builder
		for line := range strings.SplitSeq(string(body), "\n") {
			line = strings.TrimSpace(strings.TrimPrefix(line, "data:"))
			if strings.HasPrefix(line, "{") {
				out.WriteString(tidy(t, line))
			}
		}
		return out.String()
	}
	post(message(era, 0, hello(era)))
	var out strings.Builder
	for i, call := range calls {
		out.WriteString(post(message(era, i+1, call)))
	}
	return out.String()
}

func startHTTP(t *testing.T, s *server.Server) string {
	t.Helper()
	l, err := server.Listen(t.Context(), "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.ServeListener(t.Context(), l, token) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Errorf("ServeListener: %v", err)
		}
	})
	return "http://" + l.Addr().String() + server.Path
}

// tidy renders a message for a golden: one line, what differs between runs replaced.
func tidy(t *testing.T, line string) string {
	t.Helper()
	require.True(t, json.Valid([]byte(line)), line)
	requireNoGoWords(t, line)
	require.NotContains(t, line, secret)
	return reference.ReplaceAllString(line, "reference ABCDEFGH") + "\n"
}
