// Package sim is a simulated GPU host: real processes, real SSH, real HTTP streams, simulated time.
//
// New lays a host out as a directory tree whose executables (python, sglang, vllm, trtllm-serve, tokenspeed,
// nvidia-smi) are links to the sotaloop binary; Personality makes that binary play the program it was called as.
// Host.ServeSSH puts an SSH server in front of the tree, so that everything above sees an ordinary remote host.
//
// The rules of the house:
//
//   - Whatever is produced here says that it is simulated: the GPU's name, the engines' logs, the header
//     X-Sotaloop-Simulated of every response, the key "simulated" of every trace and of /server_info.
//   - Step times come from a roofline over the model's own config.json and the GPU's data sheet (roofline.go);
//     the same list of kernels is summed for the schedule and written into the traces, so they cannot disagree.
//   - A flag that has no effect on the model of time is accepted and named in the log; a feature that would
//     change results in a way that is not modelled is refused at launch.
//   - Output tokens are a hash of model, prompt, position and sampling: equal for all engines and patches.
//
// It does not know contracts, benchmarks or verdicts; see internal/worker and internal/bench for those.
package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Marker is the file at a host's root by which a personality knows that it lies in a simulated host.
const Marker = ".sotaloop-simulated-host"

// Header is the response header that every simulated endpoint sends, with the value "1".
const Header = "X-Sotaloop-Simulated"

// Alias is the host name that the written ssh_config answers to.
const Alias = "simhost"

// Options says what kind of host New builds. Zero values are the demo's defaults.
type Options struct {
	Binary  string   // absolute path of the binary that calls Personality; required
	Engines []string // framework types to install; default all four of EngineTypes
	Model   Model    // the model to lay out; default DefaultModel
	Config  Config   // sim.json; zero fields take DefaultConfig's values
	Commit  string   // source commit recorded for the SGLang install; default none
	Source  string   // URL or path of the checkout that Commit belongs to
}

// Host is one simulated host. Its methods are safe for concurrent use.
type Host struct {
	layout Layout

	mu      sync.Mutex
	servers []*sshServer
}

// EngineTypes lists the framework types that can be installed, by their canonical ids.
func EngineTypes() []string {
	return []string{"sglang", "vllm", "tensorrt_llm", "tokenspeed"}
}

// New lays out a host under dir, which must be absent, empty or an earlier simulated host; in the last case
// keys and a changed sim.json stay, the rest is written anew.
func New(dir string, opt Options) (*Host, error) {
	if err := opt.complete(); err != nil {
		return nil, err
	}
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("resolve %q: %w", dir, err)
	}
	if root, err = claimRoot(root); err != nil {
		return nil, err
	}
	h := &Host{layout: newLayout(root, opt)}
	if err := h.layout.write(opt); err != nil {
		return nil, fmt.Errorf("lay out simulated host: %w", err)
	}
	return h, nil
}

func (o *Options) complete() error {
	if !filepath.IsAbs(o.Binary) {
		return &fault.Error{Code: fault.InvalidInput, Field: "binary", Got: o.Binary,
			Message: fmt.Sprintf("simulated host needs the absolute path of its binary, got %q", o.Binary)}
	}
	if len(o.Engines) == 0 {
		o.Engines = EngineTypes()
	}
	for _, e := range o.Engines {
		if !slices.Contains(EngineTypes(), e) {
			return &fault.Error{Code: fault.InvalidInput, Field: "engines", Got: e,
				Message: fmt.Sprintf("no simulated engine %q", e), Want: EngineTypes()}
		}
	}
	if o.Model.Name == "" {
		o.Model = DefaultModel()
	}
	o.Config = o.Config.withDefaults()
	return o.Config.validate()
}

// claimRoot makes dir a simulated host's root, refusing a directory that holds anything else.
func claimRoot(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create simulated host: %w", err)
	}
	// Processes see the resolved path in their working directory, so the layout has to name the same one.
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("resolve simulated host: %w", err)
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return "", fmt.Errorf("read simulated host: %w", err)
	}
	mark := filepath.Join(root, Marker)
	if _, err := os.Lstat(mark); err != nil && len(entries) > 0 {
		return "", &fault.Error{Code: fault.Conflict, Field: "dir", Got: root,
			Message: fmt.Sprintf("%q is neither empty nor a simulated host", root),
			Hints:   []string{"name an empty or new directory"}}
	}
	text := "This directory is a simulated GPU host of sotaloop. Nothing in it measures real hardware.\n"
	return root, os.WriteFile(mark, []byte(text), 0o644)
}

// Layout says where everything lies.
func (h *Host) Layout() Layout { return h.layout }

// Config reads the host's sim.json.
func (h *Host) Config() (Config, error) { return readConfig(h.layout.Root) }

// SetConfig replaces sim.json; engines launched later see it, running ones keep what they read.
func (h *Host) SetConfig(c Config) error {
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return err
	}
	return writeConfig(h.layout.Root, c)
}

// Close ends the SSH servers and every engine of this host that still runs. It touches only processes that
// registered themselves under the root and still are the process that registered.
func (h *Host) Close() error {
	h.mu.Lock()
	servers := h.servers
	h.servers = nil
	h.mu.Unlock()
	for _, s := range servers {
		s.close()
	}
	return sweep(h.layout.Root)
}
