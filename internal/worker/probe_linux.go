package worker

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sotaloop/sotaloop/internal/framework"
)

// simulatedMarker lies at the root of a simulated host; its engines lie below it.
const simulatedMarker = ".sotaloop-simulated-host"

// probe answers VerbProbe. It changes nothing on the host.
func probe(_ context.Context, o HostOptions) (any, error) {
	r, err := request[ProbeRequest](o)
	if err != nil {
		return nil, err
	}
	f := Facts{OS: runtime.GOOS, Arch: runtime.GOARCH, BootID: bootID(), Now: time.Now().UTC(), CPUs: runtime.NumCPU(),
		MemoryMiB: memoryMiB(), Engines: map[string]string{}, Models: map[string]Model{}, Leases: []Lease{}}
	f.Hostname, _ = os.Hostname()
	f.Clocks = cpuClocks("/sys/devices/system/cpu")
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		f.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	if r.Device == deviceCPU {
		f.CPU = findCPU()
	}
	if dir, err := expand(r.Workdir, o.Home); err == nil {
		f.DiskFreeMiB = diskFreeMiB(dir)
		f.Simulated = isSimulated(dir)
	}
	if dir, err := expand(r.LeaseDir, o.Home); err == nil {
		f.Leases, f.Leased = readLeases(dir), readLeaseLog(dir)
	}
	for name, e := range r.Engines {
		f.Engines[name] = engineGap(e, o)
		for _, place := range []string{e.Venv, e.Command} {
			if dir, err := expand(place, o.Home); err == nil {
				f.Simulated = f.Simulated || isSimulated(dir)
			}
		}
	}
	for id, path := range r.Models {
		f.Models[id] = findModel(id, path, r.HFCache, o.Home)
	}
	return f, nil
}

func memoryMiB() int64 {
	raw, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return kib >> 10
		}
	}
	return 0
}

// diskFreeMiB is what this account may still write where dir is or will be.
func diskFreeMiB(dir string) int64 {
	for {
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) == nil {
			return int64(st.Bavail) * st.Bsize >> 20 //nolint:gosec // sizes of real disks
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return 0
		}
		dir = parent
	}
}

func isSimulated(dir string) bool {
	for range 12 {
		if exists(filepath.Join(dir, simulatedMarker)) {
			return true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return false
		}
		dir = parent
	}
	return false
}

// missingProgram names the program that asks the engine for its flags, where it is not there.
func missingProgram(e framework.Engine, o HostOptions) string {
	fw, err := framework.Of(e.Type)
	if err != nil {
		return err.Error()
	}
	argv, err := fw.HelpCommand(e, "serve")
	if err != nil || len(argv) == 0 {
		return "" // asked for when its flags are captured
	}
	name, err := expand(argv[0], o.Home)
	if err == nil && !isProgram(name) {
		return "no program " + name
	}
	return ""
}

// engineGap says why an engine cannot be used, as far as files tell; "" where they do not speak against it.
func engineGap(e framework.Engine, o HostOptions) string {
	switch {
	case e.Venv != "":
		dir, err := expand(e.Venv, o.Home)
		if err != nil {
			return err.Error()
		}
		if !isProgram(filepath.Join(dir, "bin", "python")) && !isProgram(filepath.Join(dir, "bin", "python3")) {
			return "no interpreter in " + filepath.Join(dir, "bin")
		}
		return missingProgram(e, o)
	case e.Command != "":
		dir, err := expand(e.Command, o.Home)
		if err != nil {
			return err.Error()
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return "no folder " + dir
		}
		return missingProgram(e, o)
	case e.Image != "":
		for _, name := range []string{"docker", "podman"} {
			if _, err := exec.LookPath(name); err == nil {
				return ""
			}
		}
		return "neither docker nor podman is on this host"
	default:
		return "the engine names neither venv, image nor command"
	}
}
