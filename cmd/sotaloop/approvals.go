package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
)

const approvalsUsage = "usage: sotaloop approvals [--all] [--json] [--home DIR]"

// runApprovals lists what waits for a person, with --all every proposal, and says which approvers' keys this account can use.
func runApprovals(ctx context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("approvals", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	dir := set.String("home", "", "folder of configuration and state")
	all := set.Bool("all", false, "decided proposals too")
	asJSON := set.Bool("json", false, "print one JSON object on standard output")
	if err := set.Parse(args); err != nil || set.NArg() > 0 {
		return fault.New(fault.InvalidInput, "approvals takes no names").Hint(approvalsUsage)
	}
	p, err := composeAt(ctx, *dir, "", s.Err)
	if err != nil {
		return err
	}
	defer p.close()
	list, err := p.loop.Proposals()
	if err != nil {
		return err
	}
	if !*all {
		list = slices.DeleteFunc(list, func(w loop.Waiting) bool {
			return w.State != "waiting" && w.State != "approved" && w.State != "unreadable"
		})
	}
	reach, err := p.home.approversInReach(ctx)
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(s.Out).Encode(map[string]any{"proposals": list, "keys_in_reach": reach})
	}
	return printApprovals(s.Out, list, reach)
}

func printApprovals(w io.Writer, list []loop.Waiting, reach []string) error {
	var b strings.Builder
	for _, x := range list {
		fmt.Fprintf(&b, "%s  %s  %s", x.Campaign, x.Proposal, x.State)
		if x.Decided != "" {
			fmt.Fprintf(&b, " (%s, %s %s)", x.Decided, x.At.UTC().Format("2006-01-02 15:04Z"), x.Level)
		}
		fmt.Fprintf(&b, "\n    %s\n", gitops.Printable([]byte(strings.ReplaceAll(x.Rationale, "\n", " "))))
		if x.Problem != "" {
			fmt.Fprintf(&b, "    does not hold: %s\n", gitops.Printable([]byte(x.Problem)))
		}
		if x.Command != "" {
			fmt.Fprintf(&b, "    %s\n", x.Command)
		}
	}
	if len(list) == 0 {
		b.WriteString("Nothing waits for a decision.\n")
	}
	for _, k := range reach {
		fmt.Fprintf(&b, "An approver's key is within this account's reach, so that what it signs is agent-reachable: %s\n", k)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
