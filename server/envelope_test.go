package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/server"
)

// ask sends one HTTP request and gives its status, headers and body.
func ask(t *testing.T, method, url, body string, header map[string]string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for name, value := range header {
		if req.Header.Set(name, value); value == "" {
			req.Header.Del(name)
		}
	}
	if host := header["Host"]; host != "" {
		req.Host = host
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, res.Header, string(raw)
}

// TestEndedSessionIsRefusedAndAnUnknownOneServed: a client that ended its session has to begin again, one whose server was
// started again has not.
func TestEndedSessionIsRefusedAndAnUnknownOneServed(t *testing.T) {
	t.Parallel()
	url := startHTTP(t, server.New(options()))
	status, header, _ := ask(t, http.MethodPost, url, string(message(server.Era2025, 1, hello(server.Era2025))), nil)
	require.Equal(t, http.StatusOK, status)
	id := header.Get("Mcp-Session-Id")
	require.NotEmpty(t, id)
	session := map[string]string{"Mcp-Session-Id": id, "Mcp-Protocol-Version": server.Era2025}
	list := string(message(server.Era2025, 2, "tools/list"))

	status, _, _ = ask(t, http.MethodPost, url, list, session)
	require.Equal(t, http.StatusOK, status)
	status, _, _ = ask(t, http.MethodDelete, url, "", session)
	require.Equal(t, http.StatusOK, status)
	status, _, body := ask(t, http.MethodPost, url, list, session)
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, "begin a new one with initialize")

	other := startHTTP(t, server.New(options()))
	status, _, body = ask(t, http.MethodPost, other, list, session)
	require.Equal(t, http.StatusOK, status, body)
}

// TestIDsComeBackAsTheyWereSent over HTTP, in one message and in a stream of them.
func TestIDsComeBackAsTheyWereSent(t *testing.T) {
	t.Parallel()
	url := startHTTP(t, server.New(options()))
	for name, params := range map[string]string{
		"one message": `"name":"echo","arguments":{"campaign":"c1"}`,
		"a stream":    `"name":"step","arguments":{},"_meta":{"progressToken":9007199254740995}`,
	} {
		status, header, body := ask(t, http.MethodPost, url, `{"jsonrpc":"2.0","id":9007199254740993,"method":"tools/call","params":{`+params+`}}`,
			map[string]string{"Mcp-Protocol-Version": server.Era2025, "Mcp-Session-Id": "mcp-session-00000000-0000-4000-8000-000000000000"})
		require.Equal(t, http.StatusOK, status, name)
		require.Contains(t, body, `"id":9007199254740993,"result"`, name)
		if name == "a stream" {
			require.Contains(t, header.Get("Content-Type"), "text/event-stream")
			require.Equal(t, 10, strings.Count(body, `"progressToken":9007199254740995`), "every notification is there")
		}
	}
}

// TestWhatIsNoMessageIsABadRequest over HTTP, and so is a refusal by a handler since 2026-07-28.
func TestWhatIsNoMessageIsABadRequest(t *testing.T) {
	t.Parallel()
	url := startHTTP(t, server.New(options()))
	for _, body := range []string{"not JSON", "[]", `"ping"`, `{"jsonrpc":"2.0","id":null,"method":"ping"}`, `{"jsonrpc":"2.0","id":1,"method":5}`} {
		status, _, got := ask(t, http.MethodPost, url, body, nil)
		require.Equal(t, http.StatusBadRequest, status, body)
		require.Contains(t, got, `"error":{"code":-32`, body)
	}
	call := `prompts/get {"name":"tune","arguments":{}}`
	status, _, got := ask(t, http.MethodPost, url, string(message(server.Era2026, 1, call)), modern(call))
	require.Equal(t, http.StatusBadRequest, status, got)
	require.Contains(t, got, `"code":-32602`)
	call = `tools/call {"name":"refuse","arguments":{}}`
	status, _, got = ask(t, http.MethodPost, url, string(message(server.Era2026, 2, call)), modern(call))
	require.Equal(t, http.StatusOK, status, got)
}

// TestLargeMessagesAreServed up to the limit.
func TestLargeMessagesAreServed(t *testing.T) {
	t.Parallel()
	p := startPipe(t, server.New(options()))
	go func() {
		_, _ = fmt.Fprintf(p.in, `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"x":"%s"}}}`+"\n", bytes.Repeat([]byte("x"), 15<<20))
	}()
	require.JSONEq(t, `{"jsonrpc":"2.0","id":1,"result":{}}`, p.next(t))
}
