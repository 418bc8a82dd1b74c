package sim

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// persona is one call of a simulated program.
type persona struct {
	root   string // of the host
	link   string // the path it was called by, last link unresolved
	args   []string
	env    map[string]string
	stdout io.Writer
	stderr io.Writer
}

// Personality answers whether this process was started as one of the programs of a simulated host, and with
// what to run in place of main. argv0 is os.Args[0]; run takes os.Args[1:] and os.Environ and returns the exit
// status. For any other process it costs one comparison of a base name: call it first thing.
func Personality(argv0 string) (run func(args, env []string) int, ok bool) {
	program := programOf(filepath.Base(argv0))
	if program == nil {
		return nil, false
	}
	path := argv0
	if !strings.ContainsRune(argv0, filepath.Separator) {
		found, err := exec.LookPath(argv0)
		if err != nil {
			return nil, false
		}
		path = found
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, false
	}
	root, ok := rootAbove(path)
	if !ok {
		return nil, false
	}
	return func(args, env []string) int {
		return program(&persona{root: root, link: path, args: args, env: envMap(env), stdout: os.Stdout, stderr: os.Stderr})
	}, true
}

// programOf maps a base name to what plays it; nil for every name that is not of a simulated host.
func programOf(base string) func(*persona) int {
	switch base {
	case "python", "python3", "python3.12":
		return runPython
	case "nvidia-smi":
		return runNvidiaSMI
	case "sglang", "vllm", "trtllm-serve", "tokenspeed", "ts":
		return runScript
	}
	return nil
}

// rootAbove finds the marked directory that path lies in. The path itself is not resolved: the link's place
// says which host it belongs to, its target is the binary that all hosts share.
func rootAbove(path string) (string, bool) {
	dir := filepath.Dir(path)
	for range 8 {
		if _, err := os.Lstat(filepath.Join(dir, Marker)); err == nil {
			return dir, true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	return "", false
}

func envMap(env []string) map[string]string {
	out := make(map[string]string, len(env))
	for _, kv := range env {
		k, v, _ := strings.Cut(kv, "=")
		out[k] = v
	}
	return out
}

// venv is the virtual environment the program was called from, empty outside of one.
func (p *persona) venv() string {
	if dir := filepath.Dir(filepath.Dir(p.link)); filepath.Dir(dir) == filepath.Join(p.root, "venvs") {
		return dir
	}
	return ""
}
