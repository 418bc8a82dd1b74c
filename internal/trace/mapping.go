package trace

import "strings"

// mapping knows the source locations of kernels from traces taken without CUDA graphs.
type mapping struct {
	exact    map[mapKey]mapped // by stage and name
	byName   map[string]mapped
	byFamily map[string]mapped
}

// mapKey is a kernel in a stage.
type mapKey struct{ stage, name string }

// mapped is where a kernel was launched and what launched it.
type mapped struct {
	op        string
	locations []Location
	us        float64
}

// newMapping collects the locations of an analysis of mapping traces. Of several rows with one key, the
// one with most time counts.
func newMapping(a *Analysis) *mapping {
	m := &mapping{exact: map[mapKey]mapped{}, byName: map[string]mapped{}, byFamily: map[string]mapped{}}
	for _, s := range a.Stages {
		for _, k := range s.all {
			if len(k.Locations) == 0 || k.LocationSource == "graph_launch" {
				continue
			}
			found := mapped{k.CPUOp, k.Locations, k.TotalUS}
			keep(m.exact, mapKey{s.Stage, k.Name}, found)
			keep(m.byName, k.Name, found)
			keep(m.byFamily, familyName(k.Name), found)
		}
	}
	return m
}

// keep remembers the entry with most time.
func keep[K comparable](m map[K]mapped, key K, v mapped) {
	if old, ok := m[key]; !ok || v.us > old.us {
		m[key] = v
	}
}

// apply gives a row without a location of its own the mapping's: of its name in its stage, else in any
// stage, else of its family.
func (m *mapping) apply(k *Kernel, stage string) {
	if m == nil || len(k.Locations) > 0 && k.LocationSource != "graph_launch" {
		return
	}
	found, ok := m.exact[mapKey{stage, k.Name}]
	if !ok {
		found, ok = m.byName[k.Name]
	}
	if !ok {
		found, ok = m.byFamily[familyName(k.Name)]
	}
	if !ok {
		return
	}
	k.Locations, k.LocationSource = found.locations, "mapping"
	if k.CPUOp == "" || strings.HasPrefix(k.CPUOp, "cudaGraph") {
		k.CPUOp = found.op
	}
}
