package search

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
)

// Split says what a generator's tables are for.
type Split string

// The splits: what the policy was tuned on, and what it is judged on.
const (
	Train Split = "train"
	Test  Split = "test"
)

// Generator draws replay tables of one kind. Constants of Auto were chosen on the tables of Train generators alone.
type Generator struct {
	Name  string
	Split Split
	About string
	draw  func(rng *rand.Rand) recipe
}

// Landscape is a made full-factorial table: every combination of levels with its score, whether it comes up, and what
// a performance model expects of it. Cell 0 is candidate 0.
type Landscape struct {
	Knobs []Knob
	Cells []Made
}

// Made is one combination of a made table.
type Made struct {
	Levels []int   // index into the knobs' values
	Status string  // ok or oom
	Score  float64 // noiseless
	Prior  float64
}

// Make draws the table of a seed. The same seed gives the same table, with and without its prior.
func (g Generator) Make(seed uint64) Landscape {
	rng := rand.New(rand.NewPCG(seed, 0x7461626c65))
	r := g.draw(rng)
	l := Landscape{}
	for k, c := range r.knobs {
		knob := Knob{Name: fmt.Sprintf("knob_%d", k+1)}
		for j := range c.effect {
			if c.ordinal {
				knob.Values = append(knob.Values, strconv.Itoa(16<<j))
			} else {
				knob.Values = append(knob.Values, "v"+strconv.Itoa(j+1))
			}
		}
		l.Knobs = append(l.Knobs, knob)
	}
	l.Each(func(levels []int) { l.Cells = append(l.Cells, r.cell(rng, levels)) })
	l.startAnywhere(rng)
	return l
}

// Each gives every combination of the knobs' levels in product order, last knob fastest.
func (l Landscape) Each(visit func(levels []int)) {
	var sizes []int
	for _, k := range l.Knobs {
		sizes = append(sizes, len(k.Values))
	}
	at := make([]int, len(sizes))
	for more := true; more; more = advance(at, sizes) {
		visit(slices.Clone(at))
	}
}

// advance goes on to the next combination, last knob fastest; false after the last one.
func advance(at, sizes []int) bool {
	for k := len(at) - 1; k >= 0; k-- {
		if at[k]++; at[k] < sizes[k] {
			return true
		}
		at[k] = 0
	}
	return false
}

// startAnywhere makes a cell that comes up candidate 0.
func (l *Landscape) startAnywhere(rng *rand.Rand) {
	for {
		i := rng.IntN(len(l.Cells))
		if l.Cells[i].Status != StatusOK {
			continue
		}
		first := l.Cells[i]
		l.Cells = slices.Insert(slices.Delete(l.Cells, i, i+1), 0, first)
		return
	}
}

// Misjudge fills in what a performance model expects that is 8 % wrong: 3 % by level of each knob, the rest by cell.
func (l *Landscape) Misjudge(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0x7072696f72))
	var byLevel [][]float64
	for _, k := range l.Knobs {
		row := make([]float64, len(k.Values))
		normal(rng, row, 0.03)
		byLevel = append(byLevel, row)
	}
	const whole = 0.08
	own := math.Sqrt(math.Max(0, whole*whole-0.03*0.03*float64(len(l.Knobs))))
	for i := range l.Cells {
		wrong := own * rng.NormFloat64()
		for k, j := range l.Cells[i].Levels {
			wrong += byLevel[k][j]
		}
		l.Cells[i].Prior = l.Cells[i].Score * math.Exp(wrong)
	}
}

// Column is an optional column of a table.
type Column string

// PriorColumn is what a performance model expects of each row.
const PriorColumn Column = "prior"

// WriteCSV writes a table as ReadTable reads it, with the optional columns named.
func (l Landscape) WriteCSV(w io.Writer, columns ...Column) error {
	prior := slices.Contains(columns, PriorColumn)
	out := csv.NewWriter(w)
	var header []string
	for _, k := range l.Knobs {
		header = append(header, k.Name)
	}
	header = append(header, "status", "score")
	if prior {
		header = append(header, string(PriorColumn))
	}
	if err := out.Write(header); err != nil {
		return err
	}
	for _, c := range l.Cells {
		var row []string
		for k, j := range c.Levels {
			row = append(row, fmt.Sprint(l.Knobs[k].Values[j]))
		}
		row = append(row, c.Status, "")
		if c.Status == StatusOK {
			row[len(row)-1] = strconv.FormatFloat(c.Score, 'g', 7, 64)
		}
		if prior {
			row = append(row, "")
			if c.Prior > 0 {
				row[len(row)-1] = strconv.FormatFloat(c.Prior, 'g', 7, 64)
			}
		}
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// recipe is one drawn landscape: the logarithm of the score is the sum of what its levels, pairs of levels and the
// cell itself add.
type recipe struct {
	knobs []made
	pairs []madePair
	own   float64 // sd of what a cell adds itself
	wrong flaws
	takes [][]float64 // memory, by knob and level
	room  float64     // what a launch may take together before it runs out of memory; 0: any
}

// made is one knob.
type made struct {
	ordinal bool
	effect  []float64
	error   []float64 // of the performance model
	bad     []bool    // levels that crash
}

type madePair struct {
	a, b   int
	effect [][]float64
	error  [][]float64
	full   [][2]int // levels that crash together
}

// flaws are what a performance model gets wrong: standard deviations of its error by level, pair and cell, how many
// times too small it takes differences, and the degrees of freedom of Student's t where errors have heavy tails.
type flaws struct {
	level, pair, cell float64
	shrink            float64 // 0: differences are as large as they are
	tail              float64 // 0: normal
}

func (f flaws) draw(rng *rand.Rand) float64 { return tailed(rng, f.tail) }

// tailed draws with unit variance: normal, or Student's t with so many (> 2) degrees of freedom.
func tailed(rng *rand.Rand, freedom float64) float64 {
	z := rng.NormFloat64()
	if freedom == 0 {
		return z
	}
	chi := 0.0
	for range int(freedom) {
		n := rng.NormFloat64()
		chi += n * n
	}
	return z / math.Sqrt(chi/freedom) * math.Sqrt((freedom-2)/freedom)
}

func (r *recipe) cell(rng *rand.Rand, at []int) Made {
	c := Made{Levels: at, Status: StatusOK}
	sum, wrong, filled := r.own*rng.NormFloat64(), r.wrong.cell*r.wrong.draw(rng), 0.0
	for k, j := range at {
		knob := r.knobs[k]
		sum, wrong = sum+knob.effect[j], wrong+knob.error[j]
		if knob.bad[j] {
			c.Status = "oom"
		}
		if r.room > 0 {
			filled += r.takes[k][j]
		}
	}
	for _, p := range r.pairs {
		sum, wrong = sum+p.effect[at[p.a]][at[p.b]], wrong+p.error[at[p.a]][at[p.b]]
		if slices.Contains(p.full, [2]int{at[p.a], at[p.b]}) {
			c.Status = "oom"
		}
	}
	if r.room > 0 && filled > r.room {
		c.Status = "oom"
	}
	c.Score = 10 * math.Exp(sum)
	c.Prior = 10 * math.Exp((1-r.wrong.shrink)*sum+wrong)
	return c
}
