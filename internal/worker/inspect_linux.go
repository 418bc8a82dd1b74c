package worker

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const maxLibraries = 200

// inspect looks at the processes of a ready engine.
func (r *runner) inspect(e *engine) *EngineFacts {
	f := &EngineFacts{Argv: make([]string, 0, len(e.argv)), Processes: []Proc{}}
	for _, a := range e.argv {
		f.Argv = append(f.Argv, r.hide(e, a))
	}
	names, libraries := map[string]bool{}, map[string]bool{}
	home := filepath.Dir(filepath.Dir(e.argv[0]))
	for _, s := range r.family.look() {
		f.Processes = append(f.Processes, procOf(s, r.family.boot))
		dir := "/proc/" + strconv.Itoa(s.pid)
		if s.pid == e.proc.PID { // what it was started with; descendants rewrite theirs
			env, _ := os.ReadFile(dir + "/environ")
			for entry := range strings.SplitSeq(string(env), "\x00") {
				if name, _, ok := strings.Cut(entry, "="); ok {
					names[cleanLine(name, 100)] = true
				}
			}
		}
		mapped, _ := os.ReadFile(dir + "/maps")
		for _, path := range parseLibraries(string(mapped)) {
			if !isUsual(path, home) && !strings.HasPrefix(path, e.cache+"/") {
				libraries[cleanLine(path, 300)] = true
			}
		}
	}
	f.EnvNames, f.Libraries = slices.Sorted(maps.Keys(names)), slices.Sorted(maps.Keys(libraries))
	f.Libraries = append([]string{}, f.Libraries[:min(len(f.Libraries), maxLibraries)]...) // a list is never null
	slices.SortFunc(f.Processes, func(a, b Proc) int { return a.PID - b.PID })
	f.Identity, f.Mounts, f.Suspect = e.id, mountsOf(e), r.suspect(e)
	return f
}

// parseLibraries reads /proc/PID/maps and gives the shared objects, each once.
func parseLibraries(mapped string) []string {
	var found []string
	for line := range strings.Lines(mapped) {
		at := strings.IndexByte(line, '/')
		if at < 0 {
			continue
		}
		path := strings.TrimSpace(line[at:])
		if base := filepath.Base(path); (strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.")) && !slices.Contains(found, path) {
			found = append(found, path)
		}
	}
	return found
}

// isUsual says whether a shared object lies where an engine's own are expected: its environment, the system, CUDA.
func isUsual(path, home string) bool {
	for _, dir := range []string{home, resolved(home), "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/cuda", "/usr/local/nvidia", "/opt/nvidia"} {
		if strings.HasPrefix(path, dir+"/") {
			return true
		}
	}
	return strings.HasPrefix(path, "/usr/local/cuda-")
}
