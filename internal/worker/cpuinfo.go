package worker

import (
	"slices"
	"strings"
)

// notableFlags are the instructions by which engines choose kernels on a CPU: vectors from AVX2 on, matrices, and what
// Arm has in their place.
var notableFlags = []string{
	"fma", "f16c", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16",
	"amx_tile", "amx_int8", "amx_bf16", "amx_fp16",
	"asimd", "asimdhp", "asimddp", "bf16", "i8mm", "sve", "sve2", "svebf16", "svei8mm", "sme",
}

// parseCPUInfo reads /proc/cpuinfo: the model, the number of logical cores and the notable flags, which are those of the
// first core. Arm names no model; its implementer and part stand there.
func parseCPUInfo(text string) (model string, cores int, flags []string) {
	implementer, part := "", ""
	flags = []string{}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "processor":
			cores++
		case "model name":
			model = value
		case "CPU implementer":
			implementer = value
		case "CPU part":
			part = value
		case "flags", "Features":
			if len(flags) == 0 {
				has := strings.Fields(value)
				flags = slices.DeleteFunc(slices.Clone(notableFlags), func(f string) bool { return !slices.Contains(has, f) })
			}
		}
	}
	if model == "" && implementer != "" {
		model = "Arm implementer " + implementer + " part " + part
	}
	return cleanLine(model, 120), cores, flags
}
