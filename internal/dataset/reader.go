package dataset

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Turns says which turns of a ShareGPT conversation become rows.
type Turns string

// The choices of turns.
const (
	TurnsFirst Turns = "first" // the first question, as a prompt: what other benchmark clients take of such a file
	TurnsAll   Turns = "all"   // each question with what was said before it, as messages
)

// Bounds unless the options say otherwise.
const (
	DefaultMaxLine = 16 << 20
	DefaultMaxRows = 10_000_000
	maxMaxLine     = 1 << 30
	maxOutputLen   = 1 << 30
)

// Options say how a file is read.
type Options struct {
	Count     func(string) int // tokens of a text; where nil, ShareGPT needs OutputLen
	OutputLen int              // tokens; of rows that name none, and of every ShareGPT row. 0: none
	Turns     Turns            // ShareGPT; default TurnsFirst
	Skip      bool             // pass over rows of SkipReasons, counted, instead of refusing the file
	Private   bool             // faults do not quote the data
	Want      string           // Store refuses another digest
	MaxLine   int              // bytes of a line or element; default DefaultMaxLine
	MaxRows   int              // default DefaultMaxRows
}

// Reader gives the rows of a file one after the other.
type Reader struct {
	opt     Options
	chunks  *chunks
	queue   []Row
	rows    int
	shape   Shape
	timed   bool
	last    float64
	skipped []Skip
	err     error
}

// NewReader looks at the beginning of a file and finds its format.
func NewReader(r io.Reader, opt Options) (*Reader, error) {
	if opt.MaxLine <= 0 {
		opt.MaxLine = DefaultMaxLine
	}
	opt.MaxLine = min(opt.MaxLine, maxMaxLine)
	if opt.MaxRows <= 0 {
		opt.MaxRows = DefaultMaxRows
	}
	if opt.Turns == "" {
		opt.Turns = TurnsFirst
	}
	if opt.Turns != TurnsFirst && opt.Turns != TurnsAll {
		return nil, fault.New(fault.InvalidInput, "dataset: unknown choice of turns %q", opt.Turns).At("turns", string(opt.Turns), string(TurnsFirst), string(TurnsAll))
	}
	if opt.OutputLen < 0 || opt.OutputLen > maxOutputLen {
		return nil, fault.New(fault.InvalidInput, "dataset: output_len %d is not between 1 and %d", opt.OutputLen, maxOutputLen).At("output_len", fmt.Sprint(opt.OutputLen))
	}
	c, err := open(r, opt.MaxLine)
	if err != nil {
		return nil, err
	}
	if c.format == FormatShareGPT && opt.OutputLen == 0 && opt.Count == nil {
		return nil, fault.New(fault.InvalidInput, "dataset: ShareGPT conversations have answers but no output_len").At("output_len", "").
			Hint("give a tokenizer to count the answers with, or one output_len for every row")
	}
	return &Reader{opt: opt, chunks: c}, nil
}

// Format is how the file came.
func (r *Reader) Format() Format { return r.chunks.format }

// Skipped counts what has been passed over, in the order of first occurrence.
func (r *Reader) Skipped() []Skip { return slices.Clone(r.skipped) }

// Next gives the next row, io.EOF after the last. Any other error is final.
func (r *Reader) Next() (Row, error) {
	for r.err == nil && len(r.queue) == 0 {
		r.err = r.fill()
	}
	if len(r.queue) == 0 {
		return Row{}, r.err
	}
	row := r.queue[0]
	r.queue = r.queue[1:]
	if row.turns != nil && row.Messages == nil {
		row.Messages = appendTurns(nil, row.turns)
	}
	return row, nil
}

// fill reads one chunk into the queue.
func (r *Reader) fill() error {
	c, err := r.chunks.next()
	switch {
	case errors.Is(err, io.EOF):
		return r.end()
	case errors.Is(err, errTooLong):
		return r.flawed(c, &flaw{reason: ReasonTooLong, text: fmt.Sprintf("is longer than %d bytes", r.opt.MaxLine), hint: "cut the row, or raise the limit"})
	case err != nil:
		return err
	}
	rows, bad := r.rowsOf(c)
	for i := range rows {
		if bad == nil {
			bad = r.admit(&rows[i])
		}
	}
	if bad != nil {
		return r.flawed(c, bad)
	}
	if r.rows += len(rows); r.rows > r.opt.MaxRows {
		return fault.New(fault.InvalidInput, "dataset: more than %d rows", r.opt.MaxRows).Hint("take a part of the file, or raise the limit")
	}
	r.queue = rows
	return nil
}

func (r *Reader) rowsOf(c chunk) ([]Row, *flaw) {
	v, bad := parse(c.raw)
	if bad != nil {
		return nil, bad
	}
	if r.chunks.format == FormatShareGPT {
		return r.opt.conversation(v)
	}
	row, bad := r.opt.row(v)
	return []Row{row}, bad
}

// flawed refuses the file, or passes over the row where that is allowed.
func (r *Reader) flawed(c chunk, f *flaw) error {
	if !r.opt.Skip || !slices.Contains(SkipReasons(), f.reason) {
		err := c.fault(f, r.opt.Private)
		if known, ok := fault.As(err); ok && slices.Contains(SkipReasons(), f.reason) {
			return known.Hint("or pass over such rows, counted, by the option to skip them")
		}
		return err
	}
	i := slices.IndexFunc(r.skipped, func(s Skip) bool { return s.Reason == f.reason })
	if i < 0 {
		i = len(r.skipped)
		r.skipped = append(r.skipped, Skip{Reason: f.reason, First: c.ordinal()})
	}
	r.skipped[i].Rows++
	return nil
}

func (r *Reader) end() error {
	if r.rows > 0 {
		return io.EOF
	}
	why := "it has no rows"
	for _, s := range r.skipped {
		why = fmt.Sprintf("every row was passed over, %d of them for %s, the first at %d", s.Rows, s.Reason, s.First)
	}
	return nothing(why)
}

// admit holds a row against those before it: one shape, timestamps on all or none, never going back.
func (r *Reader) admit(row *Row) *flaw {
	if r.rows == 0 && r.shape == "" {
		r.shape, r.timed = row.Shape(), row.At != nil
	}
	switch {
	case row.Shape() != r.shape:
		return &flaw{reason: ReasonMixed, field: string(row.Shape()), text: "stands in a dataset whose rows before have " + string(r.shape), hint: "make two datasets, one of prompts and one of messages"}
	case (row.At != nil) != r.timed:
		return &flaw{reason: ReasonTimestamp, field: "timestamp", text: "is on some rows only", hint: "give every row a timestamp, or none"}
	case row.At != nil && *row.At < r.last:
		return &flaw{reason: ReasonTimestamp, field: "timestamp", text: "is earlier than on the row before", hint: "sort the rows by timestamp"}
	}
	if row.At != nil {
		r.last = *row.At
	}
	return nil
}
