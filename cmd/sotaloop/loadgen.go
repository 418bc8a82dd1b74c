package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/worker"
)

const loadgenUsage = `usage: sotaloop loadgen run --url http://HOST:PORT … (--help lists its flags)
       sotaloop loadgen rate --url http://HOST:PORT --low R --high R … (--help lists its flags)
       sotaloop loadgen certify [--streams 1000] [--itl 100ms] [--duration 10s] [--burst] [--shards 1] [--json]
       sotaloop loadgen certify --request-rate 500 [--duration 10s] [--json], for Poisson arrivals
       sotaloop loadgen cross --client sglang|vllm --python PROGRAM … (--help lists its flags)
       sotaloop loadgen mock [--ttft 5ms] [--itl 100ms], which prints its address and serves until standard input ends`

// mockTTFT is the time to the mock's first event, before its phase, unless it is told another.
const mockTTFT = 5 * time.Millisecond

// runLoadgen drives the load client: run offers a load to an endpoint, certify shows what the client itself adds to a
// measurement on this machine. Its verb mock is the other half, which certify starts in a process of its own
// and against which other clients can be held.
func runLoadgen(ctx context.Context, s streams, args []string) error {
	s.Err = serialized(s.Err)
	if len(args) == 0 {
		return fault.New(fault.InvalidInput, "loadgen needs a verb").At("verb", "", "run", "rate", "certify", "cross", "mock").Hint("%s", loadgenUsage)
	}
	if args[0] == "run" {
		runtime.GOMAXPROCS(bench.Slots())
		return runLoadgenRun(ctx, s, args[1:])
	}
	if args[0] == "shard" { // started by others of this program only
		runtime.GOMAXPROCS(bench.Slots())
		return bench.ServeShard(ctx, s.In, s.Out)
	}
	if args[0] == "rate" {
		runtime.GOMAXPROCS(bench.Slots())
		return runLoadgenRate(ctx, s, args[1:])
	}
	if args[0] == "cross" {
		runtime.GOMAXPROCS(bench.Slots())
		return runLoadgenCross(ctx, s, args[1:])
	}
	set := flag.NewFlagSet("loadgen "+args[0], flag.ContinueOnError)
	set.SetOutput(io.Discard)
	var spec bench.CertifySpec
	set.IntVar(&spec.Streams, "streams", 1000, "concurrent streams at the height of the load")
	set.DurationVar(&spec.ITL, "itl", 100*time.Millisecond, "gap between the events of a stream")
	set.DurationVar(&spec.Duration, "duration", 10*time.Second, "length of a stream")
	set.BoolVar(&spec.Burst, "burst", false, "start all streams at once")
	ttft := set.Duration("ttft", mockTTFT, "time to a stream's first event")
	rate := set.Float64("request-rate", 0, "certify Poisson arrivals at this rate instead")
	shards := set.Int("shards", 1, "processes that share the streams")
	asJSON := set.Bool("json", false, "print JSON")
	rest, err := parseMixed(set, args[1:])
	if err != nil {
		return fault.Wrap(fault.InvalidInput, err, "loadgen %s", args[0]).Hint("%s", loadgenUsage)
	}
	if len(rest) > 0 {
		return fault.New(fault.InvalidInput, "loadgen %s takes no argument, got %q", args[0], rest[0]).Hint("%s", loadgenUsage)
	}
	runtime.GOMAXPROCS(bench.Slots())
	switch args[0] {
	case "certify":
		mock := &bench.Mock{TTFT: *ttft, ITL: spec.ITL}
		if *rate != 0 {
			return certifyArrivals(ctx, s, mock, bench.ArrivalsSpec{Rate: *rate, Duration: spec.Duration, Seed: 1}, *asJSON)
		}
		return certify(ctx, s, mock, certification{CertifySpec: spec, shards: *shards, json: *asJSON})
	case "mock":
		return serveMock(ctx, s, &bench.Mock{TTFT: *ttft, ITL: spec.ITL})
	}
	return fault.New(fault.InvalidInput, "unknown verb %q", args[0]).At("verb", args[0], "run", "rate", "certify", "cross", "mock").Hint("%s", loadgenUsage)
}

// certification is what a certificate is taken of.
type certification struct {
	bench.CertifySpec
	shards int
	json   bool
}

