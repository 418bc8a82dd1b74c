//go:build unix

package sim_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/sim"
)

// TestMain lets the test binary play the programs of a simulated host, as cmd/sotaloop does.
func TestMain(m *testing.M) {
	if run, ok := sim.Personality(os.Args[0]); ok {
		os.Exit(run(os.Args[1:], os.Environ()))
	}
	os.Exit(m.Run())
}

// newHost lays out a host whose engines are this test binary, without noise unless c asks for it.
func newHost(t *testing.T, c sim.Config) *sim.Host {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	if c.NoiseSD == 0 {
		c.NoiseSD = -1
	}
	if c.StartupSpeed == 0 {
		c.StartupSpeed = 2000
	}
	if c.GPUs == 0 {
		c.GPUs = 4
	}
	h, err := sim.New(t.TempDir(), sim.Options{Binary: self, Config: c})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

// program is a run of one of the host's executables.
type program struct {
	cmd  *exec.Cmd
	url  string
	mu   sync.Mutex
	log  bytes.Buffer
	done chan error
}

// Write keeps the log.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *program) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// environment is what every program gets. A program built with the race detector would sleep a second at its end.
func environment(more []string) []string {
	return append([]string{"PATH=/usr/bin:/bin", "GORACE=atexit_sleep_ms=0"}, more...)
}

// freePort is a port that is free together with the one after it, which TokenSpeed needs. Ports below the range that
// the kernel hands out itself stay free until they are used.
func freePort(t *testing.T) int {
	t.Helper()
	for range 200 {
		port := 20000 + rand.IntN(5000)*2
		first, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		second, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		first.Close()
		if err == nil {
			second.Close()
			return port
		}
	}
	require.FailNow(t, "no free ports")
	return 0
}

// argvOf is the launch command of an engine.
func argvOf(h *sim.Host, engine string, port int, flags ...string) []string {
	l := h.Layout()
	e := l.Engines[engine]
	base := map[string][]string{
		"sglang":       {e.Python, "-m", "sglang.launch_server", "--model-path", l.ModelPath},
		"vllm":         {e.Executable, "serve", l.ModelPath},
		"tensorrt_llm": {e.Executable, "serve", l.ModelPath, "--backend", "pytorch"},
		"tokenspeed":   {e.Executable, "serve", l.ModelPath},
	}[engine]
	return append(append(base, "--host", "127.0.0.1", "--port", strconv.Itoa(port)), flags...)
}

// begin starts a program without waiting for it.
func begin(t *testing.T, env []string, argv ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(argv[0], argv[1:]...), done: make(chan error, 1)}
	p.cmd.Env = environment(env)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = 2 * time.Second
	require.NoError(t, p.cmd.Start())
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) })
	return p
}

// launch starts an engine and waits until it is ready.
func launch(t *testing.T, h *sim.Host, engine string, env []string, flags ...string) *program {
	t.Helper()
	port := freePort(t)
	p := begin(t, env, argvOf(h, engine, port, flags...)...)
	p.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		if r, err := http.Get(p.url + "/health"); err == nil {
			r.Body.Close()
			if r.StatusCode == http.StatusOK {
				return p
			}
		}
		select {
		case err := <-p.done:
			require.FailNow(t, "engine ended", "%v\n%s", err, p.text())
		case <-time.After(5 * time.Millisecond):
		}
	}
	require.FailNow(t, "engine not ready", p.text())
	return nil
}

// stop ends an engine as a person would, and returns its status.
func (p *program) stop(t *testing.T) int {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		require.FailNow(t, "engine ignores SIGTERM", p.text())
	}
	return p.cmd.ProcessState.ExitCode()
}

// fails runs an engine that must not get ready; it returns status and log.
func fails(t *testing.T, h *sim.Host, engine string, env []string, flags ...string) (int, string) {
	t.Helper()
	p := begin(t, env, argvOf(h, engine, freePort(t), flags...)...)
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		require.FailNow(t, "engine did not fail", p.text())
	}
	return p.cmd.ProcessState.ExitCode(), p.text()
}

// output runs a program to its end.
func output(t *testing.T, env []string, argv ...string) (string, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Env = environment(env)
	b, err := cmd.CombinedOutput()
	var exited *exec.ExitError
	if !errors.As(err, &exited) {
		require.NoError(t, err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// prompt is n token ids that differ with salt.
func prompt(n, salt int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = 1000 + (salt*7919+i*31)%90000
	}
	return out
}

// answer is what a streamed request saw.
type answer struct {
	text    string
	events  int
	first   time.Duration
	total   time.Duration
	gap     time.Duration // longest between two events
	usage   map[string]any
	done    bool
	finish  string
	headers http.Header
	status  int
	body    string
}

// ask posts a JSON body; streams are read to their end.
func ask(ctx context.Context, url string, body map[string]any) (answer, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(b))
	if err != nil {
		return answer{}, err
	}
	begin := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{headers: resp.Header, status: resp.StatusCode}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		b, err := io.ReadAll(resp.Body)
		a.body = string(b)
		return a, err
	}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, 1<<20)
	var last time.Duration
	for in.Scan() {
		data, ok := strings.CutPrefix(in.Text(), "data: ")
		if !ok {
			continue
		}
		if data == "[DONE]" {
			a.done = true
			continue
		}
		var ev struct {
			Choices []struct {
				Text   string                         `json:"text"`
				Delta  struct{ Role, Content string } `json:"delta"`
				Finish *string                        `json:"finish_reason"`
			} `json:"choices"`
			Usage map[string]any `json:"usage"`
		}
		if err := json.Unmarshal([]byte(data), &ev); err != nil {
			return a, err
		}
		if ev.Usage != nil {
			a.usage = ev.Usage
		}
		for _, c := range ev.Choices {
			if c.Delta.Role != "" {
				continue
			}
			now := time.Since(begin)
			if a.events == 0 {
				a.first = now
			} else {
				a.gap = max(a.gap, now-last)
			}
			last = now
			a.events++
			a.text += c.Text + c.Delta.Content
			if c.Finish != nil {
				a.finish = *c.Finish
			}
		}
	}
	a.total = time.Since(begin)
	return a, in.Err()
}

// completion is the body that the load generator sends.
func completion(model string, ids []int, out int) map[string]any {
	return map[string]any{"model": model, "prompt": ids, "max_tokens": out, "ignore_eos": true, "temperature": 0, "stream": true,
		"stream_options": map[string]any{"include_usage": true}}
}

// closedLoop runs n requests at a concurrency and returns how long they took.
func closedLoop(t *testing.T, url, model string, n, concurrency, in, out int) time.Duration {
	t.Helper()
	begin := time.Now()
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for range concurrency {
		wg.Go(func() {
			for i := range next {
				a, err := ask(t.Context(), url+"/v1/completions", completion(model, prompt(in, i+1), out))
				if err == nil && (a.events != out || !a.done) {
					err = fmt.Errorf("%d events, done %v: %s", a.events, a.done, a.body)
				}
				errs <- err
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	return took
}

func parentOf(path string) string { return filepath.Dir(path) }
