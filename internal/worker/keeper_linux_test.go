package worker_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/hosts/hoststest"
	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// playGate is `sotaloop worker gate`: workdir, lease_dir, models, key of receipts or "-", engines.
func playGate(o worker.HostOptions, args []string) int {
	gate := worker.Keeper{Home: o.Home, Environ: os.Environ(), Workdir: args[0], LeaseDir: args[1], Models: args[2:3]}
	if args[3] != "-" {
		signer, err := gitops.LoadSigner(args[3], nil)
		if err != nil {
			return 2
		}
		gate.Sign = func(statement []byte) ([]byte, error) { return gitops.Sign(signer, gitops.NamespaceReceipt, statement) }
	}
	k, err := worker.NewKeeper(gate, args[4:])
	if err != nil {
		return 2
	}
	return k.Keep(context.Background(), o, os.Getenv("SSH_ORIGINAL_COMMAND"), os.Stderr)
}

// gatedRig is a host with simulated engines whose key can do nothing but what the gate lets in, behind a real sshd.
type gatedRig struct {
	*rig
	lay  sim.Layout
	path string // of the worker's program, as the server believes
}

func newGatedRig(t *testing.T) *gatedRig { return newSigningRig(t, "-") }

// newSigningRig is a gated host that signs with a key file.
func newSigningRig(t *testing.T, key string) *gatedRig {
	t.Helper()
	binary, err := os.Executable()
	require.NoError(t, err)
	host, err := sim.New(filepath.Join(t.TempDir(), "host"), sim.Options{Binary: binary, Config: sim.Config{Speed: 50, StartupSpeed: 5000}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = host.Close() })
	g := &gatedRig{rig: newRig(t, nil), lay: host.Layout()}
	client := hoststest.NewClient(t)
	server := hoststest.NewOpenSSH(t, client.Public, "SetEnv HOME="+t.TempDir()+" PATH="+g.lay.Bin+":"+os.Getenv("PATH")+" GORACE="+raceOptions,
		"ForceCommand "+strings.Join([]string{binary, "worker", "gate", g.workdir, g.leases, g.lay.ModelsDir, key, "sglang=" + g.lay.Engines["sglang"].Venv}, " "))
	client.Know(server.Addr, server.Key)
	client.Alias("host", server.Addr)
	conn, err := client.Dial(t, "host")
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	raw, err := os.ReadFile(binary)
	require.NoError(t, err)
	g.path, err = hosts.EnsureBinary(t.Context(), conn, g.workdir, digest(string(raw)), func() (io.ReadCloser, error) { panic("nothing is uploaded") })
	require.NoError(t, err)
	g.conn, g.client = conn, worker.NewClient(conn, g.path, g.workdir)
	return g
}

// launch is what the server plans for the simulated engine.
func (g *gatedRig) launch(t *testing.T) worker.Launch {
	t.Helper()
	fw, err := framework.Of(contract.SGLang)
	require.NoError(t, err)
	spec := framework.Spec{Engine: g.engine(), ModelPath: g.lay.ModelPath, ServedName: "Qwen/m", Device: "cuda", GPUs: []int{0}, Capture: true, Steps: 2}
	rendered, err := fw.Launch(spec)
	require.NoError(t, err)
	l := g.rig.launch("l1", nil, point("p1"))
	l.Argv, l.Env, l.Protocol, l.Served, l.SecretEnv, l.Endpoint = rendered.Argv, rendered.Env, fw.Protocol(spec), "Qwen/m", nil, bench.PathCompletions
	l.Points[0].Spec.Vocab.Lo, l.Points[0].Spec.Vocab.Hi = 256, 10000
	return l
}

func (g *gatedRig) engine() framework.Engine {
	return framework.Engine{Entry: "sglang", Type: contract.SGLang, Venv: g.lay.Engines["sglang"].Venv, ImportName: "sglang"}
}

func (g *gatedRig) planned(id string, l worker.Launch) worker.Plan {
	p := g.plan(id, l)
	p.Device, p.GPUs = "cuda", []int{0}
	return p
}

