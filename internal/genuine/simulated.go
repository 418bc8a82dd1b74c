package genuine

// Simulated describes a program that plays an engine: it says so, and nothing more is claimed of it.
func Simulated(o Options) (*Identity, error) {
	l := &look{Options: o, digests: recall(o.Memory), id: &Identity{Kind: KindSimulated, Prefix: o.Prefix, Packages: []Distribution{}}}
	defer l.digests.keep()
	p, _, err := l.program(o.Program)
	if err != nil {
		return nil, err
	}
	l.id.Program, l.id.Startup = p, []Startup{}
	l.sum()
	l.id.finish()
	return l.id, nil
}
