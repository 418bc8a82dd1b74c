package trace_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/trace"
)

const oneKernel = `{"ph":"X","cat":"kernel","name":"k","ts":%TS,"dur":%DUR,"pid":0,"tid":7,"args":{}}`

// kernelText is an event as text, with times as written.
func kernelText(ts, dur string) string {
	return strings.NewReplacer("%TS", ts, "%DUR", dur).Replace(oneKernel)
}

func TestBadInputIsAClearError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		code fault.Code
		says string
	}{
		"empty":       {"", fault.Corrupt, "empty or unreadable at byte 0"},
		"no events":   {`{"hello": [1, 2, 3]}`, fault.InvalidInput, "no list of events"},
		"not json":    {"hello", fault.Corrupt, "no JSON object or list at byte 0"},
		"no work":     {`{"traceEvents":[{"ph":"M","name":"x"}]}`, fault.InvalidInput, "neither GPU events nor operators"},
		"NaN":         {`{"traceEvents":[` + kernelText("NaN", "5") + `]}`, fault.InvalidInput, "neither GPU events"},
		"negative":    {`{"traceEvents":[` + kernelText("1", "-5") + `]}`, fault.InvalidInput, "neither GPU events"},
		"huge":        {`{"traceEvents":[` + kernelText("1", "1e308") + `]}`, fault.InvalidInput, "neither GPU events"},
		"deep":        {`{"traceEvents":[` + strings.Repeat(`{"a":`, 100_000), fault.Corrupt, "nesting deeper"},
		"broken key":  {`{"traceEvents":[{"ph" "X"}]}`, fault.Corrupt, "malformed JSON"},
		"bad gzip":    {"\x1f\x8bnothing", fault.Corrupt, "could not be read"},
		"long string": {`{"traceEvents":[{"name":"` + strings.Repeat("A", 9<<20) + `"}]}`, fault.InvalidInput, "neither GPU events"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := trace.Analyze(t.Context(), []string{writeFile(t, "x.trace.json", []byte(c.text))}, trace.Options{})
			require.Error(t, err)
			require.Equal(t, c.code, fault.CodeOf(err), err)
			require.Contains(t, err.Error(), c.says)
		})
	}
	_, err := trace.Analyze(t.Context(), []string{"no/such/file"}, trace.Options{})
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}

