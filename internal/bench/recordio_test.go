package bench_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

func stored(t testing.TB, r *bench.Recording) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, bench.WriteRecords(&b, r))
	return b.Bytes()
}

// plain is the uncompressed form of a recording.
func plain(t testing.TB, r *bench.Recording) string {
	t.Helper()
	var b strings.Builder
	r.Header.Kind, r.Header.V, r.Header.Records = bench.RecordsKind, bench.RecordsVersion, len(r.Records)
	encode := json.NewEncoder(&b)
	require.NoError(t, encode.Encode(r.Header))
	for _, rec := range r.Records {
		require.NoError(t, encode.Encode(rec))
	}
	return b.String()
}

func TestRecordsRoundTrip(t *testing.T) {
	t.Parallel()
	r := recording(30, 3)
	r.Header.Kind, r.Header.V, r.Header.Records, r.Header.Seed = bench.RecordsKind, bench.RecordsVersion, 30, math.MaxUint64
	r.Header.Goodput = &contract.Goodput{TPOTMS: 30}
	r.Records[9].Gaps = bench.Gaps{0, 1, 127, 128, 1<<32 - 1}
	r.Records[9].Output, r.Records[9].Logprobs = "é\n\"", []bench.TokenLogprob{{Token: "a", Logprob: -0.25}}
	back, err := bench.ReadRecords(bytes.NewReader(stored(t, r)))
	require.NoError(t, err)
	require.Equal(t, r, back)

	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err = z.Write([]byte(plain(t, r)))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	back, err = bench.ReadRecords(&zipped)
	require.NoError(t, err)
	require.Equal(t, r, back)
	back, err = bench.ReadRecords(strings.NewReader(plain(t, r)))
	require.NoError(t, err)
	require.Equal(t, r, back)
}

func TestDamagedRecordsAreRefused(t *testing.T) {
	t.Parallel()
	good := plain(t, recording(3, 0))
	whole := stored(t, recording(300, 0))
	lines := strings.SplitAfter(good, "\n")
	for name, in := range map[string]string{
		"empty":          "",
		"another kind":   strings.Replace(good, bench.RecordsKind, "other", 1),
		"newer":          strings.Replace(good, `"v":1`, `"v":2`, 1),
		"a line missing": lines[0] + lines[1] + lines[2],
		"a line more":    good + lines[1],
		"unknown field":  strings.Replace(good, `"t_sched_ns"`, `"t_planned_ns"`, 1),
		"a field twice":  strings.Replace(good, `"n_in":`, `"n_in":1,"n_in":`, 1),
		"another case":   strings.Replace(good, `"t_sched_ns"`, `"T_sched_ns"`, 1),
		"no field":       strings.Replace(good, `"n_in":`, `"n_cached":`, 1),
		"bad gaps":       strings.Replace(good, `"gaps_us":"`, `"gaps_us":"!`, 1),
		"cut varint":     strings.Replace(good, `"gaps_us":"kE6QTpBO"`, `"gaps_us":"kA"`, 1),
		"two on a line":  strings.Replace(good, "}\n", "}{}\n", 1),
		"cut off":        string(whole[:len(whole)-20]),
		"bit flipped":    string(append(append(bytes.Clone(whole[:60]), whole[60]^4), whole[61:]...)),
		"no scenario":    strings.Replace(good, `"kind":"random"`, `"kind":"x"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEqual(t, good, in, "the damage is none")
			_, err := bench.ReadRecords(strings.NewReader(in))
			require.Error(t, err)
		})
	}
}

func TestCheckFindsForgeries(t *testing.T) {
	t.Parallel()
	require.NoError(t, recording(30, 2).Check())
	for name, forge := range map[string]func(*bench.Recording){
		"a slow request out of the window": func(r *bench.Recording) { r.Records[5].Role = bench.RoleTail },
		"a request from outside":           func(r *bench.Recording) { r.Header.Window.End -= 200 * millisecond },
		"time runs backwards":              func(r *bench.Recording) { r.Records[5].First = r.Records[5].Sent - 1 },
		"no end":                           func(r *bench.Recording) { r.Records[5].End = bench.Never },
		"a gap is missing":                 func(r *bench.Recording) { r.Records[5].Gaps = r.Records[5].Gaps[:2] },
		"a shorter window": func(r *bench.Recording) {
			r.Header.Scenario.Arrival, r.Header.Scenario.MaxConcurrency = contract.ArrivalClosed, ptr(2)
		},
	} {
		r := recording(30, 0)
		forge(r)
		require.Error(t, r.Check(), name)
	}
}

// FuzzReadRecords holds that no bytes break the reader, and that what it takes survives a round trip and every formula.
func FuzzReadRecords(f *testing.F) {
	f.Add(stored(f, recording(3, 1)))
	f.Add([]byte(plain(f, recording(3, 1))))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := bench.ReadRecords(bytes.NewReader(in))
		if err != nil {
			return
		}
		_ = r.Check()
		_ = bench.Trends(r)
		m, err := json.Marshal(bench.Measure(r))
		require.NoError(t, err)
		back, err := bench.ReadRecords(bytes.NewReader(stored(t, r)))
		require.NoError(t, err)
		again, err := json.Marshal(bench.Measure(back))
		require.NoError(t, err)
		require.Equal(t, string(m), string(again))
	})
}
