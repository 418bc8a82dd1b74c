package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/redact"
	"github.com/sotaloop/sotaloop/server"
	"github.com/sotaloop/sotaloop/tools"
	"github.com/sotaloop/sotaloop/transcripts"
)

// gate is a tool whose calls stay inside until they are let go or cancelled.
type gate struct {
	inside  atomic.Int64
	entered chan struct{}
	open    chan struct{}
}

func newGate() *gate { return &gate{entered: make(chan struct{}, 1000), open: make(chan struct{})} }

func (g *gate) tool(name string) tools.Tool {
	return textTool(name, func(ctx context.Context) (string, error) {
		g.inside.Add(1)
		defer g.inside.Add(-1)
		g.entered <- struct{}{}
		select {
		case <-g.open:
			return "through", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
}

func dialPipes(t *testing.T, s *server.Server, opts server.DialOptions) *server.Client {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := s.ServeStdio(context.WithoutCancel(t.Context()), inR, outW)
		_ = outW.Close()
		done <- err
	}()
	c, err := server.DialPipes(t.Context(), outR, inW, opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if err := <-done; err != nil {
			t.Errorf("ServeStdio: %v", err)
		}
	})
	return c
}

func TestClientInBothErasAndTransports(t *testing.T) {
	t.Parallel()
	for _, era := range []string{server.Era2025, server.Era2026} {
		for _, transport := range []string{"stdio", "http"} {
			t.Run(era+" "+transport, func(t *testing.T) {
				t.Parallel()
				var mu sync.Mutex
				var steps []string
				opts := server.DialOptions{Era: era, Name: "test", Version: "1", Progress: func(message string, done, total float64) {
					mu.Lock()
					defer mu.Unlock()
					steps = append(steps, fmt.Sprintf("%s %v/%v", message, done, total))
				}}
				var c *server.Client
				if transport == "stdio" {
					c = dialPipes(t, server.New(options()), opts)
				} else {
					var err error
					opts.Token = token
					c, err = server.DialHTTP(t.Context(), startHTTP(t, server.New(options())), opts)
					require.NoError(t, err)
					t.Cleanup(func() { _ = c.Close() })
				}
				require.Equal(t, "Call echo.", c.Instructions())
				listed, err := c.Tools(t.Context())
				require.NoError(t, err)
				require.Len(t, listed, len(fixtures()))

				got, err := c.Call(t.Context(), "echo", map[string]any{"campaign": "c1", "blocks": 1 << 53})
				require.NoError(t, err)
				require.True(t, got.IsError, "65 is the limit")
				got, err = c.Call(t.Context(), "echo", map[string]any{"campaign": "c1"})
				require.NoError(t, err)
				require.False(t, got.IsError)
				require.JSONEq(t, got.Text, string(got.Structured))
				require.Contains(t, got.Text, `"campaign":"c1"`)

				got, err = c.Call(t.Context(), "refuse", nil)
				require.NoError(t, err)
				require.True(t, got.IsError)
				require.Nil(t, got.Structured)
				require.Contains(t, got.Text, `"rule":"evid.row-known"`)

				_, err = c.Call(t.Context(), "run_shell", nil)
				require.ErrorContains(t, err, `unknown tool "run_shell", valid are echo, `)

				got, err = c.Call(t.Context(), "step", nil)
				require.NoError(t, err)
				require.Contains(t, got.Text, "done")
				mu.Lock()
				defer mu.Unlock()
				require.Len(t, steps, 10)
				require.Equal(t, "step 10 10/10", steps[9])
			})
		}
	}
}

func TestWaitsDoNotStarveOtherCalls(t *testing.T) {
	t.Parallel()
	waiting, other := newGate(), newGate()
	s := server.New(server.Options{Name: "x", Version: "1", Tools: []tools.Tool{waiting.tool("wait_job"), other.tool("other")}, Waits: map[string]int{"wait_job": 16}})
	c := dialPipes(t, s, server.DialOptions{})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			got, err := c.Call(t.Context(), "wait_job", nil)
			require.NoError(t, err)
			require.False(t, got.IsError)
		})
	}
	for range 16 {
		<-waiting.entered
	}
	got, err := c.Call(t.Context(), "wait_job", nil)
	require.NoError(t, err)
	require.True(t, got.IsError)
	require.Contains(t, got.Text, `"code":"busy"`)
	require.Contains(t, got.Text, `16 calls of \"wait_job\" are waiting already`)

	// Sixteen places are left for everything else; a seventeenth call waits for one and is not lost.
	for range 17 {
		wg.Go(func() {
			got, err := c.Call(t.Context(), "other", nil)
			require.NoError(t, err)
			require.False(t, got.IsError)
		})
	}
	for range 16 {
		<-other.entered
	}
	require.EqualValues(t, 16, other.inside.Load())
	require.EqualValues(t, 16, waiting.inside.Load())
	close(other.open)
	close(waiting.open)
	wg.Wait()
}

