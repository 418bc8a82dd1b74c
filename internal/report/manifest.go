package report

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// manifest is one `key: value` a line: versions, commits, hardware, commands. What is not known says so.
func manifest(in loop.ReportInput) []byte {
	var b bytes.Buffer
	c := in.State.Contract
	put := func(key string, value any) {
		text := fmt.Sprint(value)
		if text == "" {
			text = "unknown: not recorded on this host"
		}
		fmt.Fprintf(&b, "%s: %s\n", key, strings.NewReplacer("\r", `\r`, "\n", `\n`).Replace(text))
	}
	put("campaign", in.Campaign)
	put("sotaloop", in.Version)
	put("contract", in.State.Digest)
	put("created", c.Created.Format("2006-01-02T15:04:05Z"))
	put("simulated", c.Host.Simulated)
	put("model", c.Model.ID)
	put("model_path", c.Model.Path)
	put("model_identity", c.Model.Identity)
	put("host", c.Host.Name)
	put("host_entry", c.Host.EntryDigest)
	put("device", c.Host.Device)
	put("gpus", c.Host.GPUs)
	put("gpu_model", c.Host.GPUModel)
	put("gpu_memory_mib", c.Host.GPUMemory)
	put("driver", c.Host.Driver)
	if cpu := c.Host.CPU; cpu != nil {
		put("mark", c.Host.Mark())
		put("cores", c.Host.Cores)
		put("cpu_model", cpu.Model)
		put("cpu_cores", cpu.Cores)
		put("cpu_cores_allowed", cpu.Allowed)
		put("cpu_flags", strings.Join(cpu.Flags, " "))
		put("memory_mib", cpu.MemoryMiB)
	}
	put("boot_id", c.Host.BootID)
	put("seed", c.Seed)
	for _, entry := range sorted(in.State.Help) {
		h := in.State.Help[entry]
		put("engine."+entry+".version", h.Version.Version)
		put("engine."+entry+".commit", h.Version.Commit)
		put("engine."+entry+".help_sha256", h.Digest)
	}
	for _, l := range in.State.Launches {
		put("launch."+l.Launch, l.Command)
	}
	for _, p := range in.State.Proposals {
		put("patch."+p.ID+".base_commit", p.BaseCommit)
		put("patch."+p.ID+".sha256", p.Digest)
	}
	return b.Bytes()
}
