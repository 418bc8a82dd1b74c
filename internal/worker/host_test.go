//go:build linux

package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// rig is a client of this machine with folders of its own.
type rig struct {
	t       *testing.T
	conn    hosts.Conn
	client  *worker.Client
	binary  string
	workdir string
	leases  string
}

// envConn adds variables to every command, as a login on a host would.
type envConn struct {
	hosts.Conn
	env map[string]string
}

func (c envConn) Run(ctx context.Context, cmd hosts.Cmd) (hosts.Result, error) {
	cmd.Env = c.env
	return c.Conn.Run(ctx, cmd)
}

func (c envConn) Start(ctx context.Context, cmd hosts.Cmd) (int, error) {
	cmd.Env = c.env
	return c.Conn.Start(ctx, cmd)
}

func newRig(t *testing.T, env map[string]string) *rig {
	t.Helper()
	local, err := hosts.NewLocal("here", t.TempDir())
	require.NoError(t, err)
	binary, err := os.Executable()
	require.NoError(t, err)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	conn := envConn{Conn: local, env: env}
	r := &rig{t: t, conn: conn, binary: binary, workdir: filepath.Join(dir, "work"), leases: filepath.Join(dir, "leases")}
	r.client = worker.NewClient(conn, binary, r.workdir)
	t.Cleanup(func() { r.nothingLeft() })
	return r
}

