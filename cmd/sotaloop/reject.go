package main

import (
	"context"
	"fmt"
	"os/user"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
)

const rejectUsage = "usage: sotaloop reject CAMPAIGN PROPOSAL --reason TEXT [--key FILE | --export FILE] [--principal NAME] [--home DIR]"

// runReject records a no; it needs a reason, which reaches the agent. With a key it is signed like an approval. Without one it
// is recorded plainly, since refusing is always safe.
func runReject(ctx context.Context, s streams, args []string) error {
	var f approveFlags
	set := f.set("reject")
	set.StringVar(&f.reason, "reason", "", "what is wrong with the patch")
	names, err := parseMixed(set, args)
	if err != nil || len(names) != 2 || strings.TrimSpace(f.reason) == "" {
		return fault.New(fault.InvalidInput, "reject takes a campaign, a proposal and a reason").Hint(rejectUsage)
	}
	if f.key != "" || f.export != "" {
		return decide(ctx, s, f, loop.Ask{Campaign: names[0], Proposal: names[1], Decision: gitops.Reject, Reason: strings.TrimSpace(f.reason)})
	}
	p, err := composeAt(ctx, f.dir, "", s.Err)
	if err != nil {
		return err
	}
	defer p.close()
	by := "unknown"
	if u, err := user.Current(); err == nil {
		by = u.Username
	}
	if err := p.loop.Reject(ctx, names[0], names[1], f.reason, by); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "Rejected %s. The reason reaches the agent.\nNobody signed it: whatever has a shell of this account could have recorded it, and it is shown so; --key FILE signs.\n", names[1])
	return err
}