func TestCancelReachesTheHandler(t *testing.T) {
	t.Parallel()
	for _, era := range []string{server.Era2025, server.Era2026} {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			g := newGate()
			p := startPipe(t, server.New(server.Options{Name: "x", Version: "1", Tools: []tools.Tool{g.tool("wait")}}))
			p.send(t, message(era, 1, hello(era)))
			p.until(t)
			p.send(t, message(era, 2, `tools/call {"name":"wait","arguments":{}}`))
			<-g.entered
			p.send(t, []byte(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`))
			require.Eventually(t, func() bool { return g.inside.Load() == 0 }, time.Minute, time.Millisecond)
			p.send(t, message(era, 3, "tools/list"))
			require.Contains(t, p.until(t)[0], `"id":3`, "a request that was taken back is not answered")
		})
	}
}

func TestEndOfInputAnswersWhatWasAsked(t *testing.T) {
	t.Parallel()
	var in bytes.Buffer
	for i, call := range []string{hello(server.Era2025), "tools/list", `tools/call {"name":"echo","arguments":{"campaign":"c1"}}`} {
		in.Write(message(server.Era2025, i, call))
		in.WriteByte('\n')
	}
	in.WriteString("\n\n" + string(message(server.Era2025, 9, `tools/call {"name":"leak"}`))) // without an end of line
	var out bytes.Buffer
	require.NoError(t, server.New(options()).ServeStdio(t.Context(), &in, &out))
	require.Equal(t, 4, strings.Count(out.String(), "\n"))
	for _, id := range []string{`"id":0`, `"id":1`, `"id":2`, `"id":9`} {
		require.Contains(t, out.String(), id)
	}
}

func TestEndOfInputCancelsWhatGoesOn(t *testing.T) {
	t.Parallel()
	g := newGate()
	p := startPipe(t, server.New(server.Options{Name: "x", Version: "1", Tools: []tools.Tool{g.tool("wait")}}))
	p.send(t, message(server.Era2025, 2, `tools/call {"name":"wait","arguments":{}}`))
	<-g.entered
	go func() { _, _ = io.Copy(io.Discard, readerOf(p)) }()
	require.NoError(t, p.in.Close())
	require.NoError(t, <-p.done)
	require.Zero(t, g.inside.Load())
}

// readerOf drains what a pipe's server still sends.
func readerOf(p *pipe) io.Reader {
	r, w := io.Pipe()
	go func() {
		for p.out.Scan() {
		}
		_ = w.Close()
	}()
	return r
}

func TestDoneContextEndsBothTransports(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := server.New(server.Options{Name: "x", Version: "1", Tools: []tools.Tool{g.tool("wait")}})
	ctx, cancel := context.WithCancel(t.Context())
	l, err := server.Listen(ctx, "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 2)
	go func() { done <- s.ServeListener(ctx, l, token) }()
	block, _ := io.Pipe()
	go func() { done <- s.ServeStdio(ctx, block, io.Discard) }()
	go func() {
		c, err := server.DialHTTP(t.Context(), "http://"+l.Addr().String()+server.Path, server.DialOptions{Token: token})
		if err == nil {
			_, _ = c.Call(t.Context(), "wait", nil)
		}
	}()
	<-g.entered
	cancel()
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	require.Zero(t, g.inside.Load())
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestClosedOutputEndsTheServer(t *testing.T) {
	t.Parallel()
	in, w := io.Pipe()
	go func() { _, _ = w.Write(append(message(server.Era2025, 1, "tools/list"), '\n')) }()
	require.ErrorIs(t, server.New(options()).ServeStdio(t.Context(), in, brokenPipe{}), io.ErrClosedPipe)
}

func TestTooLongMessageIsRefusedAndTheNextOneServed(t *testing.T) {
	t.Parallel()
	p := startPipe(t, server.New(options()))
	go func() {
		_, _ = p.in.Write(bytes.Repeat([]byte("x"), 17<<20))
		_, _ = p.in.Write([]byte("\n"))
		_, _ = p.in.Write(append(message(server.Era2025, 2, "ping"), '\n'))
	}()
	got := p.next(t) + p.next(t)
	require.Contains(t, got, `"code":-32700`)
	require.Contains(t, got, `"id":2,"result":{}`)
}

func TestTranscriptHoldsEveryMessage(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"stdio", "http"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			opts := options()
			opts.Transcript = transcripts.New(t.TempDir(), opts.Redact)
			calls := []string{
				`tools/call {"name":"echo","arguments":{"campaign":"` + secret + `"}}`, `tools/call {"name":"echo","arguments":{"comand":1}}`,
				`tools/call {"name":"run_shell","arguments":{}}`, `tools/call {"name":"step","_meta":{"progressToken":1}}`,
			}
			if transport == "stdio" {
				p := startPipe(t, server.New(opts))
				for i, call := range calls {
					p.send(t, message(server.Era2025, i, call))
					p.until(t)
				}
				p.send(t, []byte("not JSON "+secret))
				p.until(t)
			} else {
				url := startHTTP(t, server.New(opts))
				for i, call := range calls {
					post(t, url, message(server.Era2026, i, call), modern(call))
				}
				post(t, url, []byte("not JSON "+secret), nil)
			}
			raw, err := os.ReadFile(opts.Transcript.Path())
			require.NoError(t, err)
			require.NotContains(t, string(raw), secret)
			records, _, err := transcripts.Read(opts.Transcript.Path())
			require.NoError(t, err)
			var kinds []string
			for _, r := range records {
				kinds = append(kinds, r.Kind)
			}
			rs := []string{transcripts.Received, transcripts.Sent}
			want := append(append(append([]string{}, rs...), rs...), rs...)
			want = append(want, transcripts.Received)
			for range 11 {
				want = append(want, transcripts.Sent)
			}
			require.Equal(t, append(want, transcripts.Undecodable, transcripts.Sent), kinds)
			require.Contains(t, string(records[3].Message), "did you mean")
			require.Contains(t, string(records[5].Message), "unknown tool")
			require.Contains(t, string(records[17].Message), `\"text\":\"done\"`)
		})
	}
}

