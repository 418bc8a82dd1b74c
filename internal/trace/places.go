package trace

// place is a pid and tid, or a device and stream; those that are no numbers get negative ones.
type place struct{ pid, tid int64 }

// maxPlaces bounds threads and streams; a real trace has tens.
const maxPlaces = 1<<16 - 1

// places numbers threads or streams. The last one asked for is remembered, as events come in runs.
type places struct {
	ids   map[place]uint16
	list  []place
	last  place
	lastN uint16
}

// id numbers a place; ok is false when there are too many.
func (p *places) id(at place) (id uint16, ok bool) {
	if len(p.list) > 0 && at == p.last {
		return p.lastN, true
	}
	id, known := p.ids[at]
	if !known {
		if len(p.list) == maxPlaces {
			return 0, false
		}
		if p.ids == nil {
			p.ids = map[place]uint16{}
		}
		id = uint16(len(p.list))
		p.ids[at] = id
		p.list = append(p.list, at)
	}
	p.last, p.lastN = at, id
	return id, true
}

// find gives the number of a place that is known.
func (p *places) find(at place) (uint16, bool) {
	id, ok := p.ids[at]
	return id, ok
}
