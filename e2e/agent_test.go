//go:build linux

package e2e_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/server"
)

// agent is a scripted agent: it knows the tools and what answers and refusals tell it, nothing else.
type agent struct {
	t        *testing.T
	w        *world
	client   *server.Client
	campaign string
	runDir   string
	// restart brings up a new server where the last one was killed, and gives its client.
	restart func() *server.Client
	// patience is how long a job may take; 0 is enough for a simulated host.
	patience time.Duration
}

// answer is an answer, or a refusal, as the agent reads it.
type answer map[string]any

func (a answer) text(key string) string { s, _ := a[key].(string); return s }

func (a answer) number(key string) float64 { n, _ := a[key].(float64); return n }

// at gives a nested object.
func (a answer) at(key string) answer { m, _ := a[key].(map[string]any); return m }

func (a answer) list(key string) []answer {
	var out []answer
	items, _ := a[key].([]any)
	for _, x := range items {
		if m, ok := x.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// String is the answer as JSON, for messages of failed tests.
func (a answer) String() string {
	raw, err := json.Marshal(map[string]any(a))
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// stdioAgent starts a server over stdio and an agent that can start it again.
func (w *world) stdioAgent(era string) (*agent, *process) {
	w.t.Helper()
	p := new(process)
	a := &agent{t: w.t, w: w, restart: func() *server.Client {
		if p.cmd != nil {
			p.kill()
		}
		*p = *w.serve()
		return p.stdio(era)
	}}
	a.client = a.restart()
	return a, p
}

// try makes one tool call; a refusal is an answer too.
func (a *agent) try(tool string, args map[string]any) (out answer, refused bool) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	all := map[string]any{}
	if a.campaign != "" && tool != "list_hosts" {
		all["campaign"] = a.campaign
	}
	maps.Copy(all, args)
	began := time.Now()
	res, err := a.client.Call(ctx, tool, all)
	if took := time.Since(began); took > 5*time.Second && tool != "wait_job" {
		a.t.Logf("%s took %s", tool, took.Round(time.Millisecond))
	}
	require.NoError(a.t, err, tool)
	raw := res.Structured
	if res.IsError {
		require.Empty(a.t, res.Structured, "a refusal has no structured content")
		raw = []byte(res.Text)
	}
	require.NoError(a.t, json.Unmarshal(raw, &out), "%s: %s", tool, raw)
	return out, res.IsError
}

// call makes one tool call that must not be refused.
func (a *agent) call(tool string, args map[string]any) answer {
	a.t.Helper()
	out, refused := a.try(tool, args)
	require.False(a.t, refused, "%s was refused: %s", tool, out)
	return out
}

// refused makes a call that must be refused, with every word in what the agent reads.
func (a *agent) refused(tool string, args map[string]any, words ...string) answer {
	a.t.Helper()
	out, refused := a.try(tool, args)
	require.True(a.t, refused, "%s was not refused: %s", tool, out)
	a.clear(out, words...)
	return out
}

// clear checks that a refusal says what is wrong and what to do next, in words without Go's.
func (a *agent) clear(refusal answer, words ...string) {
	a.t.Helper()
	all := refusal.String()
	for _, w := range words {
		require.Contains(a.t, all, w)
	}
	require.NotEmpty(a.t, refusal.text("message"), all)
	hints, _ := refusal["hints"].([]any)
	want, _ := refusal["want"].([]any)
	require.NotEmpty(a.t, append(append(hints, want...), toAny(refusal.list("next"))...), "no next step: %s", all)
	for _, never := range []string{"&{", "goroutine", "panic", "%!"} {
		require.NotContains(a.t, all, never)
	}
}

func toAny(list []answer) []any {
	out := make([]any, 0, len(list))
	for _, x := range list {
		out = append(out, x)
	}
	return out
}

// job calls a tool, waits for its job and calls again for the result, as every answer says to do.
func (a *agent) job(tool string, args map[string]any) answer {
	a.t.Helper()
	for {
		out := a.call(tool, args)
		if out.text("state") != "running" {
			return out
		}
		end := a.wait(out.text("job"))
		require.Equal(a.t, "done", end.text("state"), "%s: %s", tool, end)
	}
}

// wait waits until a job has ended.
func (a *agent) wait(job string) answer {
	a.t.Helper()
	return a.until(job, func(out answer) bool { return out.text("state") != "running" })
}

// until waits in slices until a job's answer satisfies enough.
func (a *agent) until(job string, enough func(answer) bool) answer {
	a.t.Helper()
	for end := time.Now().Add(max(a.patience, 4*time.Minute)); ; {
		out := a.call("wait_job", map[string]any{"job": job, "timeout_s": 1})
		if enough(out) {
			return out
		}
		require.Contains(a.t, []string{"running", "waiting_for_human"}, out.text("state"), "%s ended: %s", job, out)
		require.True(a.t, time.Now().Before(end), "%s takes too long: %s", job, out)
	}
}

// killedAsking makes a call whose server is killed before it answers, once the campaign's ledger holds word, and gives the
// answer of the server after it.
func (a *agent) killedAsking(tool string, args map[string]any, word string) answer {
	a.t.Helper()
	was, lost := a.client, make(chan error, 1)
	all := map[string]any{"campaign": a.campaign}
	maps.Copy(all, args)
	go func() {
		_, err := was.Call(a.t.Context(), tool, all)
		lost <- err
	}()
	require.Eventually(a.t, func() bool {
		raw, err := os.ReadFile(filepath.Join(a.runDir, "ledger.jsonl"))
		return err == nil && strings.Contains(string(raw), word)
	}, 20*time.Second, time.Millisecond)
	a.client = a.restart()
	require.Error(a.t, <-lost, "the call was answered before its server was killed")
	return a.job(tool, args)
}

// killed is job with a server that is killed each time one of the events happens on the host, and started again. The
// campaign goes on where it was: the same call is the same job.
func (a *agent) killed(tool string, args map[string]any, events ...string) answer {
	a.t.Helper()
	first := a.call(tool, args)
	require.Equal(a.t, "running", first.text("state"), "%s: %s", tool, first)
	for _, event := range events {
		a.w.happens(event)
		a.client = a.restart()
		again := a.call(tool, args)
		require.Equal(a.t, first.text("job"), again.text("job"), "the same call is the same job: %s", again)
	}
	return a.job(tool, args)
}
