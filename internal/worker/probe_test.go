//go:build linux

package worker_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/worker"
)

func tensors(header string, weights int) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + strings.Repeat("w", weights)
}

func TestProbe(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	host := t.TempDir()
	model := filepath.Join(host, "models", "m")
	write(t, filepath.Join(model, "config.json"), `{"hidden_size": 8}`)
	write(t, filepath.Join(model, "model.safetensors"), tensors(`{"a":1}`, 100))
	partial := filepath.Join(host, "models", "partial")
	write(t, filepath.Join(partial, "config.json"), `{}`)
	write(t, filepath.Join(partial, "model.safetensors.index.json"), `{"weight_map": {"a": "x-1.safetensors", "b": "x-2.safetensors"}}`)
	write(t, filepath.Join(partial, "x-1.safetensors"), tensors(`{}`, 10))
	repo := filepath.Join(host, "hf", "hub", "models--org--name")
	write(t, filepath.Join(repo, "refs", "main"), "abc\n")
	write(t, filepath.Join(repo, "blobs", "b1"), `{}`)
	write(t, filepath.Join(repo, "blobs", "b2"), tensors(`{}`, 5))
	require.NoError(t, os.MkdirAll(filepath.Join(repo, "snapshots", "abc"), 0o755))
	require.NoError(t, os.Symlink("../../blobs/b1", filepath.Join(repo, "snapshots", "abc", "config.json")))
	require.NoError(t, os.Symlink("../../blobs/b2", filepath.Join(repo, "snapshots", "abc", "model.safetensors")))
	write(t, filepath.Join(host, ".sotaloop-simulated-host"), "")
	write(t, filepath.Join(host, "venvs", "v", "bin", "python"), "#!/bin/sh\n")
	require.NoError(t, os.Chmod(filepath.Join(host, "venvs", "v", "bin", "python"), 0o755))

	ask := worker.ProbeRequest{LeaseDir: r.leases, Workdir: r.workdir, Device: "cpu", HFCache: filepath.Join(host, "hf"),
		Engines: map[string]framework.Engine{"good": {Type: contract.SGLang, Venv: filepath.Join(host, "venvs", "v")}, "half": {Type: contract.VLLM, Venv: filepath.Join(host, "venvs", "v")},
			"bad": {Type: contract.SGLang, Venv: filepath.Join(host, "none")}, "empty": {Type: contract.SGLang}},
		Models: map[string]string{"plain": model, "half": partial, "org/name": "", "org/absent": ""}}
	f, err := r.client.Probe(t.Context(), ask)
	require.NoError(t, err)
	require.Equal(t, "linux", f.OS)
	require.NotEmpty(t, f.BootID)
	require.Positive(t, f.CPUs)
	require.Positive(t, f.MemoryMiB)
	require.Positive(t, f.DiskFreeMiB)
	require.WithinDuration(t, time.Now(), f.Now, time.Minute)
	require.True(t, f.Simulated)
	require.Empty(t, f.Engines["good"])
	require.Contains(t, f.Engines["bad"], "no interpreter in")
	require.Contains(t, f.Engines["half"], "no program "+filepath.Join(host, "venvs", "v", "bin", "vllm"))
	require.NotEmpty(t, f.Engines["empty"])
	require.Empty(t, f.Models["plain"].Gap)
	require.Equal(t, `{"hidden_size": 8}`, f.Models["plain"].Config)
	require.Equal(t, int64(18+8+7+100), f.Models["plain"].Bytes)
	require.Equal(t, "partial", f.Models["half"].Gap)
	require.Empty(t, f.Models["org/name"].Gap)
	require.Equal(t, filepath.Join(repo, "snapshots", "abc"), f.Models["org/name"].Path)
	require.Equal(t, "absent", f.Models["org/absent"].Gap)

	require.Empty(t, f.Models["plain"].Code)
	before := f.Models["plain"].Identity
	write(t, filepath.Join(model, "model.safetensors"), tensors(`{"b":1}`, 100))
	f, err = r.client.Probe(t.Context(), ask)
	require.NoError(t, err)
	require.NotEqual(t, before, f.Models["plain"].Identity, "the headers identify a snapshot")

	write(t, filepath.Join(model, "modeling.py"), "import os")
	write(t, filepath.Join(model, "deep", "more.py"), "")
	f, err = r.client.Probe(t.Context(), ask)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"modeling.py": digest("import os"), "deep/more.py": digest("")}, f.Models["plain"].Code)
}

