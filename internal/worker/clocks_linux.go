package worker

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// cpuClocks are the settings under root (/sys/devices/system/cpu) that decide how fast the machine's cores may run: each
// file's values over all cores, in order and each once, joined by commas. Files that are not there are left out, as in most
// virtual machines.
func cpuClocks(root string) map[string]string {
	out := map[string]string{}
	for name, pattern := range map[string]string{
		"cpu.governor": "cpufreq/policy*/scaling_governor", "cpu.min_khz": "cpufreq/policy*/scaling_min_freq", "cpu.max_khz": "cpufreq/policy*/scaling_max_freq",
		"cpu.boost": "cpufreq/boost", "cpu.no_turbo": "intel_pstate/no_turbo",
	} {
		files, _ := filepath.Glob(filepath.Join(root, pattern))
		var values []string
		for _, file := range files {
			raw, err := os.ReadFile(file)
			value := cleanLine(strings.TrimSpace(string(raw)), 40)
			if err == nil && value != "" && !slices.Contains(values, value) {
				values = append(values, value)
			}
		}
		slices.Sort(values)
		if len(values) > 0 {
			out[name] = strings.Join(values, ",")
		}
	}
	return out
}
