package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/worker"
)

const datasetUsage = `usage: sotaloop dataset add FILE --host HOST [--private] [--turns first|all] [--output-len N] [--skip] [--model MODEL] [--json]
       sotaloop dataset list --host HOST [--json]
       sotaloop dataset show DIGEST --host HOST [--json]`

// datasetCommand is one call of sotaloop dataset.
type datasetCommand struct {
	s                            streams
	home, workerDir, host, model string
	turns                        string
	outputLen                    int
	private, skip, asJSON        bool
	product                      *product
	assumed                      string
}

// runDataset stores datasets on hosts and shows what is there.
func runDataset(ctx context.Context, s streams, args []string) error {
	c := &datasetCommand{s: s}
	set := flag.NewFlagSet("dataset", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&c.home, "home", "", "folder of configuration and state")
	set.StringVar(&c.workerDir, "worker-dir", "", "folder with sotaloop-linux-ARCH for hosts")
	set.StringVar(&c.host, "host", "", "host of hosts.yaml")
	set.StringVar(&c.model, "model", "", "model of the host whose tokenizer counts lengths")
	set.StringVar(&c.turns, "turns", string(dataset.TurnsFirst), "ShareGPT: first question, or all of them")
	set.IntVar(&c.outputLen, "output-len", 0, "tokens to generate, of rows that name none and of every ShareGPT row")
	set.BoolVar(&c.private, "private", false, "text stays on the host")
	set.BoolVar(&c.skip, "skip", false, "pass over rows of no use, counted")
	set.BoolVar(&c.asJSON, "json", false, "print JSON")
	rest, err := parseMixed(set, args)
	if err != nil {
		return fault.Wrap(fault.InvalidInput, err, "dataset").Hint("%s", datasetUsage)
	}
	wants := map[string]int{"add": 2, "list": 1, "show": 2}
	if len(rest) == 0 || len(rest) != wants[rest[0]] {
		return fault.New(fault.InvalidInput, "dataset takes add FILE, list, or show DIGEST").Hint("%s", datasetUsage)
	}
	if c.product, err = composeAt(ctx, c.home, c.workerDir, s.Err); err != nil {
		return err
	}
	defer c.product.close()
	switch rest[0] {
	case "add":
		return c.add(ctx, rest[1])
	case "list":
		return c.list(ctx)
	default:
		return c.show(ctx, rest[1])
	}
}

// add validates a file, shows three rows of it where a person looks, and stores it on the host.
func (c *datasetCommand) add(ctx context.Context, file string) error {
	if err := c.chooseModel(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sotaloop-dataset-")
	if err != nil {
		return fmt.Errorf("make a folder for the normalised dataset: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	set, err := c.normalise(ctx, file, dir)
	if err != nil {
		return err
	}
	if err := c.samples(set); err != nil {
		return err
	}
	info, err := os.Stat(set.Path())
	if err != nil {
		return fmt.Errorf("look at the normalised dataset: %w", err)
	}
	told := isTerminal(c.s.Err)
	stored, err := c.product.loop.AddDataset(ctx, c.host, c.model, worker.AddDataset{
		Digest: set.Digest, Size: info.Size(), Format: set.Format, Skipped: set.Skipped, Private: c.private,
		Open: func() (io.ReadCloser, error) { return os.Open(set.Path()) },
		Progress: func(done int64) {
			if told {
				fmt.Fprintf(c.s.Err, "%d of %d MiB sent\n", done>>20, info.Size()>>20)
			}
		},
	})
	if err != nil {
		return err
	}
	return c.print(stored)
}

// chooseModel takes the host's only model where none is named.
func (c *datasetCommand) chooseModel() error {
	inv, err := c.product.inventory()
	if err != nil {
		return err
	}
	entry, err := inv.Host(c.host)
	if err != nil {
		return err
	}
	if c.model == "" && len(entry.Models) == 1 {
		for name := range entry.Models {
			c.model, c.assumed = name, "the host's only model"
		}
	}
	return nil
}

// normalise reads the file into a folder that is removed again. A ShareGPT file without --output-len is read twice: its
// answers are counted by the tokenizer on the host.
func (c *datasetCommand) normalise(ctx context.Context, file, dir string) (*dataset.Set, error) {
	open := func() (*os.File, error) {
		f, err := os.Open(file)
		if err != nil {
			return nil, fault.Wrap(fault.NotFound, err, "open dataset").At("file", file)
		}
		return f, nil
	}
	opt := dataset.Options{OutputLen: c.outputLen, Turns: dataset.Turns(c.turns), Skip: c.skip, Private: c.private}
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if c.outputLen == 0 && c.model != "" {
		counts := answerCounts{ctx: ctx, c: c, known: map[[16]byte]int{}}
		if err := counts.collect(f, opt); err != nil {
			return nil, err
		}
		opt.Count = counts.of
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("read dataset again: %w", err)
		}
	}
	return dataset.Store(dir, f, opt)
}

// samples shows three rows to the person at the terminal. They go nowhere else: an agent that runs this command reads
// a pipe.
func (c *datasetCommand) samples(set *dataset.Set) error {
	if c.asJSON || !isTerminal(c.s.Out) {
		return nil
	}
	list, err := dataset.Samples(set)
	if err != nil {
		return err
	}
	for _, s := range list {
		fmt.Fprintf(c.s.Out, "row %d, %d tokens to generate:\n  %s", s.Row+1, s.OutputLen, s.Text)
		if s.Cut > 0 {
			fmt.Fprintf(c.s.Out, " … (%d characters more)", s.Cut)
		}
		fmt.Fprintln(c.s.Out)
	}
	return nil
}

func (c *datasetCommand) list(ctx context.Context) error {
	all, err := c.product.loop.Datasets(ctx, c.host)
	if err != nil {
		return err
	}
	if c.asJSON {
		return writeJSON(c.s.Out, map[string]any{"host": c.host, "datasets": all})
	}
	if len(all) == 0 {
		_, err := fmt.Fprintf(c.s.Out, "no datasets on %s\n", c.host)
		return err
	}
	slices.SortFunc(all, func(a, b dataset.Description) int { return b.Rows - a.Rows })
	for _, d := range all {
		fmt.Fprintf(c.s.Out, "%s  %8d rows  %-8s  %s%s\n", d.Digest, d.Rows, d.Shape, lengthsText(d), privateText(d))
	}
	return nil
}

func (c *datasetCommand) show(ctx context.Context, digest string) error {
	stored, err := c.product.loop.Dataset(ctx, c.host, digest)
	if err != nil {
		return err
	}
	return c.print(stored)
}

func (c *datasetCommand) print(stored loop.StoredDataset) error {
	enough, err := sufficesFor(stored.Index)
	if err != nil {
		return err
	}
	if c.asJSON {
		return writeJSON(c.s.Out, datasetAnswer{Description: stored.Description, Host: c.host, Suffices: enough, Uncounted: stored.Uncounted})
	}
	return datasetText(c.s.Out, stored, enough, c.assumed)
}

func writeJSON(w io.Writer, v any) error {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return nil
}
