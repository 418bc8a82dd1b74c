package bench

// audit merges what the processes found out about themselves with the parent's own figures of the same time: delays are
// the worst of all, CPU time, connections and shares of the CPUs are sums.
func (f *fleet) audit(parent Audit) Audit {
	out := parent
	worst := func(into **float64, v *float64) {
		if v != nil && (*into == nil || *v > **into) {
			*into = ptr(*v)
		}
	}
	sum := func(into **float64, v *float64) {
		if v != nil && *into != nil {
			*into = ptr(**into + *v)
		}
	}
	for _, m := range f.members {
		if m.audit == nil {
			continue
		}
		s := *m.audit
		out.Shards = append(out.Shards, s)
		worst(&out.LoopLagP50MS, s.LoopLagP50MS)
		worst(&out.LoopLagP99MS, s.LoopLagP99MS)
		worst(&out.LoopLagMaxMS, s.LoopLagMaxMS)
		worst(&out.GCPauseMaxMS, s.GCPauseMaxMS)
		worst(&out.Steal, s.Steal)
		worst(&out.ResolveMS, s.ResolveMS)
		sum(&out.CPUSeconds, s.CPUSeconds)
		sum(&out.CPUShare, s.CPUShare)
		out.SocketsMax, out.Dials, out.DialsInLoad = out.SocketsMax+s.SocketsMax, out.Dials+s.Dials, out.DialsInLoad+s.DialsInLoad
	}
	return out
}