// What was read before the damage is kept, marked, with the place.
func TestDamagedFilesAreIncomplete(t *testing.T) {
	t.Parallel()
	good := `{"traceEvents":[` + kernelText("1", "5") + "," + kernelText("10", "5")
	for name, c := range map[string]struct {
		text   string
		offset int
	}{
		"cut after an event":  {good, len(good)},
		"cut inside an event": {good + `,{"ph":"X","cat":"ker`, len(good) + 21},
		"broken event":        {good + `,{"ph":!}]}`, len(good) + 1},
		"too deep":            {good + `,{"a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + "}]}", len(good) + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := analyze(t, writeFile(t, "x.trace.json", []byte(c.text)))
			require.True(t, a.Incomplete)
			require.Equal(t, int64(c.offset), a.Files[0].OffsetBytes, a.Files[0].Error)
			require.Equal(t, 2, kernelNamed(t, a, "k").Launches)
		})
	}
	whole := analyze(t, writeFile(t, "x.trace.json", []byte(good+"]}")))
	require.False(t, whole.Incomplete)
	require.Equal(t, int64(-1), whole.Files[0].OffsetBytes)
	list := analyze(t, writeFile(t, "x.trace.json", []byte("["+kernelText("1", "5")+"]"))) // a bare list is a trace, too
	require.False(t, list.Incomplete)
}

func TestDamagedCompression(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/tp2_decode-TP-0.trace.json.gz")
	require.NoError(t, err)
	cut := analyze(t, writeFile(t, "x-TP-0.trace.json.gz", text[:len(text)*9/10]))
	require.True(t, cut.Incomplete)
	require.Positive(t, cut.Files[0].OffsetBytes)
	require.Contains(t, cut.Files[0].Error, "unexpected EOF")
	flipped := bytes.Clone(text)
	flipped[len(flipped)*9/10] ^= 0xff
	bad := analyze(t, writeFile(t, "x-TP-0.trace.json.gz", flipped))
	require.True(t, bad.Incomplete)
	require.NotEqual(t, cut.Files[0].Digest, bad.Files[0].Digest)
}

// Events span chunks of every alignment; a value far larger than a chunk is passed over.
func TestChunkBorders(t *testing.T) {
	t.Parallel()
	event := `{"args":{"correlation":1,"grid":[4,6,1]},"ph":"X","ts":1.5,"cat":"kernel","dur":2,"name":"k \"é\" \\","pid":"GPU 0","tid":"s"}`
	huge := `{"name":"` + strings.Repeat("xxxxxxxxxxxxxx\\\"", 400_000) + `","ph":"X"}`
	var b strings.Builder
	b.WriteString(`{"a":{"b":[1,{"c":"]}"}]},"traceEvents":[`)
	const n = 12_000
	for i := range n {
		b.WriteString(event)
		b.WriteString(strings.Repeat(" ", i%37) + ",\n")
		if i == n/2 {
			b.WriteString(huge + ",")
		}
	}
	b.WriteString(event + `],"traceName":"x"}`)
	for name, data := range map[string][]byte{"x.trace.json": []byte(b.String()), "x.trace.json.gz": zipped(t, []byte(b.String()))} {
		a := analyze(t, writeFile(t, name, data))
		k := kernelNamed(t, a, `k "é" \`)
		require.Equal(t, n+1, k.Launches)
		require.InDelta(t, 2.0*(n+1), k.TotalUS, 1e-6)
		require.True(t, a.Incomplete) // one event was too large
		require.Contains(t, strings.Join(a.Notes, "\n"), "left out 1 events larger")
	}
}

func TestHostileFilesKeepMemoryBounded(t *testing.T) {
	// Gzip files may be concatenated: eight megabytes of zeros, compressed once, many times over.
	zeros := make([]byte, 8<<20)
	bomb := append(zipped(t, []byte(`{"traceEvents":["`)), bytes.Repeat(zipped(t, zeros), trace.MaxSkip/len(zeros)+1)...)
	path := writeFile(t, "bomb.trace.json.gz", bomb)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := trace.Analyze(t.Context(), []string{path}, trace.Options{})
	runtime.ReadMemStats(&after)
	require.ErrorContains(t, err, "a value of more than")
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
}

func TestCancellationIsPrompt(t *testing.T) {
	t.Parallel()
	path := writeFile(t, "x.trace.json", []byte(`{"traceEvents":[`+strings.Repeat(kernelText("1", "5")+",", 400_000)))
	ctx, cancel := context.WithCancel(t.Context())
	var read, size int64
	_, err := trace.Analyze(ctx, []string{path}, trace.Options{Progress: func(done, total int64) {
		if read, size = done, total; done > total/4 {
			cancel()
		}
	}})
	cancel()
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, read, size/3) // not read to the end, nor much further than to where it was cancelled
}

func TestProgressReachesTheEnd(t *testing.T) {
	t.Parallel()
	var done, total int64
	paths := []string{"testdata/tp2_prefill-TP-0.trace.json.gz", "testdata/tp2_prefill-TP-1.trace.json.gz"}
	_, err := trace.Analyze(t.Context(), paths, trace.Options{Progress: func(d, n int64) { done, total = d, n }})
	require.NoError(t, err)
	require.Equal(t, total, done)
	require.Equal(t, int64(55595+57505), total)
}

func TestDirectories(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, text string) {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	good := `{"traceEvents":[` + kernelText("1", "5") + `]}`
	put("prefill/1700000000/1-TP-0.trace.json", good)
	put("prefill/1700000000/1-TP-1.trace.json", good)
	put("decode/dp0_pp0_tp0_dcp0_ep0_rank1.1776867152.pt.trace.json", good)
	put("decode/merged-1.trace.json", good)
	put("decode/host_12.async_llm.177.pt.trace.json", good)
	put("decode/graph_capture_profile/rank0.pt.trace.json", good)
	put("decode/capture_traces/rank0.pt.trace.json", good)
	put("decode/rank0.part3.trace.json", good)
	put("decode/profiler_out_0.txt", "text")
	put("server_args.json", "{}")
	put("results.json", `{"score": 1}`)
	a := analyze(t, dir)
	var got []string
	for _, s := range a.Stages {
		got = append(got, s.Stage+itoa(s.Rank))
	}
	require.Equal(t, []string{"prefill0", "prefill1", "decode1"}, got)
	require.False(t, a.Incomplete)
	notes := strings.Join(a.Notes, "\n")
	for _, part := range []string{"merged ranks", "frontend's trace", "graph captures", "still being written", "results.json"} {
		require.Contains(t, notes, part)
	}
	_, err := trace.Analyze(t.Context(), []string{t.TempDir()}, trace.Options{})
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int{
		"1-TP-3.trace.json.gz": 3, "1-TP-3-DECODE.trace.json.gz": 3, "dp0_pp0_tp0_dcp0_ep0_rank7.123.pt.trace.json.gz": 7, "rank2.17.pt.trace.json": 2,
		"host_12-rank-5.trace.json": 5, "worker4.json": 4, "trace_tp1.json": 1, "trace.json": -1, "frank3.json": -1, "http2.json": -1,
	} {
		require.Equal(t, want, trace.RankOfName(name), name)
	}
	for path, want := range map[string]string{
		"a/1-TP-0-EXTEND.trace.json": trace.Prefill, "a/1-TP-0-DECODE.trace.json": trace.Decode, "a/x-prefill.json": trace.Prefill, "decode/1/x.json": trace.Decode,
		"extend/x.json": trace.Prefill, "prefiller/x.json": "", "a/prefill_decode.json": "", "decode-runs/x.json": "", "decode/x-prefill.json": trace.Prefill,
		"x/undecoded.json": "",
	} {
		require.Equal(t, want, trace.LabelOfPath(path), path)
	}
	require.Empty(t, trace.NotARank("1-TP-0.trace.json.gz"))
}
