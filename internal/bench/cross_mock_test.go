package bench_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// mockSlots, mockPrompts and mockTokens are the low load of TestClientsAgree and TestCPUCrossMock.
const (
	mockSlots   = 4
	mockPrompts = 40
	mockTokens  = 64
)

// crossMockLine is one client against the mock.
type crossMockLine struct {
	Client  string              `json:"client"`
	Streams int                 `json:"streams"`
	Figures *bench.Figures      `json:"figures,omitempty"` // low load only
	Errors  bench.ClientErrors  `json:"errors"`
	Ours    *bench.Figures      `json:"ours_by_its_definitions,omitempty"`
	OursOff *bench.ClientErrors `json:"ours,omitempty"` // beside Errors, of our client
}

// TestCPUCrossMock runs the other clients and ours against the same schedule of the mock: at low load they agree, and at
// 256 and 1,000 streams their errors are printed. It needs what TestCPUCross needs, but no engine.
func TestCPUCrossMock(t *testing.T) {
	dir := os.Getenv(enginesVariable)
	if dir == "" {
		t.Skip("real clients: set " + enginesVariable + " to the folder of e2e/cpu/setup.py (make e2e-cpu)")
	}
	before := runtime.GOMAXPROCS(bench.Slots())
	defer runtime.GOMAXPROCS(before)
	var lines []crossMockLine
	for _, client := range []bench.ForeignClient{bench.ForeignVLLM, bench.ForeignSGLang} {
		theirs := runForeign(t, dir, client, bench.ForeignLoad{BaseURL: mockProcess(t, 200*time.Millisecond, 20*time.Millisecond), Model: "mock", Tokenizer: filepath.Join(dir, "model"),
			InputLen: 128, OutputLen: mockTokens, NumPrompts: mockPrompts, MaxConcurrency: mockSlots, Seed: 1})
		recording := oursAgainstMock(t)
		ours, err := bench.AsForeign(recording, client)
		require.NoError(t, err)
		require.Equal(t, mockPrompts, theirs.Completed)
		said := theirs.Figures()
		e, err := theirs.MockErrors()
		require.NoError(t, err)
		off, err := bench.MockErrors(recording)
		require.NoError(t, err)
		lines = append(lines, crossMockLine{Client: string(client), Streams: mockSlots, Figures: &said, Errors: e, Ours: &ours, OursOff: &off})
		ratio := ours.Over(said)
		t.Logf("%s at %d slots: theirs %.3f, ours %.3f, ratio %.4f; TTFT bias theirs %.3f ms, ours %.3f ms", client, mockSlots, said, ours, ratio, e.TTFTBiasMS, off.TTFTBiasMS)
		// Their clocks start before they send, and how long before depends on the machine: what each is off by the mock's
		// own times is taken out of its TTFT, and shown above.
		served := (ours.TTFT - off.TTFTBiasMS) / (said.TTFT - e.TTFTBiasMS)
		for what, r := range map[string]float64{"throughput": ratio.Throughput, "TTFT, less what the client adds": served, "TPOT": ratio.TPOT} {
			require.InDelta(t, 1, r, crossTolerance, what)
		}
		require.Less(t, off.TTFTBiasMS, e.TTFTBiasMS, "ours adds less")
	}
	for _, streams := range []int{256, 1000} {
		c, err := bench.Certify(t.Context(), mockProcess(t, 200*time.Millisecond, 100*time.Millisecond), bench.CertifySpec{Streams: streams, ITL: 100 * time.Millisecond, Duration: 10 * time.Second})
		require.NoError(t, err)
		lines = append(lines, crossMockLine{Client: bench.ClientName, Streams: streams, Errors: c.AsOthers})
		for _, client := range []bench.ForeignClient{bench.ForeignVLLM, bench.ForeignSGLang} {
			e, err := foreignAgainstMock(t, dir, client, streams).MockErrors()
			require.NoError(t, err)
			lines = append(lines, crossMockLine{Client: string(client), Streams: streams, Errors: e})
		}
	}
	raw, err := json.MarshalIndent(lines, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "results"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "results", "cross_mock.json"), append(raw, '\n'), 0o644))
	t.Logf("%s", bytes.TrimSpace(raw))
}

// oursAgainstMock runs our client under the low load.
func oursAgainstMock(t *testing.T) *bench.Recording {
	t.Helper()
	slots := mockSlots
	spec := bench.Spec{Seed: 1, Vocab: bench.TokenRange{Lo: 256, Hi: 4000}, KeepOutputs: true, Scenario: contract.Scenario{Name: "cross", Kind: contract.KindRandom, InputLen: 128,
		OutputLen: mockTokens, NumPrompts: mockPrompts, Arrival: contract.ArrivalClosed, MaxConcurrency: &slots, IgnoreEOS: true, Stream: true}}
	target := bench.Target{BaseURL: mockProcess(t, 200*time.Millisecond, 20*time.Millisecond), Path: bench.PathCompletions, Model: "mock"}
	point, err := bench.Run(t.Context(), target, spec, nil)
	require.NoError(t, err)
	require.Equal(t, mockPrompts, point.Counts.OK)
	return point.Recording
}
