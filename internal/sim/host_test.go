//go:build unix

package sim_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/sim"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	full := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(full, "thesis.txt"), []byte("mine"), 0o644))
	for _, c := range []struct {
		name, dir string
		opt       sim.Options
		says      string
	}{
		{"a directory in use", full, sim.Options{Binary: self}, "neither empty nor a simulated host"},
		{"a relative binary", t.TempDir(), sim.Options{Binary: "sotaloop"}, "absolute path"},
		{"an unknown engine", t.TempDir(), sim.Options{Binary: self, Engines: []string{"lmdeploy"}}, `no simulated engine "lmdeploy"`},
		{"a speed below zero", t.TempDir(), sim.Options{Binary: self, Config: sim.Config{Speed: -1}}, "speed of a simulated host cannot be -1"},
		{"an unknown fault", t.TempDir(), sim.Options{Binary: self, Config: sim.Config{Fault: "explode"}}, `no simulated fault "explode"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := sim.New(c.dir, c.opt)
			require.ErrorContains(t, err, c.says)
			_, isFault := fault.As(err)
			require.True(t, isFault)
		})
	}
}

func TestNewAgainKeepsSettings(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{})
	c, err := h.Config()
	require.NoError(t, err)
	c.Speed = 3
	require.NoError(t, h.SetConfig(c))
	self, err := os.Executable()
	require.NoError(t, err)
	again, err := sim.New(h.Layout().Root, sim.Options{Binary: self, Commit: "0123456789abcdef0123456789abcdef01234567", Source: "file:///src"})
	require.NoError(t, err)
	got, err := again.Config()
	require.NoError(t, err)
	require.InDelta(t, 3, got.Speed, 0)
	out, status := output(t, nil, again.Layout().Engines["sglang"].Python, "-c",
		"import importlib.metadata as m; print(m.distribution('sglang').read_text('direct_url.json'))")
	require.Zero(t, status, out)
	require.Contains(t, out, `"commit_id": "0123456789abcdef0123456789abcdef01234567"`)
}

func TestPersonalityOnlyInsideAHost(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{})
	outside := filepath.Join(t.TempDir(), "python")
	require.NoError(t, os.WriteFile(outside, nil, 0o755))
	for argv0, want := range map[string]bool{
		h.Layout().Engines["sglang"].Python:         true,
		h.Layout().Engines["vllm"].Executable:       true,
		filepath.Join(h.Layout().Bin, "nvidia-smi"): true,
		outside:                  false,
		"python-that-is-nowhere": false,
		"sotaloop":               false,
		filepath.Join(h.Layout().Root, "bin/sotaloop"): false,
	} {
		_, ok := sim.Personality(argv0)
		require.Equal(t, want, ok, argv0)
	}
}

func TestNvidiaSMI(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Speed: 20, GPUs: 2, Busy: []sim.BusyGPU{{Index: 1, PID: 4242, Name: "somebody/python", MemoryMiB: 30000, UtilizePct: 80}}})
	smi := filepath.Join(h.Layout().Bin, "nvidia-smi")
	out, status := output(t, nil, smi, "--query-gpu=index,name,memory.total,memory.used,utilization.gpu", "--format=csv,noheader,nounits")
	require.Zero(t, status)
	require.Equal(t, "0, NVIDIA H100 80GB HBM3 (simulated at speed 20), 81559, 0, 0\n1, NVIDIA H100 80GB HBM3 (simulated at speed 20), 81559, 30000, 80\n", out)

	p := launch(t, h, "sglang", []string{"CUDA_VISIBLE_DEVICES=0"})
	apps := func() string {
		out, status := output(t, nil, smi, "--query-compute-apps=pid,process_name,used_memory", "--format=csv", "-i", "0")
		require.Zero(t, status, out)
		return out
	}
	out = apps()
	require.Contains(t, out, "pid, process_name, used_memory [MiB]\n")
	require.Contains(t, out, "sglang::scheduler_TP0, ")
	require.NotContains(t, out, "somebody")
	require.Zero(t, p.stop(t))
	require.NotContains(t, apps(), "sglang")

	out, status = output(t, nil, smi, "--query-gpu=nonsense", "--format=csv,noheader")
	require.Equal(t, 2, status)
	require.Contains(t, out, `Field "nonsense" is not a valid field to query.`)
	out, _ = output(t, nil, smi)
	require.Contains(t, out, "Driver Version: 580.95.05")
	require.Contains(t, out, "simulated")
}

// groupMembers counts the processes of a group that are not zombies.
func groupMembers(t *testing.T, pgid int) int {
	t.Helper()
	n := 0
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, s := range stats {
		b, err := os.ReadFile(s)
		if err != nil {
			continue
		}
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if len(f) > 2 && f[0] != "Z" && f[2] == itoa(pgid) {
			n++
		}
	}
	return n
}

func TestTeardownLeavesNothing(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Speed: 20})
	for _, c := range []struct {
		name  string
		fault string
		end   func(pid int) error
		left  int
	}{
		{"TERM to the engine", "", func(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }, 0},
		{"TERM to the group", "", func(pid int) error { return syscall.Kill(-pid, syscall.SIGTERM) }, 0},
		{"KILL of the engine alone", "", func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }, 0},
		{"KILL of the engine alone, with an orphan", "orphan", func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }, 1},
		{"KILL of the group where TERM is ignored", "ignore-sigterm", func(pid int) error {
			_ = syscall.Kill(-pid, syscall.SIGTERM)
			time.Sleep(50 * time.Millisecond) // the engine has to be given the chance to obey
			if syscall.Kill(pid, 0) != nil {
				return syscall.ESRCH
			}
			return syscall.Kill(-pid, syscall.SIGKILL)
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := launch(t, h, "vllm", []string{"SOTALOOP_SIM_FAULT=" + c.fault}, "--gpu-memory-utilization", "0.5", "--max-model-len", "4096")
			pid := p.cmd.Process.Pid
			require.Equal(t, 2, groupMembers(t, pid), "the engine and its rank")
			require.NoError(t, c.end(pid))
			<-p.done
			require.Eventually(t, func() bool { return groupMembers(t, pid) == c.left }, waitFor, tick)
			require.NoError(t, h.Close(), "sweeps what is left")
			require.Eventually(t, func() bool { return groupMembers(t, pid) == 0 }, waitFor, tick)
		})
	}
}

func TestNeverReadyAndSlowStart(t *testing.T) {
	t.Parallel()
	h := newHost(t, sim.Config{Fault: "never-ready"})
	port := freePort(t)
	p := begin(t, nil, argvOf(h, "sglang", port)...)
	url := "http://127.0.0.1:" + itoa(port)
	require.Eventually(t, func() bool { return strings.Contains(p.text(), "Uvicorn running on") }, waitFor, tick)
	status, _, _ := get(t, url+"/health")
	require.Equal(t, 503, status)
	status, _, _ = get(t, url+"/v1/models")
	require.Equal(t, 200, status, "models answers before the engine is ready, as the real one does")
	status, body := post(t, url+"/v1/completions", `{"prompt":"a"}`)
	require.Equal(t, 503, status, body)
	require.Zero(t, p.stop(t))
	require.NotContains(t, p.text(), "fired up")

	begun := time.Now()
	launch(t, h, "vllm", []string{"SOTALOOP_SIM_FAULT=slow-start=0.6"})
	require.Greater(t, time.Since(begun), 600*time.Millisecond)
}
