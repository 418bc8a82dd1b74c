package trace_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

// BenchmarkAnalyze reads five decode steps of a 28-layer model with Python stacks (about 19 MB of JSON), 25 times over in
// one file, and 250 times where SOTALOOP_BENCH_LARGE is set. Beside it stands the decompression alone, in turn with it.
func BenchmarkAnalyze(b *testing.B) {
	copies := map[string]int{"x25": 25}
	if os.Getenv("SOTALOOP_BENCH_LARGE") != "" {
		copies["x250"] = 250
	}
	for name, n := range copies {
		b.Run(name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "large-TP-0.trace.json.gz")
			events, size := replicate(b, "testdata/decode_64-TP-0.trace.json.gz", path, n)
			var whole, plain []float64
			var a *trace.Analysis
			resetPeak()
			for b.Loop() {
				plain = append(plain, timed(b, func() error { return decompress(path) }))
				whole = append(whole, timed(b, func() (err error) {
					a, err = trace.Analyze(b.Context(), []string{path}, trace.Options{})
					return err
				}))
			}
			require.EqualValues(b, events, a.Files[0].Events)
			slices.Sort(whole)
			slices.Sort(plain)
			s, d := whole[len(whole)/2], plain[len(plain)/2]
			b.ReportMetric(s, "s")
			b.ReportMetric(s/d, "x-decompression")
			b.ReportMetric(float64(size)/s/1e6, "MB-JSON/s")
			b.ReportMetric(peakMiB(b), "MiB-peak-RSS")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func timed(b *testing.B, f func() error) float64 {
	b.Helper()
	began := time.Now()
	require.NoError(b, f())
	return time.Since(began).Seconds()
}

func decompress(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, z)
	return err
}

// resetPeak makes the kernel forget the highest resident size so far.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

// peakMiB is the highest resident size of this process.
func peakMiB(b *testing.B) float64 {
	b.Helper()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(raw, []byte("VmHWM:"))
	kib, err := strconv.ParseFloat(string(bytes.Fields(rest)[0]), 64)
	require.NoError(b, err)
	return kib / 1024
}

// replicate writes a trace n times one after the other into one file, with times and ids that go on.
func replicate(tb testing.TB, source, path string, n int) (events int, size int64) {
	tb.Helper()
	head, list := readTrace(tb, source)
	f, err := os.Create(path)
	require.NoError(tb, err)
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	require.NoError(tb, err)
	count := &counting{w: z}
	w := bufio.NewWriterSize(count, 1<<20)
	_, err = w.Write(head)
	require.NoError(tb, err)
	first, last, ids := extent(list)
	for i := range n {
		for k, e := range list {
			if i+k > 0 {
				_, _ = w.WriteString(",\n")
			}
			raw, err := json.Marshal(e.later(float64(i)*(last-first+1000), float64(i)*(ids+1)))
			require.NoError(tb, err)
			_, _ = w.Write(raw)
			events++
		}
	}
	_, _ = w.WriteString("]}\n")
	require.NoError(tb, w.Flush())
	require.NoError(tb, z.Close())
	require.NoError(tb, f.Close())
	return events, count.n
}

// counting counts what is written.
type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.w.Write(p)
}

// rawEvent is an event of a trace as its fields.
type rawEvent map[string]any

// idKeys are the args that join events.
var idKeys = []string{"External id", "correlation"}

// later is the event at a later time with other ids.
func (e rawEvent) later(us, ids float64) rawEvent {
	out := rawEvent{}
	for k, v := range e {
		out[k] = v
	}
	if ts, ok := e["ts"].(float64); ok {
		out["ts"] = json.Number(strconv.FormatFloat(ts+us, 'f', 3, 64))
	}
	args, _ := e["args"].(map[string]any)
	if args == nil {
		return out
	}
	moved := map[string]any{}
	for k, v := range args {
		if id, ok := v.(float64); ok && id != 0 && slices.Contains(idKeys, k) {
			v = id + ids
		}
		moved[k] = v
	}
	out["args"] = moved
	return out
}

// readTrace gives what stands before the events, and the events.
func readTrace(tb testing.TB, path string) (head []byte, events []rawEvent) {
	tb.Helper()
	f, err := os.Open(path)
	require.NoError(tb, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(tb, err)
	text, err := io.ReadAll(z)
	require.NoError(tb, err)
	at := bytes.IndexByte(text[bytes.Index(text, []byte(`"traceEvents"`)):], '[') + bytes.Index(text, []byte(`"traceEvents"`)) + 1
	var whole struct{ TraceEvents []rawEvent }
	require.NoError(tb, json.Unmarshal(text, &whole))
	return text[:at], whole.TraceEvents
}

// extent gives the first and last moment of a trace and its highest id.
func extent(events []rawEvent) (first, last, ids float64) {
	first = 1e18
	for _, e := range events {
		ts, _ := e["ts"].(float64)
		dur, _ := e["dur"].(float64)
		if e["ph"] == "X" {
			first, last = min(first, ts), max(last, ts+dur)
		}
		args, _ := e["args"].(map[string]any)
		for _, k := range idKeys {
			if id, ok := args[k].(float64); ok {
				ids = max(ids, id)
			}
		}
	}
	return first, last, ids
}