// post sends one HTTP request and gives its status and body.
func post(t *testing.T, url string, raw []byte, header map[string]string) (int, string) {
	t.Helper()
	status, _, body := ask(t, http.MethodPost, url, string(raw), header)
	return status, body
}

// modern gives the headers that the newer era asks for.
func modern(call string) map[string]string {
	method, params, _ := strings.Cut(call, " ")
	out := map[string]string{"Mcp-Protocol-Version": server.Era2026, "Mcp-Method": method}
	var p struct{ Name string }
	if json.Unmarshal([]byte(params), &p) == nil && p.Name != "" {
		out["Mcp-Name"] = p.Name
	}
	return out
}

func TestHTTPTurnsForeignPagesAway(t *testing.T) {
	t.Parallel()
	url := startHTTP(t, server.New(options()))
	call := message(server.Era2026, 1, "tools/list")
	for name, c := range map[string]struct {
		header map[string]string
		status int
	}{
		"no page":            {nil, http.StatusOK},
		"a local page":       {map[string]string{"Origin": "http://localhost:3000"}, http.StatusOK},
		"a foreign page":     {map[string]string{"Origin": "https://evil.example"}, http.StatusForbidden},
		"a page of no place": {map[string]string{"Origin": "null"}, http.StatusForbidden},
		"a rebound name":     {map[string]string{"Host": "evil.example"}, http.StatusForbidden},
		"a rebound port":     {map[string]string{"Host": "evil.example:8730"}, http.StatusForbidden},
		"a name like ours":   {map[string]string{"Host": "localhost.evil.example"}, http.StatusForbidden},
		"our name":           {map[string]string{"Host": "LOCALHOST:8730"}, http.StatusOK},
		"our other address":  {map[string]string{"Host": "[::1]:8730"}, http.StatusOK},
		"all addresses":      {map[string]string{"Host": "0.0.0.0"}, http.StatusForbidden},
		"a page's form":      {map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		"no token":           {map[string]string{"Authorization": ""}, http.StatusUnauthorized},
		"an empty token":     {map[string]string{"Authorization": "Bearer "}, http.StatusUnauthorized},
		"a wrong token":      {map[string]string{"Authorization": "Bearer " + token + "x"}, http.StatusUnauthorized},
		"half a token":       {map[string]string{"Authorization": "Bearer " + token[:20]}, http.StatusUnauthorized},
		"the token alone":    {map[string]string{"Authorization": token}, http.StatusUnauthorized},
		"another scheme":     {map[string]string{"Authorization": "Basic " + token}, http.StatusUnauthorized},
		"a scheme in small":  {map[string]string{"Authorization": "bearer " + token}, http.StatusOK},
		"a page without one": {map[string]string{"Authorization": "", "Origin": "https://evil.example"}, http.StatusForbidden},
	} {
		header := modern("tools/list")
		maps.Copy(header, c.header)
		status, body := post(t, url, call, header)
		require.Equal(t, c.status, status, "%s: %s", name, body)
	}
	status, _ := post(t, url+"?token="+token, call, map[string]string{"Authorization": ""})
	require.Equal(t, http.StatusUnauthorized, status, "a token in the address would be in logs")
	status, _ = post(t, url, bytes.Repeat([]byte("x"), 17<<20), nil)
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	status, _ = post(t, strings.TrimSuffix(url, server.Path)+"/other", call, nil)
	require.Equal(t, http.StatusNotFound, status)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	for _, want := range []int{http.StatusUnauthorized, http.StatusMethodNotAllowed} { // without the token, and with it
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, want, res.StatusCode)
		if want == http.StatusUnauthorized {
			require.Equal(t, `Bearer realm="sotaloop"`, res.Header.Get("WWW-Authenticate"))
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
}

func TestOnlyLoopbackIsServed(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{":8080", "0.0.0.0:8080", "[::]:8080", "192.168.1.1:8080", "example.com:8080"} {
		_, err := server.Listen(t.Context(), addr)
		f, ok := fault.As(err)
		require.True(t, ok, addr)
		require.Equal(t, fault.Denied, f.Code)
		require.Equal(t, []string{"127.0.0.1:8080", "[::1]:8080"}, f.Want)
		require.Contains(t, strings.Join(f.Hints, " "), "ssh")
	}
	_, err := server.Listen(t.Context(), "8080")
	require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
	l, err := server.Listen(t.Context(), "localhost:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

func TestInternalErrorsAreInTheLogOnly(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	opts := options()
	opts.Log = slog.New(slog.NewTextHandler(&log, nil))
	p := startPipe(t, server.New(opts))
	p.send(t, message(server.Era2025, 1, `tools/call {"name":"boom"}`))
	got := p.until(t)[0]
	ref := reference.FindString(got)
	require.NotEmpty(t, ref)
	require.Contains(t, log.String(), strings.TrimPrefix(ref, "reference "))
	require.Contains(t, log.String(), "index out of range")
	require.Contains(t, log.String(), "fixture_test.go")
}

func TestSchemasSuitStrictClients(t *testing.T) {
	t.Parallel()
	for _, raw := range []json.RawMessage{server.InputSchema(reflect.TypeFor[echoIn]()), server.OutputSchema(reflect.TypeFor[echoOut]()), server.InputSchema(reflect.TypeFor[noIn]())} {
		for _, word := range []string{"$schema", "$id", "$ref", "$defs", `"title"`, `:true`, `"type":[`, "anyOf", "oneOf"} {
			require.NotContains(t, string(raw), word)
		}
	}
	require.JSONEq(t, `{"type":"object","properties":{
		"state":{"type":"string"},"job":{"type":"string"},
		"warnings":{"type":"array","items":{"type":"string"}},"evidence":{"type":"array","items":{"type":"string"}},
		"next":{"type":"array","items":{"type":"object"}},"in":{"type":"object"},"rows":{"type":"array","items":{"type":"object"}},
		"measured":{"type":"number"},"contract":{"type":"object"},"extra":{"type":"object"}}}`, string(server.OutputSchema(reflect.TypeFor[echoOut]())))
	require.JSONEq(t, `{"type":"object","properties":{},"additionalProperties":false}`, string(server.InputSchema(reflect.TypeFor[noIn]())))
	require.Contains(t, string(server.InputSchema(reflect.TypeFor[echoIn]())), `"required":["campaign"]`)
}

func FuzzArguments(f *testing.F) {
	f.Add([]byte(`{"campaign":"c1","framework":"vllm","gpus":[1],"symptom":{"scenario":"a","metric":"b"},"space":{"a":[1]},"sla":"none"}`))
	f.Add([]byte(`{"campaign":1e400,"blocks":"0x10","plan":"true","sla":{"none":"true"}}`))
	f.Add([]byte(`{"campaign":"\ud800","campaign":[]}`))
	opts := options()
	opts.Redact = redact.New(nil)
	s := server.New(opts)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) || bytes.ContainsAny(raw, "\r\n") {
			return
		}
		in := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":%s}}`, raw)
		var out bytes.Buffer
		require.NoError(t, s.ServeStdio(t.Context(), bytes.NewReader(in), &out))
		require.NotContains(t, out.String(), "internal error")
		require.Equal(t, 1, strings.Count(out.String(), "\n"), out.String())
	})
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		server.New(options())
	}
}

func BenchmarkCall(b *testing.B) {
	s := server.New(options())
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	go func() { _ = s.ServeStdio(b.Context(), inR, outW) }()
	c, err := server.DialPipes(b.Context(), outR, inW, server.DialOptions{})
	require.NoError(b, err)
	for b.Loop() {
		_, err := c.Call(b.Context(), "leak", nil)
		require.NoError(b, err)
	}
}
