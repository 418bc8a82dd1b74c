//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stray is a process that belongs to a world: its program, command line, folder or environment names the home.
type stray struct {
	pid  int
	what string
}

func (s stray) String() string { return fmt.Sprintf("%d %s", s.pid, s.what) }

// end ends the process by its id.
func (s stray) end() { _ = syscall.Kill(s.pid, syscall.SIGKILL) }

// strays lists the world's processes, this one excepted, once they had time to end.
func (w *world) strays(patience time.Duration) []stray {
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		left := w.processes("")
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// processes lists the world's living processes whose command line holds word.
func (w *world) processes(word string) []stray {
	var out []stray
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range names {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		line := w.belongs(dir)
		if line != "" && strings.Contains(line, word) {
			out = append(out, stray{pid, line})
		}
	}
	slices.SortFunc(out, func(a, b stray) int { return a.pid - b.pid })
	return out
}

// belongs gives a process's command line where it is the world's, else nothing; zombies have no command line.
func (w *world) belongs(dir string) string {
	raw, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil || len(raw) == 0 {
		return ""
	}
	line := strings.TrimSpace(strings.ReplaceAll(string(raw), "\x00", " "))
	environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
	cwd, _ := os.Readlink(filepath.Join(dir, "cwd"))
	exe, _ := os.Readlink(filepath.Join(dir, "exe"))
	for _, text := range []string{line, string(environ), cwd, exe} {
		if strings.Contains(text, w.home) {
			return line
		}
	}
	return ""
}
