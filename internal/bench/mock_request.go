package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Validate refuses a schedule that the mock cannot keep.
func (m *Mock) Validate() error {
	if m.TTFT < 2*mockPatience || m.ITL < time.Millisecond {
		return fault.New(fault.InvalidInput, "the mock's first event takes at least %s and the gap between events 1ms, not %s and %s", 2*mockPatience, m.TTFT, m.ITL).At("ttft", m.TTFT.String())
	}
	return nil
}

// mockRequest is what the mock reads of a request's body.
type mockRequest struct {
	MaxTokens     int             `json:"max_tokens"`
	Prompt        json.RawMessage `json:"prompt"`
	Stream        bool            `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
}

// readMockRequest reads a request to its end.
func readMockRequest(request *http.Request) (mockRequest, error) {
	var asked mockRequest
	if request.Method != http.MethodPost || request.URL.Path != PathCompletions {
		_, err := io.Copy(io.Discard, request.Body)
		return asked, err
	}
	err := json.NewDecoder(io.LimitReader(request.Body, 64<<20)).Decode(&asked)
	_, _ = io.Copy(io.Discard, request.Body)
	return asked, err
}

// mockAnswer answers at once what is no stream of events; empty for a stream.
func mockAnswer(request *http.Request, asked mockRequest, err error) string {
	switch {
	case request.Method == http.MethodGet && request.URL.Path == "/v1/models":
		return wholeAnswer("200 OK", `{"object":"list","data":[{"id":"mock","object":"model","created":1700000000,"owned_by":"sotaloop"}]}`)
	case request.Method == http.MethodGet && request.URL.Path == "/health":
		return wholeAnswer("200 OK", "{}")
	case request.URL.Path != PathCompletions:
		return wholeAnswer("404 Not Found", `{"error":{"message":"the mock answers /v1/completions, /v1/models and /health"}}`)
	case request.Method != http.MethodPost || err != nil || asked.MaxTokens < 1 || !asked.Stream:
		return wholeAnswer("400 Bad Request", `{"error":{"message":"the mock streams: POST max_tokens of at least 1 and \"stream\": true"}}`)
	}
	return ""
}

func wholeAnswer(status, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

// promptTokens counts token ids, or the words of a text: the mock has no tokenizer, and its clients need none.
func (r mockRequest) promptTokens() int {
	var ids []int
	if json.Unmarshal(r.Prompt, &ids) == nil {
		return len(ids)
	}
	var text string
	_ = json.Unmarshal(r.Prompt, &text) // any other kind has no words
	return len(strings.Fields(text))
}

// closing is what follows a stream's last token.
func (s *mockStream) closing() string {
	usage := ""
	if s.usage {
		usage = fmt.Sprintf("data: {\"id\":\"cmpl-mock\",\"object\":\"text_completion\",\"model\":\"mock\",\"choices\":[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d}}\n\n",
			s.in, s.total, s.in+s.total)
	}
	return usage + "data: [DONE]\n\n"
}
