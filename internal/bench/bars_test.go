package bench_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
)

// mockVariable makes this test program a mock in a process of its own; its value is the schedule, as 200ms/100ms.
const mockVariable = "SOTALOOP_BENCH_MOCK"

func TestMain(m *testing.M) {
	if schedule := os.Getenv(mockVariable); schedule != "" {
		if err := serveMock(schedule); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveMock prints its address and serves until standard input ends.
func serveMock(schedule string) error {
	ttft, itl, _ := strings.Cut(schedule, "/")
	first, err1 := time.ParseDuration(ttft)
	gap, err2 := time.ParseDuration(itl)
	l, err3 := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // ends with the process
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	runtime.GOMAXPROCS(bench.Slots())
	fmt.Println(l.Addr())
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	return (&bench.Mock{TTFT: first, ITL: gap}).Serve(ctx, l)
}

// mockProcess starts a mock and gives its address.
func mockProcess(t testing.TB, ttft, itl time.Duration) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	mock := exec.Command(self) //nolint:noctx // ended by the cleanup
	mock.Env = append(os.Environ(), mockVariable+"="+ttft.String()+"/"+itl.String())
	mock.Stderr = os.Stderr
	in, err := mock.StdinPipe()
	require.NoError(t, err)
	out, err := mock.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, mock.Start())
	t.Cleanup(func() { _ = in.Close(); _ = mock.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return "http://" + strings.TrimSpace(line)
}

// BenchmarkCertificate prints what the client itself adds to a measurement on this machine, beside the bars. It runs once,
// whatever the time that benchmarks are given; nothing is asserted about times.
func BenchmarkCertificate(b *testing.B) {
	before := runtime.GOMAXPROCS(bench.Slots())
	defer runtime.GOMAXPROCS(before)
	for b.Loop() {
		c, err := bench.Certify(b.Context(), mockProcess(b, 5*time.Millisecond, 100*time.Millisecond), bench.CertifySpec{Streams: 1000, ITL: 100 * time.Millisecond, Duration: 10 * time.Second})
		require.NoError(b, err)
		for _, figure := range []struct {
			unit string
			got  float64
			bar  string
		}{
			{"ttft_p99_error_ms", c.TTFTErrorMS.P99, "<= 2"}, {"itl_p99_error_ms", c.ITLErrorMS.P99, "<= 2"}, {"events_lost", float64(c.EventsLost), "= 0"},
			{"cpu_us/event", c.CPUPerEventUS, "<= 25"},
		} {
			b.ReportMetric(figure.got, figure.unit)
			b.Logf("1,000 streams at 100 ms on %d CPUs: %-18s %9.3f   bar %s", c.Audit.CPUs, figure.unit, figure.got, figure.bar)
		}
		b.ReportMetric(c.CapacityEvS, "events/s_capacity")
		b.Logf("client_limited %v %v; about %.0f events/s fit into %.0f %% of the CPUs", c.ClientLimited, c.Audit.Reasons, c.CapacityEvS, 100*c.Audit.Limits.CPUShare)
	}
}

// BenchmarkPoissonArrivals prints how well arrivals are kept, beside the bars.
func BenchmarkPoissonArrivals(b *testing.B) {
	before := runtime.GOMAXPROCS(bench.Slots())
	defer runtime.GOMAXPROCS(before)
	for b.Loop() {
		a, err := bench.CertifyArrivals(b.Context(), mockProcess(b, 5*time.Millisecond, 10*time.Millisecond), bench.ArrivalsSpec{Rate: 500, Duration: 10 * time.Second, Seed: 1})
		require.NoError(b, err)
		b.ReportMetric(a.LateSendMS.P99, "late_p99_ms")
		b.ReportMetric(a.Sent.P, "ks_p_sent")
		b.Logf("Poisson arrivals, %g/s, %d requests, %d failed: late p99 %.3f ms   bar <= 1", a.Rate, a.Requests, a.Failed, a.LateSendMS.P99)
		b.Logf("Kolmogorov-Smirnov against the exponential: drawn D %.4f p %.3f, sent D %.4f p %.3f   bar p > 0.01", a.Drawn.D, a.Drawn.P, a.Sent.D, a.Sent.P)
	}
}

// BenchmarkClients prints the errors of the three clients at 256 and 1,000 streams against the schedule of the mock. Ours
// is measured now; theirs too where SOTALOOP_CPU names their folder, else they come from the stored runs.
func BenchmarkClients(b *testing.B) {
	before := runtime.GOMAXPROCS(bench.Slots())
	defer runtime.GOMAXPROCS(before)
	for _, streams := range []int{256, 1000} {
		b.Run(fmt.Sprint(streams), func(b *testing.B) {
			for b.Loop() {
				c, err := bench.Certify(b.Context(), mockProcess(b, 200*time.Millisecond, 100*time.Millisecond), bench.CertifySpec{Streams: streams, ITL: 100 * time.Millisecond, Duration: 10 * time.Second})
				require.NoError(b, err)
				logErrors(b, bench.ClientName, "now", streams, c.AsOthers)
				b.ReportMetric(c.AsOthers.TTFTMS.P99, "ttft_p99_error_ms")
				b.ReportMetric(c.AsOthers.ITLMS.P99, "itl_p99_error_ms")
				for client, runs := range storedForeignRuns() {
					run, when := storedForeign(b, runs[streams]), "stored run"
					if dir := os.Getenv(enginesVariable); dir != "" {
						run, when = foreignAgainstMock(b, dir, client, streams), "now"
					}
					e, err := run.MockErrors()
					require.NoError(b, err)
					logErrors(b, string(client), when, streams, e)
				}
			}
		})
	}
}

// enginesVariable names the folder of e2e/cpu/setup.py, with the real clients in it.
const enginesVariable = "SOTALOOP_CPU"

// runForeign runs a foreign client of the folder of e2e/cpu/setup.py.
func runForeign(t testing.TB, dir string, client bench.ForeignClient, load bench.ForeignLoad) *bench.ForeignRun {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out.json")
	args, err := client.Command(load, out)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dir, client.Package(), "bin", "python"), args...)
	cmd.Env = append(append(os.Environ(), client.Environment()...), "SGLANG_USE_CPU_ENGINE=1", "HF_HUB_OFFLINE=1", "OMP_NUM_THREADS=1")
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, "%v: %s", args, text)
	raw, err := os.ReadFile(out)
	require.NoError(t, err)
	runs, err := bench.ReadForeign(bytes.NewReader(raw))
	require.NoError(t, err)
	require.Len(t, runs, 1)
	require.Equal(t, client, runs[0].Client)
	return runs[0]
}

// foreignAgainstMock lets a foreign client start its streams over half of their length, as the certificate does.
func foreignAgainstMock(t testing.TB, dir string, client bench.ForeignClient, streams int) *bench.ForeignRun {
	t.Helper()
	return runForeign(t, dir, client, bench.ForeignLoad{BaseURL: mockProcess(t, 200*time.Millisecond, 100*time.Millisecond), Model: "mock", Tokenizer: dir + "/model",
		InputLen: 128, OutputLen: 100, NumPrompts: streams, RequestRate: float64(streams) / 5, Seed: 1})
}

func logErrors(b *testing.B, client, when string, streams int, e bench.ClientErrors) {
	b.Helper()
	b.Logf("%4d streams  %-22s (%s)  TTFT error p50 %8.3f p99 %8.3f max %8.3f ms, bias %7.3f   ITL error p50 %7.3f p99 %8.3f max %8.3f ms   lost %d",
		streams, client, when, e.TTFTMS.P50, e.TTFTMS.P99, e.TTFTMS.Max, e.TTFTBiasMS, e.ITLMS.P50, e.ITLMS.P99, e.ITLMS.Max, e.EventsLost)
}
