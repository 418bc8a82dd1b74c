//go:build linux

package doctor_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// TestMain lets the test binary play the worker that the tests put onto their hosts.
func TestMain(m *testing.M) {
	if play, ok := sim.Personality(os.Args[0]); ok {
		os.Exit(play(os.Args[1:], os.Environ()))
	}
	if len(os.Args) > 2 && os.Args[1] == "worker" {
		home, _ := os.UserHomeDir()
		var out bytes.Buffer
		err := worker.Serve(context.Background(), worker.HostOptions{In: os.Stdin, Out: &out, Home: home, LookupEnv: os.LookupEnv}, os.Args[2])
		_, _ = os.Stdout.Write(ahead(out.Bytes()))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// ahead makes an answer one of a host whose clock is ahead.
func ahead(answer []byte) []byte {
	by, err := time.ParseDuration(os.Getenv("SOTALOOP_TEST_AHEAD"))
	if err != nil {
		return answer
	}
	return regexp.MustCompile(`"now":"[^"]*"`).ReplaceAll(answer, []byte(`"now":"`+time.Now().Add(by).UTC().Format(time.RFC3339Nano)+`"`))
}
