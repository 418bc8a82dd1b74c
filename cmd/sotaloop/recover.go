package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
)

const recoverUsage = "usage: sotaloop recover RUN_DIR --to NEW_FOLDER"

// runRecover copies what is intact of a damaged run directory into a new folder.
func runRecover(ctx context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("recover", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	to := set.String("to", "", "new folder for what is intact")
	paths, err := parseMixed(set, args)
	if err != nil || len(paths) != 1 || *to == "" {
		return fault.New(fault.InvalidInput, "recover takes one run directory and a new folder").Hint(recoverUsage)
	}
	dir, err := filepath.Abs(paths[0])
	if err != nil {
		return err
	}
	target, err := filepath.Abs(*to)
	if err != nil {
		return err
	}
	rec, err := loop.Recover(ctx, dir, target)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "%s\nkept: the first %d lines of the ledger. Lost: %d bytes behind them.\ndamage: %s\n", target, rec.Lines, rec.Bytes, rec.Damage)
	for _, name := range rec.Missing {
		fmt.Fprintf(s.Out, "missing: %s is gone or was changed; what rests on it does not verify\n", name)
	}
	fmt.Fprintf(s.Out, "The original was not touched. Check the copy with: sotaloop verify %s\nTo go on with the campaign, move the original away and the copy to its place.\n", target)
	return nil
}
