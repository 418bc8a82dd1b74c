//go:build !linux

package bench

// machineTicks are not known here.
func machineTicks() cpuTicks { return cpuTicks{} }
