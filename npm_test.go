package sotaloop_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOneVersion holds every file that names the next release to the Makefile's.
func TestOneVersion(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		return string(raw)
	}
	m := regexp.MustCompile(`(?m)^VERSION := (\d+\.\d+\.\d+)$`).FindStringSubmatch(read("Makefile"))
	require.NotNil(t, m)
	version := m[1]
	require.Contains(t, read("cmd/sotaloop/main.go"), `version = "`+version+`-dev"`)
	require.Contains(t, read("CHANGELOG.md"), "## "+version)

	var plugin struct {
		Version string
		Servers map[string]struct {
			Args []string
			Env  map[string]string
		} `json:"mcpServers"`
		User map[string]any `json:"userConfig"`
	}
	require.NoError(t, json.Unmarshal([]byte(read(".claude-plugin/plugin.json")), &plugin))
	require.Equal(t, version, plugin.Version)
	require.Equal(t, []string{"-y", "sotaloop@" + version, "serve"}, plugin.Servers["sotaloop"].Args)
	require.Equal(t, "${user_config.home}", plugin.Servers["sotaloop"].Env["SOTALOOP_HOME"])
	require.Contains(t, plugin.User, "home")

	var market struct {
		Plugins []struct{ Name, Source string }
	}
	require.NoError(t, json.Unmarshal([]byte(read(".claude-plugin/marketplace.json")), &market))
	require.Len(t, market.Plugins, 1)
	require.Equal(t, "./", market.Plugins[0].Source, "the plugin's skills are the repository's")

	var registry struct {
		Name, Description, Version string
		Packages                   []struct{ Identifier, Version string }
	}
	require.NoError(t, json.Unmarshal([]byte(read("server.json")), &registry))
	require.Equal(t, version, registry.Version)
	require.LessOrEqual(t, len(registry.Description), 100, "what the registry's schema takes")
	require.Len(t, registry.Packages, 1)
	require.Equal(t, version, registry.Packages[0].Version)
	require.Contains(t, read("npm/pack.mjs"), "mcpName: '"+registry.Name+"'", "the registry asks the package for its name")
}

// TestNpmLauncher starts a stand-in for the program as npx would start the real one.
func TestNpmLauncher(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("there is no Node here, or no program for this system: the npm launcher is not tried")
	}
	platform := runtime.GOOS + "-" + map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	modules := filepath.Join(t.TempDir(), "node_modules")
	put := func(rel, text string) {
		path := filepath.Join(modules, rel)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o700))
	}
	launcher, err := os.ReadFile("npm/bin/sotaloop.js")
	require.NoError(t, err)
	put("sotaloop/bin/sotaloop.js", string(launcher))
	start := func(args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), node, append([]string{filepath.Join(modules, "sotaloop/bin/sotaloop.js")}, args...)...).CombinedOutput()
		return string(out), err
	}
	exit := func(err error) int {
		var e *exec.ExitError
		require.ErrorAs(t, err, &e)
		return e.ExitCode()
	}
	out, err := start("--version")
	require.Equal(t, 1, exit(err))
	require.Contains(t, out, "package sotaloop-"+platform+" is not installed")
	require.Contains(t, out, "--omit=optional")

	put("sotaloop-"+platform+"/package.json", "{}")
	put("sotaloop-"+platform+"/bin/sotaloop", "#!/bin/sh\n[ \"$1\" = die ] && kill -TERM $$\necho \"$# $2 $SOTALOOP_WORKER_ARM64 $SOTALOOP_WORKER_X64 $SOTALOOP_LAUNCHER\"\nexit 7\n")
	put("sotaloop-worker-linux-arm64/package.json", "{}")
	out, err = start("x", "a b;$(id)", "")
	require.Equal(t, 7, exit(err), "the program's own exit code")
	require.Equal(t, "3 a b;$(id) "+filepath.Join(modules, "sotaloop-worker-linux-arm64/bin/sotaloop")+"  "+filepath.Join(modules, "sotaloop/bin/sotaloop.js")+"\n", out, "arguments as they are, and where the workers lie")

	_, err = start("die")
	var died *exec.ExitError
	require.ErrorAs(t, err, &died)
	require.Equal(t, -1, died.ExitCode(), "a program that died of a signal is told as one")
}
