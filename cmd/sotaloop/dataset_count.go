package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/sotaloop/sotaloop/internal/dataset"
)

// countBatch is how many bytes of text are counted by one request to the host.
const countBatch = 8 << 20

// answerCounts are the tokens of the answers of a ShareGPT file, counted on the host.
type answerCounts struct {
	ctx   context.Context //nolint:containedctx // dataset.Options.Count has none
	c     *datasetCommand
	known map[[16]byte]int
	batch []string
	size  int
	err   error
}

func answerKey(text string) [16]byte {
	sum := sha256.Sum256([]byte(text))
	return [16]byte(sum[:16])
}

// of gives the tokens of an answer that was collected.
func (a *answerCounts) of(text string) int { return a.known[answerKey(text)] }

// collect reads a file for its answers alone. A file of another format has none.
func (a *answerCounts) collect(f io.Reader, opt dataset.Options) error {
	opt.Count = func(text string) int {
		if _, known := a.known[answerKey(text)]; !known {
			a.known[answerKey(text)] = 0
			a.batch, a.size = append(a.batch, text), a.size+len(text)
		}
		if a.size >= countBatch && a.err == nil {
			a.err = a.flush()
		}
		return 1
	}
	r, err := dataset.NewReader(f, opt)
	if err != nil {
		return err
	}
	for r.Format() == dataset.FormatShareGPT {
		_, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err = errors.Join(err, a.err); err != nil {
			return err
		}
	}
	return errors.Join(a.err, a.flush())
}

func (a *answerCounts) flush() error {
	if len(a.batch) == 0 {
		return nil
	}
	counts, err := a.c.product.loop.CountTokens(a.ctx, a.c.host, a.c.model, a.batch)
	for i, n := range counts {
		a.known[answerKey(a.batch[i])] = n
	}
	a.batch, a.size = nil, 0
	return err
}
