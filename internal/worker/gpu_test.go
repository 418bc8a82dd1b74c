//go:build linux

package worker_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// smi plays nvidia-smi: two GPUs, and the processes and used memory that files in its folder say.
const smi = `#!/bin/sh
dir=$(dirname "$0")
case "$1" in
*query-gpu*)
  echo "0, GPU-aaaa, NVIDIA Test, 580.1, 0, $(cat "$dir/used"), 80000, 1980"
  echo "1, GPU-bbbb, NVIDIA Test, 580.1, 0, 4, 80000, 1980" ;;
*) cat "$dir/apps" ;;
esac
`

func gpuRig(t *testing.T) (*rig, string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte(smi), 0o755))
	write(t, filepath.Join(dir, "used"), "4")
	write(t, filepath.Join(dir, "apps"), "")
	return newRig(t, map[string]string{"PATH": dir + ":" + os.Getenv("PATH")}), dir
}

func TestForeignProcessOnOurGPU(t *testing.T) {
	t.Parallel()
	r, dir := gpuRig(t)
	write(t, filepath.Join(dir, "apps"), "GPU-aaaa, 1, somebody's, training, 500\nGPU-bbbb, 1, on another gpu, 100\n")
	p := r.plan("busy", r.launch("l1", nil))
	p.Device, p.GPUs = "cuda", []int{0}
	st := r.run(p)
	require.Equal(t, "run.started launch.failed launch.stopped run.done", kinds(st))
	f := event(t, st, worker.EventLaunchFailed).Failure
	require.Equal(t, framework.FailForeign, f.Class)
	require.Equal(t, "other processes use these GPUs: pid 1 (somebody's, training) on gpu 0", f.Reason)
}

// TestLaunchesOnAnotherHostThanTheContracts: another GPU, driver or model keeps a launch from beginning, and what is as it
// was does not.
func TestLaunchesOnAnotherHostThanTheContracts(t *testing.T) {
	t.Parallel()
	model := t.TempDir()
	write(t, filepath.Join(model, "config.json"), `{"layers":2}`)
	for name, c := range map[string]struct {
		want worker.Expected
		says string
	}{
		"GPU":          {worker.Expected{GPUModel: "NVIDIA Other"}, `the GPU is "NVIDIA Test", the contract has "NVIDIA Other"`},
		"driver":       {worker.Expected{GPUModel: "NVIDIA Test", Driver: "590.1"}, `the driver is "580.1"`},
		"model":        {worker.Expected{Model: model, Identity: "0"}, "the identity of the model's files"},
		"as it was":    {worker.Expected{GPUModel: "NVIDIA Test", Driver: "580.1"}, ""},
		"not compared": {worker.Expected{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := gpuRig(t)
			p := r.plan("changed", r.launch("l1", nil))
			p.Device, p.GPUs, p.Expects = "cuda", []int{0}, &c.want
			st := r.run(p)
			if c.says == "" {
				require.Contains(t, kinds(st), "launch.ready")
				return
			}
			require.Equal(t, "run.started launch.failed launch.stopped run.done", kinds(st))
			f := event(t, st, worker.EventLaunchFailed).Failure
			require.Equal(t, framework.FailChanged, f.Class)
			require.Contains(t, f.Reason, c.says)
		})
	}
}

func TestGPURun(t *testing.T) {
	t.Parallel()
	r, dir := gpuRig(t)
	gate, open := r.gate()
	p := r.plan("run", r.launch("l1", []string{gate}, point("p0"), point("p1")))
	p.Device, p.GPUs = "cuda", []int{1, 0}
	require.NoError(t, r.client.Start(t.Context(), p, nil))
	st := r.until("run", loading)
	ready := event(t, st, worker.EventLaunchReady)
	require.Contains(t, ready.Info, `"CUDA_VISIBLE_DEVICES=0,1"`)
	require.Contains(t, ready.Info, `"CUDA_DEVICE_ORDER=PCI_BUS_ID"`)
	require.Len(t, leasesHeld(t, r), 2)

	one := r.plan("other", r.launch("l1", nil))
	one.Device, one.GPUs = "cuda", []int{1}
	require.ErrorContains(t, r.client.Start(t.Context(), one, nil), "gpu 1 is leased")

	pid := strconv.Itoa(ready.Proc.PID)
	write(t, filepath.Join(dir, "apps"), "GPU-aaaa, "+pid+", toy, 1000\nGPU-bbbb, 1, intruder, 5\n")
	write(t, filepath.Join(dir, "used"), "1004")
	open()
	r.until("run", func(st worker.Status) bool { return len(st.Events) == 5 }) // the GPU's memory is waited for
	write(t, filepath.Join(dir, "apps"), "")
	write(t, filepath.Join(dir, "used"), "4")
	st = r.finish("run")
	require.Equal(t, worker.StateDone, st.State, st.Reason)
	var quiet *worker.Quiet
	for _, e := range st.Events {
		if e.Point == "p1" {
			quiet = e.Quiet
		}
	}
	require.Equal(t, []string{"pid 1 (intruder) on gpu 1"}, quiet.ForeignGPU)
	require.InDelta(t, 1000, quiet.PeakGPUMiB, 0)
}

func TestGPUThatIsNotThere(t *testing.T) {
	t.Parallel()
	r, _ := gpuRig(t)
	p := r.plan("run", r.launch("l1", nil))
	p.Device, p.GPUs = "cuda", []int{7}
	f := event(t, r.run(p), worker.EventLaunchFailed).Failure
	require.Equal(t, worker.FailWorker, f.Class)
	require.Contains(t, f.Reason, "gpus [7] are planned")
}
