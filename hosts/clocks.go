package hosts

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// clockFields are the settings of a GPU that decide how fast it may run, as nvidia-smi names them. They outlive processes,
// not always boots, and change without either.
func clockFields() []string {
	return []string{"clocks.applications.graphics", "clocks.applications.memory", "power.limit"}
}

// queryClocks is what nvidia-smi is asked for them.
func queryClocks() string { return "--query-gpu=index," + strings.Join(clockFields(), ",") }

// QueryClocks asks nvidia-smi for the clock and power settings of GPUs: gpu0.power.limit → "700.00" (W), clocks in MHz. A
// setting that a driver does not tell has its words instead.
func QueryClocks(ctx context.Context, conn Conn) (map[string]string, error) {
	text, err := nvidiaSMI(ctx, conn, queryClocks())
	if err != nil {
		return nil, err
	}
	return ParseClocks(text)
}

// ParseClocks reads what nvidia-smi prints for the query of QueryClocks. Foreign text is made printable.
func ParseClocks(csv []byte) (map[string]string, error) {
	out := map[string]string{}
	names := clockFields()
	err := eachRow(csv, 1+len(names), func(f []string) error {
		index, err := strconv.Atoi(f[0])
		if err != nil || index < 0 {
			return fmt.Errorf("index %q is not a number", f[0])
		}
		for i, name := range names {
			out[GPUSetting(index, name)] = f[1+i]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// GPUSetting is the name of a GPU's setting.
func GPUSetting(index int, name string) string { return fmt.Sprintf("gpu%d.%s", index, name) }
