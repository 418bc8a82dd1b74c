package main

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// The SHA-256 of the workers that a release comes with, in hex, set by the release build. A client that knows them puts
// nothing else on a host.
var workerDigestAMD64, workerDigestARM64 string

// workerFiles finds the Linux programs that hosts run, one for each architecture in Go's words.
type workerFiles struct {
	dir    string            // of --worker-dir, "" for none
	pinned map[string]string // digests that the release was built with; "" for a build from source
	getenv func(string) string
	self   func() (string, error)
	goos   string
	goarch string
}

// workerBinary is what hosts run: of a release the worker that it was built with; else a file of --worker-dir, or this
// program itself where it is for the same machine.
func workerBinary(dir string) loop.WorkerBinary {
	f := workerFiles{
		dir: dir, pinned: map[string]string{"amd64": workerDigestAMD64, "arm64": workerDigestARM64},
		getenv: os.Getenv, self: os.Executable, goos: runtime.GOOS, goarch: runtime.GOARCH,
	}
	return f.binary()
}

func (f workerFiles) binary() loop.WorkerBinary {
	var mu sync.Mutex
	known := map[string]string{}
	digest := func(arch string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if known[arch] == "" {
			d, err := f.digest(arch)
			if err != nil {
				return "", err
			}
			known[arch] = d
		}
		return known[arch], nil
	}
	return loop.WorkerBinary{Digest: digest, Open: func(arch string) (io.ReadCloser, error) {
		name, err := f.path(arch)
		if err != nil {
			return nil, err
		}
		return os.Open(name)
	}}
}

// npmNames are what npm calls Go's architectures.
func npmNames() map[string]string { return map[string]string{"amd64": "x64", "arm64": "arm64"} }

// path gives the file of an architecture's worker.
func (f workerFiles) path(arch string) (string, error) {
	if f.dir != "" {
		return filepath.Join(f.dir, "sotaloop-linux-"+arch), nil
	}
	self, err := f.self()
	if err != nil {
		return "", fault.Wrap(fault.Internal, err, "find this program")
	}
	if f.pinned[arch] == "" {
		if f.goos == "linux" && f.goarch == arch {
			return self, nil
		}
		return "", fault.New(fault.NotFound, "the host is linux/%s and this program is for %s/%s", arch, f.goos, f.goarch).
			Hint("build one with `GOOS=linux GOARCH=%s CGO_ENABLED=0 go build -o DIR/sotaloop-linux-%s ./cmd/sotaloop` and pass --worker-dir DIR", arch, arch)
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	pkg := "sotaloop-worker-linux-" + npmNames()[arch]
	beside := filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(self))), pkg, "bin", "sotaloop")
	name := cmp.Or(f.getenv("SOTALOOP_WORKER_"+map[string]string{"amd64": "X64", "arm64": "ARM64"}[arch]), beside)
	if _, err := os.Stat(name); err != nil {
		return "", fault.Wrap(fault.NotFound, err, "the worker for linux/%s is not installed", arch).
			Hint("install package %s in this program's version, or pass --worker-dir", pkg)
	}
	return name, nil
}

// digest reads an architecture's worker; one that the release was not built with is refused.
func (f workerFiles) digest(arch string) (string, error) {
	name, err := f.path(arch)
	if err != nil {
		return "", err
	}
	file, err := os.Open(name)
	if err != nil {
		return "", fault.Wrap(fault.NotFound, err, "the worker's binary cannot be read").Hint("build or download it, and pass its folder as --worker-dir")
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", fault.Wrap(fault.NotFound, err, "the worker's binary cannot be read")
	}
	got := hex.EncodeToString(sum.Sum(nil))
	if want := f.pinned[arch]; f.dir == "" && want != "" && got != want {
		return "", fault.New(fault.Corrupt, "the worker %s is not the one that this program was built with", name).At("worker", got, want).
			Hint("install sotaloop and its sotaloop-worker packages in one version; pass --worker-dir to use another on purpose")
	}
	return got, nil
}
