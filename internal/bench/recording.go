package bench

import (
	"io"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// RecordsKind and RecordsVersion name the format of stored records.
const (
	RecordsKind    = "sotaloop.records"
	RecordsVersion = 1
)

// Header is the first line of stored records.
type Header struct {
	Kind     string            `json:"kind"`
	V        int               `json:"v"`
	Client   string            `json:"client"`
	Path     string            `json:"endpoint"`
	Phase    string            `json:"phase"`
	Block    int               `json:"block"`
	Seed     uint64            `json:"seed,string"`
	Scenario contract.Scenario `json:"scenario"`
	Goodput  *contract.Goodput `json:"goodput,omitempty"`
	Window   Window            `json:"window"`
	BaseNS   int64             `json:"monotonic_base_ns"` // CLOCK_MONOTONIC at the point's origin; 0 where unknown
	Keyed    bool              `json:"keyed_digests,omitempty"`
	Records  int               `json:"records"` // number of lines that follow
}

// Recording is a point's evidence: the header and every request, warm-up included, in order of planning.
type Recording struct {
	Header  Header
	Records []*Record
}

// WriteRecords stores a recording: zstd-compressed JSON lines, the header first, then one record a line.
func WriteRecords(w io.Writer, r *Recording) error { return nil }

// ReadRecords reads what WriteRecords wrote (or its gzip-compressed or plain form) and refuses a newer version, a
// wrong count and anything after the last record.
func ReadRecords(r io.Reader) (*Recording, error) { return nil, nil }
