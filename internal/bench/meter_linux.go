package bench

import (
	"bytes"
	"os"
	"strconv"
)

// machineTicks reads the first line of /proc/stat; zero where it cannot be read.
func machineTicks() cpuTicks {
	raw, err := os.ReadFile("/proc/stat")
	if err != nil {
		return cpuTicks{}
	}
	line, _, _ := bytes.Cut(raw, []byte{'\n'})
	var t cpuTicks
	for i, field := range bytes.Fields(line) {
		n, err := strconv.ParseUint(string(field), 10, 64)
		if i == 0 || i > 8 || err != nil { // name; guest times, which user time holds already
			continue
		}
		t.total += n
		if i == 8 {
			t.stolen = n
		}
	}
	return t
}
