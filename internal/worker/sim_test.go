//go:build linux

package worker_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// TestSimulatedHost runs the whole way with an adapter's own launch and protocol: GPUs, overlay, points, captures.
func TestSimulatedHost(t *testing.T) {
	t.Parallel()
	binary, err := os.Executable()
	require.NoError(t, err)
	host, err := sim.New(filepath.Join(t.TempDir(), "host"), sim.Options{Binary: binary, Config: sim.Config{Speed: 50, StartupSpeed: 5000}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = host.Close() })
	lay := host.Layout()
	r := newRig(t, map[string]string{"PATH": lay.Bin + ":" + os.Getenv("PATH")})

	e := framework.Engine{Entry: "sglang-sim", Type: contract.SGLang, Venv: lay.Engines["sglang"].Venv, ImportName: "sglang"}
	const file = "srt/layers/fused_norm_rope.py"
	base, err := os.ReadFile(filepath.Join(lay.Engines["sglang"].SitePackages, "sglang", file))
	require.NoError(t, err)
	installed, err := r.client.ReadInstalled(t.Context(), e, []string{file})
	require.NoError(t, err)
	require.Equal(t, digest(string(base)), installed[file])
	changed := string(base) + "# changed\n"
	tarball := archive(t, entry{name: "python/sglang/" + file, text: changed})

	fw, err := framework.Of(contract.SGLang)
	require.NoError(t, err)
	spec := framework.Spec{Engine: e, ModelPath: lay.ModelPath, ServedName: "m", Device: "cuda", GPUs: []int{0}, Capture: true, Steps: 2}
	rendered, err := fw.Launch(spec)
	require.NoError(t, err)
	l := r.launch("l1", nil, point("p1"))
	l.Argv, l.Env, l.Protocol, l.Served, l.SecretEnv = rendered.Argv, rendered.Env, fw.Protocol(spec), "m", nil
	l.Overlay = &worker.Overlay{Tree: "abc", Tar: "abc.tar", TarDigest: digest(string(tarball)), ImportName: "sglang", PackageRoot: "python/sglang",
		Base: map[string]string{file: digest(string(base))}, Want: map[string]string{file: digest(changed)}}
	l.Points[0].Spec.Vocab.Lo, l.Points[0].Spec.Vocab.Hi = 256, 10000
	l.Captures = captures()[1:]
	for i := range l.Captures {
		l.Captures[i].Vocab = l.Points[0].Spec.Vocab
	}
	p := r.plan("sim", l)
	p.Device, p.GPUs = "cuda", []int{0}
	require.NoError(t, r.client.Start(t.Context(), p, map[string]worker.Opener{"abc.tar": opener(tarball)}))
	st := r.finish("sim")
	for _, e := range st.Events {
		require.Nil(t, e.Failure, "%s: %+v", e.Kind, e.Failure)
	}
	require.Equal(t, "run.started launch.started launch.ready point.done capture.done launch.stopped run.done", kinds(st))
	ready := event(t, st, worker.EventLaunchReady)
	require.Equal(t, digest(changed), ready.Loaded[file])
	require.Contains(t, ready.Phases, "weights")
	require.Contains(t, ready.Info, "simulated")
	require.Equal(t, "flushed", event(t, st, worker.EventPointDone).Cache)
	for _, e := range st.Events[4:5] {
		require.NotEmpty(t, e.Files)
		require.True(t, strings.HasSuffix(e.Files[0].Name, ".trace.json.gz"), e.Files[0].Name)
	}
}