// TestGateLetsACampaignThrough is the honest twin: what the server does on a host works behind the gate, over a real sshd.
func TestGateLetsACampaignThrough(t *testing.T) {
	t.Parallel()
	g := newGatedRig(t)
	facts, err := g.client.Probe(t.Context(), worker.ProbeRequest{LeaseDir: g.leases, Device: "cuda", Engines: map[string]framework.Engine{"sglang": g.engine()},
		Models: map[string]string{"m": g.lay.ModelPath}})
	require.NoError(t, err)
	require.Empty(t, facts.Engines["sglang"])
	arch, err := hosts.Machine(t.Context(), g.conn)
	require.NoError(t, err)
	require.Equal(t, runtime.GOARCH, arch)
	gpus, _, err := hosts.QueryGPUs(t.Context(), g.conn)
	require.NoError(t, err)
	require.NotEmpty(t, gpus)
	fw, err := framework.Of(contract.SGLang)
	require.NoError(t, err)
	help, err := fw.HelpCommand(g.engine(), "serve")
	require.NoError(t, err)
	out, exit, err := g.client.Query(t.Context(), help, nil, 0)
	require.NoError(t, err)
	require.Zero(t, exit)
	require.Contains(t, out, "--mem-fraction-static")
	_, err = g.client.ReadInstalled(t.Context(), g.engine(), []string{"__init__.py"})
	require.NoError(t, err)
	_, err = hosts.QueryClocks(t.Context(), g.conn)
	require.NoError(t, err)
	asked := worker.ExamineRequest{LeaseDir: g.leases, Engines: map[string]framework.Engine{"sglang": g.engine()}}
	examined, _, err := g.client.Examine(t.Context(), asked)
	require.NoError(t, err)
	require.NotEmpty(t, examined.Builds["sglang"].Version)
	asked.Engines["other"] = framework.Engine{Type: contract.SGLang, Venv: "/usr"}
	_, _, err = g.client.Examine(t.Context(), asked)
	require.Equal(t, fault.Denied, fault.CodeOf(err), "a folder that is none of the gate's engines")
	_, _, err = g.client.Examine(t.Context(), worker.ExamineRequest{LeaseDir: "/etc"})
	require.Equal(t, fault.Denied, fault.CodeOf(err), "another lease folder")
	_, err = g.client.Selftest(t.Context(), 200*time.Millisecond)
	require.NoError(t, err)

	require.NoError(t, g.client.Start(t.Context(), g.planned("run1", g.launch(t)), nil))
	st := g.finish("run1")
	require.Equal(t, "run.started launch.started launch.ready point.done launch.stopped run.done", kinds(st))
	done := event(t, st, worker.EventPointDone)
	require.NotEmpty(t, done.Files)
	require.NoError(t, g.client.Fetch(t.Context(), "run1", done.Files[0].Name, io.Discard))
}

// TestGateKeepsTheRestOut plays whoever has the server's key.
func TestGateKeepsTheRestOut(t *testing.T) {
	t.Parallel()
	g := newGatedRig(t)
	ctx := t.Context()
	canary := filepath.Join(t.TempDir(), "canary")
	for name, argv := range map[string][]string{
		"a command":          {"/usr/bin/touch", canary},
		"a shell":            {"/bin/sh", "-c", "touch " + canary},
		"our shell's words":  {"/bin/sh", "-c", "touch " + canary, "sh", "x"},
		"another worker":     {"/bin/true", "worker", "probe"},
		"no verb":            {g.path, "serve"},
		"a verb with more":   {g.path, "worker", "probe", "--x"},
		"run in the fore":    {g.path, "worker", "run", "--dir", g.workdir + "/runs/x"},
		"nvidia-smi's reset": {"nvidia-smi", "--gpu-reset"},
		"all of uname":       {"uname", "-a"},
	} {
		res, err := g.conn.Run(ctx, hosts.Cmd{Argv: argv})
		require.True(t, err != nil || res.ExitCode == 77, "%s: %v %v", name, res, err)
		if name != "run in the fore" { // detached it is how a run begins
			_, err = g.conn.Start(ctx, hosts.Cmd{Argv: argv})
			require.Error(t, err, name)
		}
	}
	_, err := g.conn.Run(ctx, hosts.Cmd{Argv: []string{g.path, "worker", "probe"}, Env: map[string]string{"LD_PRELOAD": "/x.so"}})
	require.Error(t, err, "a variable")
	for _, dir := range []string{"/", g.workdir + "/runs/../../x", g.workdir + "/runs/x/y"} {
		_, err = g.conn.Start(ctx, hosts.Cmd{Argv: []string{g.path, "worker", "run", "--dir", dir}})
		require.Error(t, err, dir)
	}
	require.NoError(t, os.MkdirAll(filepath.Join(g.workdir, "runs", "r", "inbox"), 0o755))
	require.NoError(t, os.Symlink("/etc", filepath.Join(g.workdir, "runs", "r", "link")))
	require.NoError(t, os.Symlink(filepath.Dir(canary), filepath.Join(g.workdir, "runs", "linked")))
	for _, dst := range []string{g.path, g.workdir + "/bin/x", canary, "~/.ssh/authorized_keys", g.workdir + "/runs/r/plan.json", g.workdir + "/runs/r/inbox/../../../x", g.workdir + "/runs/linked/inbox/x"} {
		require.Error(t, g.conn.Upload(ctx, strings.NewReader("x"), dst, 0o600), dst)
	}
	require.Error(t, g.conn.Upload(ctx, strings.NewReader("x"), g.workdir+"/runs/r/inbox/x", 0o755), "a program")
	require.NoError(t, g.conn.Upload(ctx, strings.NewReader("x"), g.workdir+"/runs/r/inbox/x", 0o600), "the honest twin")
	for _, path := range []string{"/etc/passwd", g.workdir + "/runs/r/link/passwd", g.workdir + "/runs/../../x", g.workdir + "/datasets/sha256-" + strings.Repeat("0", 64) + ".jsonl"} {
		require.Error(t, g.conn.Download(ctx, path, io.Discard), path)
	}
	_, err = os.Stat(canary)
	require.ErrorIs(t, err, os.ErrNotExist)
	left, err := os.ReadDir(filepath.Join(g.workdir, "runs", "r", "inbox"))
	require.NoError(t, err)
	require.Len(t, left, 1)
}

