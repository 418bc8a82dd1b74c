package trace

import (
	"cmp"
	"encoding/json"
	"strings"
)

// Roofline places a kernel row below what the hardware allows (Williams, Waterman, Patterson 2009): the work and the
// least traffic of its matrix products follow from the recorded shapes of their inputs.
type Roofline struct {
	Launches  int     `json:"launches"`            // with shapes; the figures are of these alone
	TFLOPs    float64 `json:"tflop_per_s"`         // 2·M·N·K over time
	GBs       float64 `json:"gb_per_s"`            // each input read once and the output written once, over time
	Intensity float64 `json:"flop_per_byte"`       // of that least traffic
	Bound     string  `json:"bound,omitempty"`     // "compute" or "memory": what limits first at this intensity; empty where the GPU's peaks are not known
	OfPeak    float64 `json:"of_peak,omitempty"`   // least possible time over measured time; above 1 where caches held inputs
	PeakFrom  string  `json:"peak_from,omitempty"` // whose peaks
}

// product says how an operator's matrix product reads its inputs.
type product uint8

const (
	productUnseen product = iota
	productNone
	productPlain  // [M,K] × [K,N], also batched
	productBiased // bias, [M,K] × [K,N]
	productLinear // […,K] × [N,K]
)

// dimsMark separates types from dimensions where both are kept.
const dimsMark = '|'

// productOf classifies an operator's name.
func productOf(name string) product {
	switch name {
	case "aten::mm", "aten::bmm", "aten::_scaled_mm":
		return productPlain
	case "aten::addmm", "aten::baddbmm", "aten::_addmm_activation":
		return productBiased
	case "aten::linear":
		return productLinear
	}
	return productNone
}

// peaks are a GPU's dense peaks by its data sheet: TFLOP/s by type, TB/s of memory.
type peaks struct {
	device   string // as the profiler names it
	half     float64
	eight    float64
	terabyte float64
}

// knownPeaks come from NVIDIA's data sheets, dense (without sparsity). Boards of another form factor have other peaks, and
// are not taken for these.
var knownPeaks = []peaks{
	{"NVIDIA H20", 148, 296, 4.0},
	{"NVIDIA H100 80GB HBM3", 989, 1979, 3.35},
	{"NVIDIA H200", 989, 1979, 4.8},
	{"NVIDIA B200", 2250, 4500, 7.7},
}

// shaped is the work of one operator.
type shaped struct {
	flop, bytes float64
	eight       bool // inputs of eight bits
	known       bool // the type has a peak in the table
}

// maxDims bounds the text of dimensions that is read.
const maxDims = 4096

// shapeOf reads the inputs kept of a matrix product; false where they are no such shapes.
func shapeOf(kind product, inputs string) (shaped, bool) {
	types, dims, ok := strings.Cut(inputs, string(rune(dimsMark)))
	var shapes [][]float64
	var names []string
	if !ok || len(dims) > maxDims || json.Unmarshal([]byte(dims), &shapes) != nil || json.Unmarshal([]byte(types), &names) != nil {
		return shaped{}, false
	}
	if kind == productBiased && len(shapes) > 0 && len(names) > 0 {
		shapes, names = shapes[1:], names[1:]
	}
	if len(shapes) < 2 || len(names) < 2 || len(shapes[0]) < 2 || len(shapes[1]) < 2 {
		return shaped{}, false
	}
	a, b := shapes[0], shapes[1]
	k, rows, columns := a[len(a)-1], volume(a[:len(a)-1]), b[len(b)-1]
	if kind == productLinear {
		if b[1] != k || len(b) != 2 {
			return shaped{}, false
		}
		columns = b[0]
	} else if b[len(b)-2] != k || len(a) != len(b) || volume(a[:len(a)-2]) != volume(b[:len(b)-2]) {
		return shaped{}, false
	}
	in, eight, known := widthOf(names[0])
	out := max(in, 2) // products of eight-bit inputs are written in sixteen
	s := shaped{flop: 2 * rows * columns * k, bytes: in*(volume(a)+volume(b)) + out*rows*columns, eight: eight, known: known}
	return s, in > 0 && s.flop > 0
}

