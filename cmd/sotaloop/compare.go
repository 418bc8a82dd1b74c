package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
)

const compareUsage = "usage: sotaloop compare ROWS.jsonl [--delta 0.03] [--target sglang] [--json]"

// compareAnswer is the answer of compare --json.
type compareAnswer struct {
	compare.Result
	Winners []compare.Standing `json:"winners"`
	Failed  []compare.Standing `json:"failed"`
}

// runCompare gives verdicts on rows that anyone measured. Comparisons that the rows do not allow are printed with the
// others and end in an error.
func runCompare(_ context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("compare", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	delta := set.Float64("delta", 0.03, "noise threshold as a ratio")
	target := set.String("target", string(contract.SGLang), "framework or engine entry that the verdicts are about")
	asJSON := set.Bool("json", false, "print JSON")
	paths, err := parseMixed(set, args)
	if err != nil {
		return fault.Wrap(fault.InvalidInput, err, "compare").Hint("%s", compareUsage)
	}
	if len(paths) != 1 {
		return fault.New(fault.InvalidInput, "compare takes one file of rows, got %d", len(paths)).Hint("%s", compareUsage)
	}
	rows, err := readRowsFile(s, paths[0])
	if err != nil {
		return err
	}
	res, err := compare.Verdicts(rows, compare.Terms{Target: compare.Selector{Side: *target}, Delta: *delta})
	if err != nil {
		return err
	}
	standings := compare.Rank(rows, compare.RankTerms{Delta: *delta})
	if *asJSON {
		answer := compareAnswer{Result: res, Winners: compare.Winners(standings), Failed: compare.Failed(standings)}
		if err := json.NewEncoder(s.Out).Encode(answer); err != nil {
			return fmt.Errorf("write answer: %w", err)
		}
		return res.Err()
	}
	if _, err := io.WriteString(s.Out, comparisonText(res, standings)); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return res.Err()
}

// parseMixed parses flags before, between and after the other arguments, which it returns.
func parseMixed(set *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := set.Parse(args); err != nil {
			return nil, err
		}
		if set.NArg() == 0 {
			return rest, nil
		}
		rest, args = append(rest, set.Arg(0)), set.Args()[1:]
	}
}

func readRowsFile(s streams, path string) ([]compare.Row, error) {
	if path == "-" {
		return compare.ReadRows(s.In, "standard input")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "open rows")
	}
	defer f.Close()
	return compare.ReadRows(f, path)
}
