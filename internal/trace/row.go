package trace

// Row is any table's row, found by its id.
type Row struct {
	ID        string     `json:"id"`
	Table     string     `json:"table"` // kernel, overlap, fuse, idle, layer
	Stage     string     `json:"stage"`
	Rank      int        `json:"rank"`
	Name      string     `json:"name"`
	TotalUS   float64    `json:"total_us"`
	Share     float64    `json:"share"`
	Ceiling   float64    `json:"ceiling"`
	Locations []Location `json:"locations"`
}

// Row finds the row with this id in any table of any stage; kernel rows below MinShare are found, too.
func (a *Analysis) Row(id string) (Row, bool) {
	for i := range a.Stages {
		if r, ok := a.Stages[i].row(id); ok {
			return r, true
		}
	}
	return Row{}, false
}

// row finds a row of one stage.
func (s *Stage) row(id string) (Row, bool) {
	out := Row{ID: id, Stage: s.Stage, Rank: s.Rank, Locations: []Location{}}
	kernels := s.all
	if kernels == nil { // an analysis read back from JSON
		kernels = s.Kernels
	}
	for _, k := range kernels {
		if k.ID == id {
			out.Table, out.Name, out.TotalUS, out.Share, out.Ceiling, out.Locations = "kernel", k.Name, k.TotalUS, k.Share, k.Ceiling, k.Locations
			return out, true
		}
	}
	for _, o := range s.Overlap {
		if o.ID == id {
			out.Table, out.Name, out.TotalUS, out.Share, out.Ceiling, out.Locations = "overlap", o.Name, o.TotalUS, o.ShareOfBusy, o.Ceiling, o.Locations
			return out, true
		}
	}
	for _, f := range s.Fuse {
		if f.ID == id {
			out.Table, out.Name, out.TotalUS, out.Share, out.Ceiling, out.Locations = "fuse", f.Pattern, f.TotalUS, f.Share, f.Ceiling, f.Locations
			return out, true
		}
	}
	for _, c := range s.Idle.Causes {
		if c.ID == id {
			out.Table, out.Name, out.TotalUS, out.Share, out.Ceiling = "idle", c.Cause, c.TotalUS, c.Share, c.Ceiling
			return out, true
		}
	}
	for _, l := range s.Layers.Rows {
		if l.ID == id {
			out.Table, out.Name, out.TotalUS, out.Share, out.Ceiling = "layer", l.Role, l.WallUS, l.Share, ceiling(l.Share)
			return out, true
		}
	}
	return Row{}, false
}
