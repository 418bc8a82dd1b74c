//go:build linux

package worker_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/genuine"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// installed writes a distribution's metadata into a virtual environment.
func installed(t *testing.T, venv, name, version string, files map[string]string) {
	t.Helper()
	site := filepath.Join(venv, "lib", "python3.12", "site-packages")
	info := filepath.Join(site, name+"-"+version+".dist-info")
	require.NoError(t, os.MkdirAll(info, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(info, "RECORD"), []byte(files["record"]), 0o644))
	delete(files, "record")
	for file, text := range files {
		path := filepath.Join(site, file)
		if file == "direct_url.json" {
			path = filepath.Join(info, file)
		}
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
}

func TestExamine(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"HF_TOKEN": "hf_x", "EMPTY": ""})
	dir := t.TempDir()
	venv := func(name string) string { return filepath.Join(dir, name) }
	installed(t, venv("wheel"), "sglang", "0.5.15", map[string]string{"record": "sglang/__init__.py,,\n"})
	installed(t, venv("vcs"), "vllm", "0.1", map[string]string{"record": "vllm/__init__.py,,\n", "direct_url.json": `{"url":"https://x","vcs_info":{"vcs":"git","commit_id":"abcdef0123"}}`})
	commit, err := gitops.Create(venv("src"), map[string][]byte{"python/sglang/__init__.py": []byte("x = 1\n")}, "first", time.Now())
	require.NoError(t, err)
	installed(t, venv("editable"), "sglang", "0.0.0", map[string]string{
		"record": "__editable__.pth,,\n", "__editable__.pth": filepath.Join(venv("src"), "python") + "\n",
		"direct_url.json": `{"url":"file:///x","dir_info":{"editable":true}}`})
	installed(t, venv("other"), "torch", "2.11", map[string]string{"record": "torch/__init__.py,,\n"})
	engine := func(kind contract.Framework, name string) framework.Engine {
		return framework.Engine{Type: kind, Venv: venv(name)}
	}
	x, _, err := r.client.Examine(t.Context(), worker.ExamineRequest{
		LeaseDir: r.leases, Secrets: []string{"HF_TOKEN", "EMPTY", "NONE"}, Engines: map[string]framework.Engine{
			"wheel": engine(contract.SGLang, "wheel"), "vcs": engine(contract.VLLM, "vcs"), "editable": engine(contract.SGLang, "editable"),
			"other": engine(contract.SGLang, "other"), "gone": engine(contract.SGLang, "gone"), "image": {Type: contract.SGLang, Image: "x"},
			"command": {Type: contract.SGLang, Command: filepath.Join(venv("wheel"), "bin")},
		},
	})
	require.NoError(t, err)
	require.Empty(t, x.Workdir+x.LeaseDir)
	require.Equal(t, map[string]bool{"HF_TOKEN": true, "EMPTY": false, "NONE": false}, x.Secrets)
	require.Equal(t, map[string]genuine.Build{
		"wheel":    {Kind: genuine.KindWheel, Version: "0.5.15"},
		"command":  {Kind: genuine.KindWheel, Version: "0.5.15"},
		"vcs":      {Kind: genuine.KindWheel, Version: "0.1", Commit: "abcdef0123"},
		"editable": {Kind: genuine.KindEditable, Version: "0.0.0", Commit: commit, Root: venv("src")},
		"other":    {Kind: genuine.KindNone},
		"gone":     {Kind: genuine.KindNone},
	}, x.Builds)
	require.NoFileExists(t, r.leases)
	require.NoFileExists(t, r.workdir)

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	x, _, err = r.client.Examine(t.Context(), worker.ExamineRequest{LeaseDir: filepath.Join(file, "below"), Workdir: file})
	require.NoError(t, err)
	require.Contains(t, x.LeaseDir, "not a directory")
	require.Contains(t, x.Workdir, "is no folder")
}

func TestSelftest(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	c, err := r.client.Selftest(t.Context(), 300*time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, 8*8, c.Events)
	require.Zero(t, c.EventsLost)
	for _, d := range []time.Duration{0, time.Millisecond, time.Hour} {
		_, err := r.client.Selftest(t.Context(), d)
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), d)
	}
}
