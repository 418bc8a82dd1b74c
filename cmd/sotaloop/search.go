package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/search"
)

const searchUsage = "usage: sotaloop search replay TABLE.csv [--strategy auto] [--budget 10] [--seeds 200] [--json]"

// runSearch replays a search strategy on a full-factorial table.
func runSearch(ctx context.Context, s streams, args []string) error {
	if len(args) == 0 || args[0] != "replay" {
		return fault.New(fault.InvalidInput, "search has one verb: replay").Hint("%s", searchUsage)
	}
	set := flag.NewFlagSet("search replay", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	strategy := set.String("strategy", string(search.Auto), "how candidates are ordered")
	budget := set.Int("budget", 10, "launches, crashes included")
	seeds := set.Int("seeds", 200, "replays")
	asJSON := set.Bool("json", false, "print JSON")
	paths, err := parseMixed(set, args[1:])
	switch {
	case err != nil:
		return fault.Wrap(fault.InvalidInput, err, "search replay").Hint("%s", searchUsage)
	case len(paths) != 1:
		return fault.New(fault.InvalidInput, "search replay takes one table, got %d", len(paths)).Hint("%s", searchUsage)
	case !slices.Contains(search.Strategies, *strategy):
		return fault.New(fault.InvalidInput, "unknown strategy %q", *strategy).At("strategy", *strategy, search.Strategies...)
	case *budget < 1 || *budget > 1000 || *seeds < 1 || *seeds > 100_000:
		return fault.New(fault.InvalidInput, "budget %d and seeds %d must be at least 1, and at most 1000 and 100000", *budget, *seeds)
	}
	f, err := os.Open(paths[0])
	if err != nil {
		return fault.Wrap(fault.NotFound, err, "open table")
	}
	defer f.Close()
	table, err := search.ReadTable(f, paths[0])
	if err != nil {
		return err
	}
	out, err := table.ReplaySeeds(ctx, search.Strategy(*strategy), *budget, *seeds)
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(s.Out).Encode(out)
	}
	_, err = fmt.Fprintf(s.Out, "%s, %d launches, %d seeds: the pick has %.4f of the table's best on average (%.4f or more in nine of ten);\n"+
		"%.1f launches, %.1f of them crashed, %.2f host-hours, %.0f %% of the listed values tried\n", out.Strategy, out.Budget, out.Seeds,
		out.MeanShare, out.P10Share, out.MeanLaunches, out.MeanCrashes, out.MeanHostHours, 100*out.MeanCoverage)
	return err
}