// nothingLeft looks in the process table for anything that belongs to this rig, and ends it so that one failed test does
// not disturb the others.
func (r *rig) nothingLeft() {
	r.t.Helper()
	end := time.Now().Add(3 * time.Second)
	for {
		left := r.processes()
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			for _, pid := range left {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			r.t.Errorf("processes left behind: %v", left)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// processes gives the pids whose folder or arguments lie in the rig's workdir.
func (r *rig) processes() []int {
	var found []int
	dirs, _ := os.ReadDir("/proc")
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		cwd, _ := os.Readlink("/proc/" + d.Name() + "/cwd")
		args, _ := os.ReadFile("/proc/" + d.Name() + "/cmdline")
		if len(args) > 0 && (strings.HasPrefix(cwd, r.workdir) || bytes.Contains(args, []byte(r.workdir))) {
			found = append(found, pid)
		}
	}
	return found
}

// plan makes a plan of one run on the host's CPU.
func (r *rig) plan(runID string, launches ...worker.Launch) worker.Plan {
	return worker.Plan{
		Kind: worker.PlanKind, V: worker.PlanVersion, RunID: runID, Campaign: "camp", Job: "job", Workdir: r.workdir, LeaseDir: r.leases,
		Device: "cpu", GPUs: []int{}, Simulated: true, LaunchDeadline: time.Minute, StallAfter: time.Minute,
		StopGrace: 300 * time.Millisecond, ProofWait: 300 * time.Millisecond, Launches: launches,
		AuditLimits: wideLimits(), QuietLimits: &worker.QuietLimits{CPUShare: 1, CoreShare: 1, PressedShare: 1, PressurePct: 100, MemoryPct: 100}, // these tests share their cores with each other
	}
}

// wideLimits let every point count.
func wideLimits() *bench.Limits {
	return &bench.Limits{LateSend: time.Minute, LateShare: 1, LateShareMakespan: 1, LoopLag: time.Minute, GCPause: time.Minute, Steal: 1, CPUShare: 8, SettleTolerance: 100}
}

// launch makes a launch of the toy engine with faults and points.
func (r *rig) launch(id string, faults []string, points ...worker.Point) worker.Launch {
	return worker.Launch{
		ID: id, Candidate: "toy-0", Entry: "toy", Framework: contract.SGLang, Phase: "search",
		Argv: append([]string{r.binary, "toy-engine", framework.PortPlaceholder}, faults...),
		Env:  map[string]string{"TOY_DIR": framework.RunDirPlaceholder, "TOY_CACHE": framework.CachePlaceholder, "GIVEN": "yes", "GORACE": raceOptions}, SecretEnv: []string{"TOY_SECRET", "NOT_THERE"},
		Served: "toy", Endpoint: bench.PathCompletions, Points: points, Captures: []worker.Capture{},
		Protocol: framework.Protocol{
			ReadyPath: "/health", ReadyLog: "ready to roll", InfoPaths: []string{"/nothing", "/server_info"},
			Flush:  &framework.Call{Method: "POST", Path: "/flush_cache"},
			Phases: []framework.LogPhase{{Name: "weights", Contains: "Load weight end"}},
			Failures: []framework.FailurePattern{
				{Class: framework.FailOOM, Contains: "cuda OUT of memory"}, {Class: framework.FailPort, Contains: "address already in use"},
				{Class: framework.FailChild, Contains: "Received sigquit"}, {Class: framework.FailChild, Contains: "Scheduler hit an exception"}},
			Profile: framework.Profile{
				Start:      &framework.Call{Method: "POST", Path: "/start_profile", Body: `{"output_dir": "{output_dir}", "stage": "{stage}", "steps": "{num_steps}"}`},
				Stop:       &framework.Call{Method: "POST", Path: "/stop_profile"},
				ExtraSteps: 1, FilePatterns: []string{"*-{stage}-*.trace.json.gz"}},
		},
	}
}

// point is a closed loop of two slots with ten short requests.
func point(id string) worker.Point {
	slots := 2
	return worker.Point{ID: id, Flush: true, Spec: bench.Spec{
		Seed: 7, Phase: "search", Vocab: bench.TokenRange{Lo: 10, Hi: 500},
		Scenario: contract.Scenario{Name: "chat", Kind: contract.KindRandom, InputLen: 8, OutputLen: 4, NumPrompts: 10,
			Arrival: contract.ArrivalClosed, MaxConcurrency: &slots, IgnoreEOS: true, Stream: true, Primary: "output_token_throughput"},
	}}
}

// gate gives a fault that holds back every response until open is called.
func (r *rig) gate() (fault string, open func()) {
	path := filepath.Join(r.t.TempDir(), "open")
	return "gate=" + path, func() { require.NoError(r.t, os.WriteFile(path, nil, 0o600)) }
}

// finish waits for a run's end.
func (r *rig) finish(runID string) worker.Status {
	r.t.Helper()
	return r.until(runID, func(st worker.Status) bool {
		return !slices.Contains([]string{worker.StateStarting, worker.StateRunning}, st.State)
	})
}

func (r *rig) until(runID string, is func(worker.Status) bool) worker.Status {
	r.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; {
		st, err := r.client.Status(r.t.Context(), runID, 0)
		require.NoError(r.t, err)
		if is(st) {
			return st
		}
		require.True(r.t, time.Now().Before(end), "run %s stays %s: %s; %s", runID, st.State, st.Doing, kinds(st))
		time.Sleep(50 * time.Millisecond)
	}
}

func (r *rig) run(p worker.Plan) worker.Status {
	r.t.Helper()
	require.NoError(r.t, r.client.Start(r.t.Context(), p, nil))
	return r.finish(p.RunID)
}

func (r *rig) fetch(runID, name string) []byte {
	r.t.Helper()
	var b bytes.Buffer
	require.NoError(r.t, r.client.Fetch(r.t.Context(), runID, name, &b))
	return b.Bytes()
}

// workerPID reads which process carries out a run.
func (r *rig) workerPID(runID string) int {
	r.t.Helper()
	raw, err := os.ReadFile(filepath.Join(r.workdir, "runs", runID, "worker.json"))
	require.NoError(r.t, err)
	var p worker.Proc
	require.NoError(r.t, json.Unmarshal(raw, &p))
	return p.PID
}

func kinds(st worker.Status) string {
	var k []string
	for _, e := range st.Events {
		k = append(k, string(e.Kind))
	}
	return strings.Join(k, " ")
}

// event finds the only event of a kind.
func event(t *testing.T, st worker.Status, kind worker.EventKind) worker.Event {
	t.Helper()
	var found []worker.Event
	for _, e := range st.Events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	require.Len(t, found, 1, "%s in %s", kind, kinds(st))
	return found[0]
}

func opener(raw []byte) worker.Opener {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }
}
