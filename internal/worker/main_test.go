//go:build linux

package worker_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/internal/worker"
)

const raceOptions = "atexit_sleep_ms=0"

// TestMain lets the test binary play the programs that the worker's tests start as real processes.
func TestMain(m *testing.M) {
	if play, ok := sim.Personality(os.Args[0]); ok {
		os.Exit(play(os.Args[1:], os.Environ()))
	}
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "worker":
			os.Exit(playWorker(os.Args[2:]))
		case "toy-engine":
			os.Exit(playEngine(os.Args[2:]))
		}
	}
	// The race detector's runtime would keep every one of those processes for a second at its end.
	_ = os.Setenv("GORACE", raceOptions)
	flag.Parse()
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = flag.Set("test.parallel", "6") // these tests wait for processes most of the time
	}
	os.Exit(m.Run())
}

// playWorker is `sotaloop worker`, as cmd/sotaloop/worker.go has it.
func playWorker(args []string) int {
	home, _ := os.UserHomeDir()
	o := worker.HostOptions{In: os.Stdin, Out: os.Stdout, Home: home, LookupEnv: os.LookupEnv}
	var err error
	if args[0] == "gate" {
		return playGate(o, args[1:])
	}
	if args[0] == worker.VerbRun {
		err = worker.Run(context.Background(), o, args[2])
	} else {
		err = worker.Serve(context.Background(), o, args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
