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
