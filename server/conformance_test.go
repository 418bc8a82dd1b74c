//go:build conformance

package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/server"
)

// TestConformance runs the official conformance suite, both of its releases, against the product as people start it and
// against a fixture behind the same middleware, and compares what failed with testdata/conformance/expected.yaml.
// SOTALOOP_CONFORMANCE is the folder where make conformance installed the suite.
func TestConformance(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("SOTALOOP_CONFORMANCE")
	if dir == "" {
		t.Skip("SOTALOOP_CONFORMANCE does not name an installed suite: run make conformance")
	}
	suite := newSuite(t, dir)
	for name, start := range map[string]func(*testing.T) (string, string){"product": startProduct, "fixture": startFixture} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			base, secret := start(t)
			proxy := withToken(t, base, secret)
			for _, set := range sets {
				got := suite.run(t, set, proxy)
				got.judge(t, name, set.name)
			}
		})
	}
}

// startFixture serves the fixture by the door that the product has.
func startFixture(t *testing.T) (base, secret string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l, err := server.Listen(ctx, "127.0.0.1:0")
	require.NoError(t, err)
	secret = rand.Text() + rand.Text()
	done := make(chan error, 1)
	s := conformanceFixture()
	go func() { done <- s.ServeListener(ctx, l, secret) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-done) })
	return "http://" + l.Addr().String(), secret
}

var serving = regexp.MustCompile(`serving MCP on (http://\S+)` + server.Path + ` .* the token in (\S+)`)

// startProduct builds the program and starts it as a person would.
func startProduct(t *testing.T) (base, secret string) {
	t.Helper()
	home := t.TempDir()
	binary := filepath.Join(home, "sotaloop")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../cmd/sotaloop")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, binary, "serve", "--home", home, "--http", "127.0.0.1:0")
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
	stderr, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() { cancel(); _ = c.Wait() })
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if m := serving.FindStringSubmatch(lines.Text()); m != nil {
			token, err := os.ReadFile(m[2])
			require.NoError(t, err)
			go func() {
				for lines.Scan() { // the pipe must not fill
				}
			}()
			return m[1], strings.TrimSpace(string(token))
		}
	}
	t.Fatal("the product did not say where it serves")
	return "", ""
}

// withToken gives the URL of a proxy that adds the token, which the suite cannot send; everything else passes as it is,
// the Host header too.
func withToken(t *testing.T, base, secret string) string {
	t.Helper()
	target, err := url.Parse(base)
	require.NoError(t, err)
	connections := &http.Transport{}
	t.Cleanup(connections.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{Transport: connections, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
		r.Out.Header.Set("Authorization", "Bearer "+secret)
	}}
	// A proxy whose server answers while the last read of the request's body is still to come breaks the answer off; so the
	// body is read first.
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the suite has hung up
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	res, err := http.Get(base + server.Path) //nolint:noctx // one request to loopback
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusUnauthorized, res.StatusCode, "the door is closed without the token")
	return fmt.Sprint(s.URL, server.Path)
}