// TestTheLeaseLogNamesWhoeverWasHere reads a log that every account may write to: campaigns once each, rubbish left out.
func TestTheLeaseLogNamesWhoeverWasHere(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	ask := worker.ProbeRequest{LeaseDir: r.leases, Workdir: r.workdir, Device: "cpu"}
	line := func(campaign, owner string) string {
		return `{"gpu":"0","campaign":"` + campaign + `","run_id":"r","owner":"` + owner + `","run_dir":"/x"}` + "\n"
	}
	log := filepath.Join(r.leases, "leases.jsonl")
	write(t, log, line("c1", "me")+line("c1", "me")+"rubbish\n{}\n[1]\n"+line("c1", "you")+line("c\\u001b[31m2", "me")+`{"campaign":"torn`)
	f, err := r.client.Probe(t.Context(), ask)
	require.NoError(t, err)
	require.Equal(t, []worker.Leased{{Campaign: "c1", Owner: "me"}, {Campaign: "c1", Owner: "you"}}, f.Leased[:2])
	require.Len(t, f.Leased, 3)
	require.NotContains(t, f.Leased[2].Campaign, "\x1b")

	require.NoError(t, os.Remove(log))
	require.NoError(t, os.Symlink("/etc/hosts", log))
	f, err = r.client.Probe(t.Context(), ask)
	require.NoError(t, err)
	require.Empty(t, f.Leased, "a link leads elsewhere")
}

func TestQuery(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"SECRET_OF_THE_ACCOUNT": "x"})
	out, exit, err := r.client.Query(t.Context(), []string{"/bin/sh", "-c", "env; echo $0 'a b' >&2", "$(id)"}, map[string]string{"GIVEN": "1", "COLUMNS": "5"}, time.Minute)
	require.NoError(t, err)
	require.Zero(t, exit)
	for _, want := range []string{"COLUMNS=1000\n", "LC_ALL=C\n", "NO_COLOR=1\n", "GIVEN=1\n"} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "SECRET_OF_THE_ACCOUNT")
	require.NotContains(t, out, "a b", "warnings do not mix with help")

	out, exit, err = r.client.Query(t.Context(), []string{"/bin/sh", "-c", "echo '$(id)' >&2; exit 3"}, nil, time.Minute)
	require.NoError(t, err)
	require.Equal(t, 3, exit)
	require.Equal(t, "$(id)\n", out)

	_, _, err = r.client.Query(t.Context(), []string{"/no/such/program"}, nil, time.Minute)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))

	began := time.Now()
	mark := filepath.Join(r.workdir, "mark") // makes the processes ones that the rig looks for
	_, _, err = r.client.Query(t.Context(), []string{"/bin/sh", "-c", "sleep 60 & setsid sleep 61 & exec sleep 62", mark}, nil, 300*time.Millisecond)
	require.Equal(t, fault.Timeout, fault.CodeOf(err))
	require.Less(t, time.Since(began), 55*time.Second, "none of the sleeps is waited for")
	require.Empty(t, r.processes())
	found, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range found {
		raw, _ := os.ReadFile(path)
		require.NotEqual(t, "sleep\x0061\x00", string(raw), "a process that left the group is ended too")
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for name, change := range map[string]func(*worker.Plan){
		"run_id":      func(p *worker.Plan) { p.RunID = "../x" },
		"kind":        func(p *worker.Plan) { p.V = 2 },
		"device":      func(p *worker.Plan) { p.Device = "tpu" },
		"gpus":        func(p *worker.Plan) { p.Device = "cuda" },
		"path":        func(p *worker.Plan) { p.LeaseDir = "relative" },
		"launches.id": func(p *worker.Plan) { p.Launches[0].ID = "a/b" },
		"launches.points.id": func(p *worker.Plan) {
			p.Launches[0].Points = []worker.Point{point("x"), point("x")}
		},
		"launches.endpoint":            func(p *worker.Plan) { p.Launches[0].Endpoint = "/etc/passwd" },
		"launches.protocol.ready_path": func(p *worker.Plan) { p.Launches[0].Protocol.ReadyPath = "" },
		"launches.captures.stage":      func(p *worker.Plan) { p.Launches[0].Captures = []worker.Capture{{ID: "c", Stage: "both"}} },
		"launches.overlay.import_name": func(p *worker.Plan) { p.Launches[0].Overlay = &worker.Overlay{Tree: "t", Tar: "t", ImportName: "a.b"} },
		"launches.overlay.want": func(p *worker.Plan) {
			p.Launches[0].Overlay = &worker.Overlay{Tree: "t", Tar: "t", ImportName: "a", Want: map[string]string{"../x": ""}}
		},
		"launches.overlay.tar": func(p *worker.Plan) {
			p.Launches[0].Overlay = &worker.Overlay{Tree: "t", Tar: "../../x", ImportName: "a"}
		},
	} {
		p := r.plan("run", r.launch("l1", nil))
		change(&p)
		err := r.client.Start(t.Context(), p, nil)
		f, ok := fault.As(err)
		require.True(t, ok, "%s: %v", name, err)
		require.Equal(t, fault.InvalidInput, f.Code)
		require.Equal(t, name, f.Field)
	}
	p := r.plan("run", r.launch("l1", nil))
	require.Equal(t, worker.StateDone, r.run(p).State)
	link := filepath.Join(r.workdir, "runs", "run", "link")
	require.NoError(t, os.Symlink("/etc/passwd", link))
	for _, name := range []string{"../../x", "/etc/passwd", "link", "launches", "none"} {
		require.Error(t, r.client.Fetch(t.Context(), "run", name, nil), name)
	}
}
