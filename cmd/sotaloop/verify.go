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

const verifyUsage = "usage: sotaloop verify RUN_DIR|BUNDLE [--json] [--require approval,witness,host] [--approvers FILE] [--revoked FILE] [--signers FILE] [--witnesses FILE] [--hosts FILE] [--dataset FILE]"

// runVerify checks a run directory or a bundle offline: one line a group of checks, the first difference as the error.
func runVerify(ctx context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("verify", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	asJSON := set.Bool("json", false, "print one JSON object on standard output")
	opt := verify.Options{Version: version}
	files := map[string]*[]byte{"approvers": &opt.Approvers, "signers": &opt.Signers, "witnesses": &opt.Witnesses, "hosts": &opt.Hosts, "revoked": &opt.Revoked}
	set.Func("approvers", "allowed_signers file against which approvals are checked", readFlag("approvers", files))
	set.Func("signers", "allowed_signers file against which a seal's signature is checked", readFlag("signers", files))
	set.Func("witnesses", "allowed_signers file against which witnesses' answers are checked", readFlag("witnesses", files))
	set.Func("hosts", "allowed_signers file against which receipts of the host's account are checked", readFlag("hosts", files))
	set.Func("revoked", "list of keys that may approve no more", readFlag("revoked", files))
	datasets := set.String("dataset", "", "files of datasets, comma-separated, to compare the kept indexes with")
	require := set.String("require", "", "what must hold beyond consistency: approval, witness, host")
	paths, err := parseMixed(set, args)
	if err != nil || len(paths) != 1 {
		f := fault.New(fault.InvalidInput, "verify takes one run directory or one bundle").Hint(verifyUsage)
		if err != nil {
			f.Cause = err
		}
		return f
	}
	if *datasets != "" {
		opt.Datasets = strings.Split(*datasets, ",")
	}
	if *require != "" {
		opt.Require = strings.Split(*require, ",")
	}
	res, err := verify.Path(ctx, paths[0], opt)
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
	return verdictOn(paths[0], res)
}

// readFlag reads the file that a flag names; an empty file allows nobody, which is not the same as no file.
func readFlag(name string, files map[string]*[]byte) func(string) error {
	return func(path string) error {
		raw, err := os.ReadFile(path)
		if err != nil {
			return fault.Wrap(fault.NotFound, err, "the %s file cannot be read", name).At(name, path)
		}
		*files[name] = append([]byte{}, raw...)
		return nil
	}
}

// verdictOn gives the first difference, or what is lacking, as a fault.
func verdictOn(path string, res *verify.Result) error {
	if d := res.First; d != nil {
		f := fault.New(fault.Corrupt, "%s does not verify: %s: %s", path, d.Check, d.What)
		if res.Bundle != "" {
			return f.Hint("get the bundle again from where it was made; nothing that rests on the named part can be relied on")
		}
		f = f.Hint("restore the directory from its bundle or a copy; nothing that rests on the named part can be relied on")
		if d.Check == "ledger" {
			f = f.Hint("without a copy, `sotaloop recover %s --to FOLDER` saves what is intact before the damage into a new folder", path)
		}
		return f
	}
	if len(res.Lacking) > 0 {
		return fault.New(fault.Denied, "%s is consistent and lacks what was required: %s", path, strings.Join(res.Lacking, "; ")).
			Hint("a directory's own keys are never trusted: name the approvers with --approvers FILE, the witnesses with --witnesses FILE, the host's key with --hosts FILE")
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
