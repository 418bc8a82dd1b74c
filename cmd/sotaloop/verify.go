package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/verify"
)

const verifyUsage = "usage: sotaloop verify RUN_DIR [--json] [--approvers FILE] [--dataset FILE] [--require approval,witness]"

// runVerify checks a run directory offline: one line a group of checks, the first difference as the error.
func runVerify(ctx context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("verify", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	asJSON := set.Bool("json", false, "print one JSON object on standard output")
	approvers := set.String("approvers", "", "allowed_signers file against which approvals are checked")
	datasets := set.String("dataset", "", "files of datasets, comma-separated, to compare the kept indexes with")
	require := set.String("require", "", "what must hold beyond consistency: approval, witness")
	paths, err := parseMixed(set, args)
	if err != nil || len(paths) != 1 {
		return fault.New(fault.InvalidInput, "verify takes one run directory").Hint(verifyUsage)
	}
	opt := verify.Options{Version: version}
	if *datasets != "" {
		opt.Datasets = strings.Split(*datasets, ",")
	}
	if *require != "" {
		opt.Require = strings.Split(*require, ",")
	}
	if *approvers != "" {
		if opt.Approvers, err = os.ReadFile(*approvers); err != nil {
			return fault.Wrap(fault.NotFound, err, "the approvers file cannot be read").At("approvers", *approvers)
		}
	}
	res, err := verify.Dir(ctx, paths[0], opt)
	if err != nil {
		return err
	}
	if *asJSON {
		err = json.NewEncoder(s.Out).Encode(res)
	} else {
		err = printVerify(s.Out, res)
	}
	if err != nil {
		return err
	}
	if d := res.First; d != nil {
		return fault.New(fault.Corrupt, "%s does not verify: %s: %s", paths[0], d.Check, d.What).
			Hint("restore the directory from a copy; nothing that rests on the named part can be relied on")
	}
	if len(res.Lacking) > 0 {
		return fault.New(fault.Denied, "%s is consistent and lacks what was required: %s", paths[0], strings.Join(res.Lacking, "; ")).
			Hint("a directory's own keys are never trusted: name the approvers with --approvers FILE")
	}
	return nil
}

// printVerify shows a result to a person.
func printVerify(w io.Writer, r *verify.Result) error {
	var b strings.Builder
	for _, c := range r.Checks {
		mark, what := "ok  ", c.What
		if !c.OK {
			mark, what = "DIFF", c.Problem
		}
		fmt.Fprintf(&b, "%s  %-12s %s\n", mark, c.Name, what)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "note  %s\n", n)
	}
	if len(r.Levels) > 0 {
		fmt.Fprintf(&b, "%s: %s\n", r.Campaign, strings.Join(r.Levels, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
