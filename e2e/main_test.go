//go:build linux

// Package e2e_test plays whole campaigns as an agent, an engineer and misfortune would: the built program speaks MCP, the
// GPU host is simulated, SSH, git, processes and the ledger are real. Nothing here reaches into the product: what a test
// knows, it read from answers, from the run directory, from the host's run folders, or from /proc.
package e2e_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// programs are what the tests run, built once.
type programs struct {
	server  string // serves MCP; with the race detector where the tests have it
	plain   string // what hosts run and people type
	workers string // folder for --worker-dir that holds plain
}

// buildFolder holds the programs of this run.
var buildFolder string

// built builds the programs at the first call.
var built = sync.OnceValues(func() (programs, error) {
	p := programs{workers: buildFolder, plain: filepath.Join(buildFolder, "sotaloop-linux-"+runtime.GOARCH)}
	p.server = p.plain
	if err := build(p.plain, "CGO_ENABLED=0", "-trimpath"); err != nil || !raceEnabled {
		return p, err
	}
	p.server = filepath.Join(buildFolder, "sotaloop-race")
	return p, build(p.server, "CGO_ENABLED=1", "-race")
})

func build(out, env string, flags ...string) error {
	cmd := exec.Command("go", append(append([]string{"build", "-buildvcs=false", "-o", out}, flags...), "../cmd/sotaloop")...) //nolint:noctx // the test's time limit ends it
	cmd.Env = append(os.Environ(), env)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", cmd.Args, err, text)
	}
	return nil
}

func TestMain(m *testing.M) {
	flag.Parse()
	// Campaigns wait most of the time; more than a few at once would disturb what they measure.
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = flag.Set("test.parallel", "3")
	}
	dir, err := os.MkdirTemp("", "sotaloop-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildFolder = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// needPrograms skips short runs and gives the programs.
func needPrograms(t *testing.T) programs {
	t.Helper()
	if testing.Short() {
		t.Skip("campaigns take minutes")
	}
	p, err := built()
	require.NoError(t, err)
	return p
}
