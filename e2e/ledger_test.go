//go:build linux

package e2e_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// line is one line of a ledger, read without the product's own reader.
type line struct {
	Kind    string    `json:"kind"`
	Seq     int       `json:"seq"`
	Time    time.Time `json:"time"`
	Payload answer    `json:"payload"`
}

// readLines reads a file of JSON lines.
func readLines[T any](t *testing.T, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	var out []T
	in := bufio.NewScanner(f)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var v T
		require.NoError(t, json.Unmarshal(in.Bytes(), &v), "%s: %s", path, in.Text())
		out = append(out, v)
	}
	require.NoError(t, in.Err())
	return out
}

// entries are a ledger's payloads by kind.
type entries map[string][]answer

func readLedger(t *testing.T, runDir string) entries {
	t.Helper()
	out := entries{}
	for i, l := range readLines[line](t, filepath.Join(runDir, "ledger.jsonl")) {
		require.Equal(t, i+1, l.Seq)
		out[l.Kind] = append(out[l.Kind], l.Payload)
	}
	return out
}

// count counts a kind's entries by a field.
func (e entries) count(kind, field string) map[string]int {
	out := map[string]int{}
	for _, p := range e[kind] {
		out[p.text(field)]++
	}
	return out
}

// factsOnce checks that every fact is in the ledger once, whatever crashed or failed on the way.
func (e entries) factsOnce(t *testing.T) {
	t.Helper()
	for kind, field := range map[string]string{
		"point.measured": "key", "launch.ended": "launch", "run.planned": "run_id", "run.ended": "run_id", "job.started": "job",
		"job.ended": "job", "trace.captured": "id", "trace.analyzed": "trace", "candidate.added": "id", "search.ended": "entry", "help.captured": "entry",
	} {
		for key, n := range e.count(kind, field) {
			require.Equal(t, 1, n, "%s %s", kind, key)
		}
	}
	require.Len(t, e["run.ended"], len(e["run.planned"]))
	require.Len(t, e["job.ended"], len(e["job.started"]))
}

// nothingTwice checks that every fact was made once, too: no call started a second job, and each launch that was planned
// ran once on the host and ended once.
func (e entries) nothingTwice(t *testing.T, w *world) {
	t.Helper()
	e.factsOnce(t)
	for spec, n := range e.count("job.started", "spec") {
		require.Equal(t, 1, n, "jobs of %s", spec)
	}
	require.Equal(t, map[string]int{"done": len(e["job.started"])}, e.count("job.ended", "state"))
	started := w.launchesOnHost(e)
	require.Len(t, started, len(e["launch.ended"]))
	for launch := range e.count("launch.ended", "launch") {
		require.Equal(t, 1, started[launch], "launches of %s on the host", launch)
	}
}

// launchesOnHost counts the engine processes that the host's workers started for a ledger's runs, by launch.
func (w *world) launchesOnHost(e entries) map[string]int {
	w.t.Helper()
	out := map[string]int{}
	for _, run := range e["run.planned"] {
		for _, ev := range readLines[answer](w.t, filepath.Join(w.layout.Home, "sotaloop", "runs", run.text("run_id"), "events.jsonl")) {
			if ev.text("kind") == "launch.cold" { // it went down again and was followed by the one that is measured
				out[ev.text("launch")]--
			}
			if ev.text("kind") == "launch.started" {
				out[ev.text("launch")]++
			}
		}
	}
	return out
}

// happens waits until the host's workers have recorded an event: its kind and a part of the launch's name, or of a
// capture's.
func (w *world) happens(event string) {
	w.t.Helper()
	kind, name, _ := strings.Cut(event, " ")
	require.Eventually(w.t, func() bool {
		files, _ := filepath.Glob(filepath.Join(w.layout.Home, "sotaloop", "runs", "*", "events.jsonl"))
		for _, file := range files {
			raw, _ := os.ReadFile(file)
			for l := range strings.Lines(string(raw)) {
				var e struct{ Kind, Launch, Capture string }
				if strings.Contains(l, `"kind":"`+kind+`"`) && json.Unmarshal([]byte(l), &e) == nil && strings.Contains(e.Launch+"/"+e.Capture, name) {
					return true
				}
			}
		}
		return false
	}, 2*time.Minute, 25*time.Millisecond, event)
}

// rows counts rows by use and phase.
func (e entries) rows() map[string]int {
	out := map[string]int{}
	for _, p := range e["point.measured"] {
		row, _ := p["row"].(map[string]any)
		out[p.text("use")+" "+answer(row).text("phase")]++
	}
	return out
}
