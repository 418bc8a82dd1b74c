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
	"github.com/sotaloop/sotaloop/internal/sim"
)

const searchUsage = "usage: sotaloop search replay TABLE.csv [--strategy auto] [--budget 10] [--seeds 200] [--json]\n" +
	"       sotaloop search table [--generator peaks] [--seed 1] [--prior]  # a made table on standard output"

// runSearch replays search strategies on full-factorial tables, and makes such tables.
func runSearch(ctx context.Context, s streams, args []string) error {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	switch verb {
	case "replay":
		return searchReplay(ctx, s, args[1:])
	case "table":
		return searchTable(s, args[1:])
	default:
		return fault.New(fault.InvalidInput, "search has two verbs: replay and table").Hint("%s", searchUsage)
	}
}

// searchTable writes a made table.
func searchTable(s streams, args []string) error {
	set := flag.NewFlagSet("search table", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	name := set.String("generator", "peaks", "what kind of table")
	seed := set.Uint64("seed", 1, "of every draw")
	prior := set.Bool("prior", false, "add the column prior")
	rest, err := parseMixed(set, args)
	switch {
	case err != nil:
		return fault.Wrap(fault.InvalidInput, err, "search table").Hint("%s", searchUsage)
	case len(rest) > 0:
		return fault.New(fault.InvalidInput, "search table takes no file, got %q: it writes to standard output", rest).Hint("%s", searchUsage)
	}
	made, err := makeTable(*name, *seed)
	if err != nil {
		return err
	}
	var columns []search.Column
	if *prior {
		columns = append(columns, search.PriorColumn)
	}
	return made.WriteCSV(s.Out, columns...)
}

// simulatedTable is the generator that forecasts real knobs with the simulated host's model of time.
const simulatedTable = "simulated-sglang"

func makeTable(name string, seed uint64) (search.Landscape, error) {
	if name == simulatedTable {
		return sim.Landscape(seed)
	}
	names := []string{simulatedTable}
	for _, g := range search.Generators() {
		if names = append(names, g.Name); g.Name == name {
			return g.Make(seed), nil
		}
	}
	return search.Landscape{}, fault.New(fault.InvalidInput, "unknown generator %q", name).At("generator", name, names...)
}

// searchReplay replays a strategy on a table of a file.
func searchReplay(ctx context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("search replay", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	strategy := set.String("strategy", string(search.Auto), "how candidates are ordered")
	budget := set.Int("budget", 10, "launches, crashes included")
	seeds := set.Int("seeds", 200, "replays")
	asJSON := set.Bool("json", false, "print JSON")
	paths, err := parseMixed(set, args)
	played := slices.Concat(search.Strategies, search.Tiers)
	switch {
	case err != nil:
		return fault.Wrap(fault.InvalidInput, err, "search replay").Hint("%s", searchUsage)
	case len(paths) != 1:
		return fault.New(fault.InvalidInput, "search replay takes one table, got %d", len(paths)).Hint("%s", searchUsage)
	case !slices.Contains(played, *strategy):
		return fault.New(fault.InvalidInput, "unknown strategy %q", *strategy).At("strategy", *strategy, played...)
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
		"%.1f launches, %.1f of them crashed, %.2f host-hours, %.0f %% of the listed values tried;\n"+
		"the best that was launched has %.4f, the best with full load points %.4f\n", out.Strategy, out.Budget, out.Seeds,
		out.MeanShare, out.P10Share, out.MeanLaunches, out.MeanCrashes, out.MeanHostHours, 100*out.MeanCoverage, out.MeanBestLaunched, out.MeanBestMeasured)
	return err
}