// certify measures the client against a mock and prints the certificate.
func certify(ctx context.Context, s streams, mock *bench.Mock, spec certification) error {
	if err := errors.Join(spec.Validate(), mock.Validate()); err != nil {
		return err
	}
	address, stop, err := startMock(ctx, s.Err, mock)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the mock did not start")
	}
	measure := func() (*bench.Certificate, error) { return bench.Certify(ctx, "http://"+address, spec.CertifySpec) }
	if spec.shards != 1 {
		measure = func() (*bench.Certificate, error) {
			return bench.CertifySharded(ctx, "http://"+address, spec.CertifySpec, worker.Shards(spec.shards, s.Err))
		}
	}
	c, err := measure()
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	if spec.json {
		return json.NewEncoder(s.Out).Encode(c)
	}
	_, err = io.WriteString(s.Out, certificateText(c))
	return err
}

// certifyArrivals measures how well the client keeps a Poisson process, and prints it.
func certifyArrivals(ctx context.Context, s streams, mock *bench.Mock, spec bench.ArrivalsSpec, asJSON bool) error {
	if err := errors.Join(spec.Validate(), mock.Validate()); err != nil {
		return err
	}
	address, stop, err := startMock(ctx, s.Err, mock)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the mock did not start")
	}
	a, err := bench.CertifyArrivals(ctx, "http://"+address, spec)
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	if asJSON {
		return json.NewEncoder(s.Out).Encode(a)
	}
	limited := ""
	if a.ClientLimited {
		limited = "client_limited: " + strings.Join(a.Audit.Reasons, "; ") + "\n"
	}
	_, err = fmt.Fprintf(s.Out, "Poisson arrivals at %g requests/s: %d sent, %d failed\nsent later than planned, ms: p50 %.3f, p99 %.3f, max %.3f\n"+
		"gaps against the exponential (Kolmogorov-Smirnov): drawn D %.4f p %.3f, sent D %.4f p %.3f\n%s",
		a.Rate, a.Requests, a.Failed, a.LateSendMS.P50, a.LateSendMS.P99, a.LateSendMS.Max, a.Drawn.D, a.Drawn.P, a.Sent.D, a.Sent.P, limited)
	return err
}

// startMock starts this program again as the mock. The mock ends when its standard input does, so that it cannot
// outlive this process.
func startMock(ctx context.Context, stderr io.Writer, schedule *bench.Mock) (address string, stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	mock := exec.CommandContext(ctx, self, "loadgen", "mock", "--ttft", schedule.TTFT.String(), "--itl", schedule.ITL.String())
	mock.Stderr, mock.WaitDelay = stderr, 5*time.Second
	in, err := mock.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := mock.StdoutPipe()
	if err != nil {
		return "", nil, err
	}
	if err := mock.Start(); err != nil {
		return "", nil, err
	}
	stop = func() error { return errors.Join(in.Close(), mock.Wait()) }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return "", nil, errors.Join(err, stop())
	}
	return strings.TrimSpace(line), stop, nil
}

// serveMock serves on a free loopback port, whose address it prints, until standard input ends.
func serveMock(ctx context.Context, s streams, mock *bench.Mock) error {
	if err := mock.Validate(); err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fault.Wrap(fault.Internal, err, "the mock cannot listen")
	}
	if _, err := fmt.Fprintln(s.Out, l.Addr()); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, s.In)
		stop()
	}()
	return mock.Serve(ctx, l)
}

// certificateText is the certificate for a person.
func certificateText(c *bench.Certificate) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d streams at %g ms, %d events (%.0f/s at the height), %d lost\n", c.Streams, c.ITLMS, c.Events, c.EventsPerS, c.EventsLost)
	fmt.Fprintf(&b, "%-34s %10s %10s %10s\n", "milliseconds", "p50", "p99", "max")
	for _, row := range []struct {
		name string
		bench.Spread
	}{
		{"TTFT error", c.TTFTErrorMS},
		{"ITL error", c.ITLErrorMS},
		{"sent later than planned", c.LateSendMS},
		{"mock later than its schedule", c.LateMS},
	} {
		fmt.Fprintf(&b, "%-34s %10.3f %10.3f %10.3f\n", row.name, row.P50, row.P99, row.Max)
	}
	fmt.Fprintf(&b, "client CPU %.1f us an event; about %.0f events/s fit into %.0f %% of %d CPUs\n", c.CPUPerEventUS, c.CapacityEvS, 100*c.Audit.Limits.CPUShare, c.Audit.CPUs)
	if c.ClientLimited {
		fmt.Fprintf(&b, "client_limited: %s\n", strings.Join(c.Audit.Reasons, "; "))
	}
	return b.String()
}
