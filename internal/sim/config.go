package sim

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sotaloop/sotaloop/internal/fault"
)

const configName = "sim.json"

// Config is sim.json at a host's root: everything about the simulation that is not a flag of an engine.
type Config struct {
	Speed        float64   `json:"speed"`          // simulated seconds of serving per real second; default 1
	StartupSpeed float64   `json:"startup_speed"`  // the same for launching (imports, weights, graphs); default 250
	NoiseSD      float64   `json:"noise_sd"`       // log-sd of the speed of a launch; default 0.005; negative: none
	Seed         uint64    `json:"seed,omitempty"` // of the launches' noise; 0: from pid and time
	GPUs         int       `json:"gpus"`           // how many GPUs; default 2
	GPU          GPU       `json:"gpu"`            // their data sheet; default an H100 SXM
	Fault        string    `json:"fault,omitempty"`
	Busy         []BusyGPU `json:"busy"` // processes of somebody else
}

// BusyGPU is a pretended foreign process on one GPU.
type BusyGPU struct {
	Index      int    `json:"index"`
	PID        int    `json:"pid"`
	Name       string `json:"name"`
	MemoryMiB  int    `json:"memory_mib"`
	UtilizePct int    `json:"utilization_pct"`
}

// DefaultConfig is what a zero Config stands for.
func DefaultConfig() Config {
	return Config{Speed: 1, StartupSpeed: 250, NoiseSD: 0.005, GPUs: 2, GPU: H100(), Busy: []BusyGPU{}}
}

func (c Config) withDefaults() Config {
	d := DefaultConfig()
	if c.Speed == 0 {
		c.Speed = d.Speed
	}
	if c.StartupSpeed == 0 {
		c.StartupSpeed = d.StartupSpeed
	}
	if c.NoiseSD == 0 {
		c.NoiseSD = d.NoiseSD
	}
	if c.GPUs == 0 {
		c.GPUs = d.GPUs
	}
	if c.GPU.Name == "" {
		c.GPU = d.GPU
	}
	if c.Busy == nil {
		c.Busy = d.Busy
	}
	return c
}

func (c Config) validate() error {
	bad := func(field string, got any) error {
		return &fault.Error{Code: fault.InvalidInput, Field: field, Got: fmt.Sprint(got),
			Message: fmt.Sprintf("%s of a simulated host cannot be %v", field, got)}
	}
	switch {
	case c.Speed < 0.001 || c.Speed > 10000:
		return bad("speed", c.Speed)
	case c.StartupSpeed < 0.001 || c.StartupSpeed > 1e6:
		return bad("startup_speed", c.StartupSpeed)
	case c.NoiseSD > 0.5:
		return bad("noise_sd", c.NoiseSD)
	case c.GPUs < 1 || c.GPUs > 64:
		return bad("gpus", c.GPUs)
	}
	if _, err := parseFaults(c.Fault); err != nil {
		return err
	}
	return c.GPU.validate()
}

func readConfig(root string) (Config, error) {
	var c Config
	b, err := os.ReadFile(filepath.Join(root, configName))
	if err != nil {
		return c, fmt.Errorf("read simulation settings: %w", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("parse %s: %w", configName, err)
	}
	c = c.withDefaults()
	return c, c.validate()
}

func writeConfig(root string, c Config) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("render %s: %w", configName, err)
	}
	return replaceFile(filepath.Join(root, configName), append(b, '\n'), 0o644)
}

// replaceFile writes data beside path and renames it there, so that a reader sees the old or the new file.
func replaceFile(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if e := f.Chmod(mode); err == nil {
		err = e
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
