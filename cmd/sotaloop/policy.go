package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/policy"
)

// policyReport is what `sotaloop policy` prints.
type policyReport struct {
	File       string   `json:"file"`
	Exists     bool     `json:"exists"`
	Digest     string   `json:"digest"`
	InForce    []string `json:"in_force"`
	Files      []string `json:"files"` // that decide: policy, hosts, approvers
	TrustRoots string   `json:"trust_roots"`
	Exposed    []string `json:"exposed"` // why roots are unprotected
}

// runPolicy prints what is in force, by which files, and who could change them.
func runPolicy(_ context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("policy", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	dir := set.String("home", "", "folder of configuration and state")
	asJSON := set.Bool("json", false, "print one JSON object")
	if err := set.Parse(args); err != nil || set.NArg() > 0 {
		return fault.New(fault.InvalidInput, "policy: unknown arguments %q", fmt.Sprint(args)).Hint("usage: sotaloop policy [--home DIR] [--json]")
	}
	h, err := findHome(*dir)
	if err != nil {
		return err
	}
	p, err := h.policy()
	if err != nil {
		return err
	}
	if _, err := h.inventory(); err != nil {
		return err
	}
	if _, err := h.approvers(); err != nil {
		return err
	}
	trust := h.roots().Judge(policy.Self())
	out := policyReport{File: h.file(policy.PolicyFile), Digest: p.Digest(), InForce: policy.Force{Frozen: p, Now: p}.Limits(), Files: []string{},
		TrustRoots: trust.Level(), Exposed: trust.Why}
	_, err = os.Stat(out.File)
	out.Exists = err == nil
	for _, name := range policy.Files {
		out.Files = append(out.Files, h.file(name))
	}
	if *asJSON {
		return json.NewEncoder(s.Out).Encode(out)
	}
	return out.print(s.Out)
}

func (r policyReport) print(w io.Writer) error {
	where := r.File
	if !r.Exists {
		where = "no file at " + r.File + ": the defaults"
	}
	fmt.Fprintf(w, "policy %.12s (%s)\n", r.Digest, where)
	for _, line := range r.InForce {
		fmt.Fprintf(w, "  %s\n", line)
	}
	_, err := fmt.Fprintf(w, "trust roots: %s\n", r.TrustRoots)
	for _, why := range r.Exposed {
		_, err = fmt.Fprintf(w, "  %s\n", why)
	}
	return err
}

// runSchema prints the JSON Schema of a file that the engineer writes.
func runSchema(_ context.Context, s streams, args []string) error {
	schemas := map[string]func() []byte{"hosts": (&hosts.Inventory{}).Schema, "policy": policy.Schema}
	name := "hosts"
	if len(args) > 0 {
		name = args[0]
	}
	schema, ok := schemas[name]
	if !ok || len(args) > 1 {
		return fault.New(fault.InvalidInput, "no schema of %q", name).At("schema", name, "hosts", "policy").Hint("usage: sotaloop schema [hosts|policy]")
	}
	_, err := s.Out.Write(schema())
	return err
}