// TestGateJudgesPlans plays whoever has the server's key and knows the worker's words.
func TestGateJudgesPlans(t *testing.T) {
	t.Parallel()
	g := newGatedRig(t)
	python := g.lay.Engines["sglang"].Python
	for name, edit := range map[string]func(p *worker.Plan){
		"another program":       func(p *worker.Plan) { p.Launches[0].Argv = []string{"/bin/sh", "-c", "id"} },
		"the engine's python":   func(p *worker.Plan) { p.Launches[0].Argv = []string{python, "-c", "import os"} },
		"another module":        func(p *worker.Plan) { p.Launches[0].Argv[2] = "http.server" },
		"another engine's type": func(p *worker.Plan) { p.Launches[0].Framework = contract.VLLM },
		"a flag that loads code": func(p *worker.Plan) {
			p.Launches[0].Argv = append(p.Launches[0].Argv, "--custom-weight-loader", "evil")
		},
		"a switch that loads code": func(p *worker.Plan) {
			p.Launches[0].Argv = append(p.Launches[0].Argv, "--enable-custom-logit-processor")
		},
		"written with =":        func(p *worker.Plan) { p.Launches[0].Argv = append(p.Launches[0].Argv, "--chat-template=evil") },
		"code of a checkpoint":  func(p *worker.Plan) { p.Launches[0].Argv = append(p.Launches[0].Argv, "--trust-remote-code") },
		"a model from an inbox": func(p *worker.Plan) { p.Launches[0].Argv[4] = g.workdir + "/runs/r/inbox" },
		"a model by a detour":   func(p *worker.Plan) { p.Launches[0].Argv[4] = g.lay.ModelsDir + "/../../x" },
		"a model from nowhere":  func(p *worker.Plan) { p.Launches[0].Argv[4] = "../x" },
		"a preloaded library":   func(p *worker.Plan) { p.Launches[0].Env["LD_PRELOAD"] = "x.so" },
		"another import path":   func(p *worker.Plan) { p.Launches[0].Env["PYTHONPATH"] = "/tmp" },
		"another value of ours": func(p *worker.Plan) { p.Launches[0].Env["HF_HUB_OFFLINE"] = "0" },
		"threads of text":       func(p *worker.Plan) { p.Launches[0].Env["OMP_NUM_THREADS"] = "$(id)" },
		"a source tree": func(p *worker.Plan) {
			p.Launches[0].Overlay = &worker.Overlay{Tree: "abc", Tar: "abc.tar", ImportName: "sglang"}
		},
		"another workdir":      func(p *worker.Plan) { p.Workdir = "/tmp/x" },
		"another lease folder": func(p *worker.Plan) { p.LeaseDir = "/tmp/x" },
	} {
		p := g.planned("bad", g.launch(t))
		edit(&p)
		err := g.client.Start(t.Context(), p, nil)
		f, ok := fault.As(err)
		require.True(t, ok, "%s: %v", name, err)
		require.Equal(t, "host.gated", f.Rule, "%s: %v", name, err)
		require.NotEmpty(t, f.Hints, name)
	}
	_, err := os.Stat(filepath.Join(g.workdir, "runs", "bad"))
	require.ErrorIs(t, err, os.ErrNotExist, "nothing was prepared")
	_, _, err = g.client.Query(t.Context(), []string{python, "-c", "import os"}, nil, 0)
	require.Equal(t, fault.Denied, fault.CodeOf(err))
	_, err = g.client.ReadInstalled(t.Context(), framework.Engine{Venv: "/tmp/evil", ImportName: "sglang"}, []string{"x"})
	require.Equal(t, fault.Denied, fault.CodeOf(err))
}
