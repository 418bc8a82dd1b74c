package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/framework"
)

const (
	maxReply  = 1 << 20
	maxInfo   = 128 << 10
	flushFor  = 60 * time.Second // how long a busy server is asked to flush
	flushWait = 250 * time.Millisecond
)

// control talks to a server's own endpoints on loopback: no proxy, no redirect, no connection kept.
type control struct {
	client *http.Client
	port   int // of the API
	offset int // of the control endpoints
}

func newControl(port, offset int) *control {
	return &control{port: port, offset: offset, client: &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// reply is a server's answer.
type reply struct {
	status int
	body   []byte
}

func (r reply) isOK() bool {
	if r.status < 200 || r.status > 299 {
		return false
	}
	var said struct {
		Success *bool `json:"success"`
	}
	return json.Unmarshal(r.body, &said) != nil || said.Success == nil || *said.Success
}

func (c *control) send(ctx context.Context, port int, call framework.Call) (reply, error) {
	var body io.Reader
	if call.Body != "" {
		body = strings.NewReader(call.Body)
	}
	url := "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + call.Path
	req, err := http.NewRequestWithContext(ctx, call.Method, url, body)
	if err != nil {
		return reply{}, err
	}
	if call.Body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxReply))
	return reply{status: res.StatusCode, body: raw}, err
}

// isReady asks the readiness endpoint once.
func (c *control) isReady(ctx context.Context, path string) bool {
	r, err := c.send(ctx, c.port, framework.Call{Method: http.MethodGet, Path: path})
	return err == nil && r.status == http.StatusOK
}

// info gives the server's resolved arguments from the first path that answers, as one JSON text, or nothing.
func (c *control) info(ctx context.Context, paths []string) string {
	for _, path := range paths {
		for _, port := range []int{c.port + c.offset, c.port} {
			ctx, stop := context.WithTimeout(ctx, 10*time.Second)
			r, err := c.send(ctx, port, framework.Call{Method: http.MethodGet, Path: path})
			stop()
			if err == nil && r.status == http.StatusOK && json.Valid(r.body) && len(r.body) <= maxInfo {
				return string(r.body)
			}
			if c.offset == 0 {
				break
			}
		}
	}
	return ""
}

// flush empties the prefix cache, asking again while the server says that it is busy.
func (c *control) flush(ctx context.Context, call framework.Call) error {
	var last string
	for end := time.Now().Add(flushFor); ; {
		r, err := c.send(ctx, c.port+c.offset, call)
		if err == nil && r.isOK() {
			return nil
		}
		if err != nil {
			last = err.Error()
		} else {
			last = fmt.Sprintf("status %d: %s", r.status, cleanLine(string(r.body), 200))
		}
		if err == nil && (r.status == http.StatusNotFound || r.status == http.StatusMethodNotAllowed) || time.Now().After(end) {
			return fmt.Errorf("%s %s: %s", call.Method, call.Path, last)
		}
		if err := pause(ctx, flushWait); err != nil {
			return err
		}
	}
}
