package search

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Table is a full-factorial measurement: what every combination of knobs scored. Row 0 is candidate 0.
type Table struct {
	space  Space
	grid   *grid
	cells  map[string]entry
	best   float64
	priors bool
}

type entry struct {
	status string
	score  float64 // noiseless, when ok
	prior  float64
}

// ReadTable reads a CSV whose header is knob columns, then status and score, then perhaps prior. Errors are faults
// that begin with name:line.
func ReadTable(r io.Reader, name string) (*Table, error) {
	in := csv.NewReader(r)
	header, err := in.Read()
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "%s:1", name)
	}
	knobs := slices.Index(header, "status")
	wrong := knobs < 1 || len(header) < knobs+2 || header[knobs+1] != "score" || len(header) > knobs+3 || (len(header) == knobs+3 && header[knobs+2] != "prior")
	if wrong {
		return nil, fault.New(fault.InvalidInput, "%s:1: header %q is not knobs, then status, score and perhaps prior", name, header)
	}
	t := &Table{cells: map[string]entry{}, priors: len(header) == knobs+3}
	var lines [][]string
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fault.Wrap(fault.InvalidInput, err, "%s", name)
		}
		lines = append(lines, record)
	}
	if len(lines) == 0 {
		return nil, fault.New(fault.InvalidInput, "%s:2: no rows", name)
	}
	t.layout(header[:knobs], lines)
	for i, record := range lines {
		if err := t.add(record, knobs); err != nil {
			return nil, fault.Wrap(fault.InvalidInput, err, "%s:%d", name, i+2)
		}
	}
	if first := t.cells[t.grid.base.key()]; first.status != StatusOK {
		return nil, fault.New(fault.InvalidInput, "%s:2: candidate 0 is %q, want ok", name, first.status)
	}
	return t, nil
}

// layout makes the space of the values that occur, in order of appearance; the first row is the base.
func (t *Table) layout(names []string, lines [][]string) {
	t.space.Base = map[string]any{}
	for k, name := range names {
		knob := Knob{Name: name}
		t.space.Base[name] = lines[0][k]
		for _, record := range lines {
			if !slices.Contains(knob.Values, any(record[k])) {
				knob.Values = append(knob.Values, record[k])
			}
		}
		t.space.Knobs = append(t.space.Knobs, knob)
	}
	if t.priors {
		t.space.Prior = func(flags map[string]any) (float64, bool) {
			e := t.at(flags)
			return e.prior, e.prior > 0
		}
	}
	t.space.Legal = func(flags map[string]any) string {
		if t.at(flags).status == "" {
			return "not in the table"
		}
		return ""
	}
	t.grid = newGrid(t.space)
}

func (t *Table) add(record []string, knobs int) error {
	var c cell
	for k := range knobs {
		c = append(c, slices.Index(t.grid.axes[k].texts, text(record[k])))
	}
	if _, twice := t.cells[c.key()]; twice {
		return fmt.Errorf("combination %q twice", record[:knobs])
	}
	e := entry{status: record[knobs]}
	if e.status == "" {
		return errors.New("status: missing")
	}
	number := func(column int, field string) (float64, error) {
		v, err := strconv.ParseFloat(record[column], 64)
		if err != nil || !(v > 0) || v > 1e300 {
			return 0, fmt.Errorf("%s: %q is not a number above 0", field, record[column])
		}
		return v, nil
	}
	var err error
	if e.status == StatusOK {
		if e.score, err = number(knobs+1, "score"); err != nil {
			return err
		}
	} else if record[knobs+1] != "" {
		return fmt.Errorf("score: %q beside status %q", record[knobs+1], e.status)
	}
	if t.priors && record[knobs+2] != "" {
		if e.prior, err = number(knobs+2, "prior"); err != nil {
			return err
		}
	}
	t.cells[c.key()] = e
	t.best = max(t.best, e.score)
	return nil
}

func (t *Table) at(flags map[string]any) entry {
	c, ok := t.grid.at(flags)
	if !ok {
		return entry{}
	}
	return t.cells[c.key()]
}

// Next is the search's next step on the table after trials.
func (t *Table) Next(trials []Trial, budget Budget, strategy Strategy) Step {
	return Next(trials, t.space, budget, strategy)
}