func volume(dims []float64) float64 {
	v := 1.0
	for _, d := range dims {
		v *= d
	}
	return v
}

// widthOf gives the bytes of an input type as PyTorch names it, 0 for one that is not known.
func widthOf(name string) (bytes float64, eight, known bool) {
	switch {
	case strings.Contains(name, "BFloat16"), strings.Contains(name, "Half"):
		return 2, false, true
	case strings.Contains(name, "Float8"):
		return 1, true, true
	case name == "float":
		return 4, false, false // TF32 or not cannot be told
	}
	return 0, false, false
}

// shapedEvents finds, once a file, the event that does each shaped operator's work: of several kernels that one product
// launches (a split and its reduction) the longest.
func (b *builder) shapedEvents() map[uint32]shaped {
	if b.shapes != nil {
		return b.shapes
	}
	b.shapes = map[uint32]shaped{}
	read, by := map[uint16]*shaped{}, map[uint32]uint32{}
	for i := range b.opOf {
		kind := productNone
		if op := int(b.opOf[i]); op < len(b.products) {
			kind = b.products[op]
		}
		if kind <= productNone || b.typesOf[i] == 0 || b.launchOf[i] < 0 || b.viaGraph(i) {
			continue
		}
		s, seen := read[b.typesOf[i]]
		if !seen {
			if got, ok := shapeOf(kind, b.types.text(uint32(b.typesOf[i]))); ok {
				s = &got
			}
			read[b.typesOf[i]] = s
		}
		if s == nil {
			continue
		}
		op := cmp.Or(b.gpu.at(i).external, b.launches.at(int(b.launchOf[i])).external)
		if other, taken := by[op]; taken && op != 0 && b.launchedTogether(int(other), i) {
			if b.gpu.at(int(other)).dur >= b.gpu.at(i).dur {
				continue
			}
			delete(b.shapes, other)
		}
		by[op], b.shapes[uint32(i)] = uint32(i), *s
	}
	return b.shapes
}

// launchedTogether tells two kernels of one operator from those of two that share an id, in different windows.
func (b *builder) launchedTogether(x, y int) bool {
	const apart = 100_000_000
	gap := b.launches.at(int(b.launchOf[x])).ts - b.launches.at(int(b.launchOf[y])).ts
	return -apart < gap && gap < apart
}

// roofline sums the shaped work of a row's events; nil where none has shapes.
func (b *builder) roofline(g *group) *Roofline {
	events := b.shapedEvents()
	if len(events) == 0 {
		return nil
	}
	var r Roofline
	var ns, least, memory float64
	var flop, bytes float64
	at, known := b.peaks()
	for _, e := range g.events {
		s, ok := events[e]
		if !ok {
			continue
		}
		r.Launches++
		ns += float64(b.gpu.at(int(e)).dur)
		flop, bytes = flop+s.flop, bytes+s.bytes
		if known = known && s.known; known {
			peak := at.half
			if s.eight {
				peak = at.eight
			}
			compute, moving := s.flop/(peak*1e3), s.bytes/(at.terabyte*1e3) // ns
			least += max(compute, moving)
			if moving > compute {
				memory += moving
			}
		}
	}
	if r.Launches == 0 || ns == 0 {
		return nil
	}
	r.TFLOPs, r.GBs, r.Intensity = flop/ns/1e3, bytes/ns, flop/bytes
	if known {
		r.Bound, r.OfPeak, r.PeakFrom = "compute", least/ns, at.device+", data sheet"
		if memory > least/2 {
			r.Bound = "memory"
		}
	}
	return &r
}

// peaks gives those of the GPU that the profiler named.
func (b *builder) peaks() (peaks, bool) {
	for _, p := range knownPeaks {
		if p.device == b.device {
			return p, true
		}
	}
	return peaks{}, false
}
