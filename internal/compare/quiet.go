package compare

import "fmt"

// maxUnevenLoad is by how much of the host's CPU capacity the foreign load beside one side of a block may exceed that
// beside the other. Load that is there all the time slows both sides; load in one side's turn decides who wins.
const maxUnevenLoad = 0.10

// UnevenLoad says why the sides of one block were not measured under alike conditions: some ran beside more of other
// people's load than others in the same scenario. It is empty where they were, or where rows do not say. Simulated rows,
// which share their machine with everything, and rows of leased cores, which have a limit of their own, are left out.
func UnevenLoad(rows ...*Row) string {
	least, most := map[string]*Row{}, map[string]*Row{}
	for _, r := range rows {
		if r.Simulated || r.Mark != "" || r.Audit == nil || r.Audit.ForeignCPU == nil {
			continue
		}
		name := r.Scenario()
		if a := least[name]; a == nil || *r.Audit.ForeignCPU < *a.Audit.ForeignCPU {
			least[name] = r
		}
		if b := most[name]; b == nil || *r.Audit.ForeignCPU > *b.Audit.ForeignCPU {
			most[name] = r
		}
	}
	for _, name := range sortedKeys(most) {
		a, b := least[name], most[name]
		if *b.Audit.ForeignCPU-*a.Audit.ForeignCPU > maxUnevenLoad {
			return fmt.Sprintf("others used %.0f %% of the host's CPUs beside %s and %.0f %% beside %s", 100**b.Audit.ForeignCPU, place(b), 100**a.Audit.ForeignCPU, place(a))
		}
	}
	return ""
}
