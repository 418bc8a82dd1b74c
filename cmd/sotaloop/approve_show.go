package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// showStatement prints what the bytes say that are signed, and nothing else: every field, and the whole diff, with characters
// made visible that a terminal would hide or obey.
func showStatement(w io.Writer, statement []byte) error {
	s, err := gitops.ParseStatement(statement)
	if err != nil {
		return err
	}
	var b strings.Builder
	row := func(name string, values ...string) {
		for _, v := range values {
			v = strings.ReplaceAll(strings.TrimSpace(v), "\n", "\n           ")
			fmt.Fprintf(&b, "%-10s %s\n", name, v)
		}
	}
	row("Decision", strings.TrimSpace(string(s.Decision)+" "+s.Reason))
	row("Campaign", fmt.Sprintf("%s, contract %s", s.Campaign, s.ContractDigest))
	row("Proposal", fmt.Sprintf("%s, patch %s", s.Proposal, s.PatchDigest))
	row("Shown", s.Shown...)
	row("Symptom", fmt.Sprintf("%s in scenario %s; stage %s, location %s", s.Symptom.Metric, s.Symptom.Scenario, s.Stage, s.Location))
	row("Evidence", strings.Join(s.EvidenceRows, ", "))
	row("Predicted", fmt.Sprintf("%.1f %% on the symptom's metric; the evidence's ceiling is %.1f %% of stage step time", 100*s.PredictedGain, 100*s.Ceiling))
	row("Rationale", s.Rationale)
	if s.Elsewhere != "" {
		row("Elsewhere", s.Elsewhere)
	}
	row("Finding", s.Findings...)
	if len(s.Findings) == 0 {
		row("Finding", "none of what is looked for; that is no promise")
	}
	row("Permits", fmt.Sprintf("on host %s, account: %s; push: %t", s.Permits.Host, s.Permits.Account, s.Permits.Push))
	row("  runs", s.Permits.Commands...)
	row("Base", fmt.Sprintf("commit %s, tree %s, root commit %s", s.BaseCommit, s.BaseTree, s.RootCommit))
	row("Result", fmt.Sprintf("tree %s on branch %s", s.ResultTree, s.Branch))
	row("Ledger", fmt.Sprintf("entry %d, %s; campaign %s", s.LedgerSeq, s.LedgerHead, s.CampaignDigest))
	row("Digests", "policy "+s.PolicyDigest, "approvers "+s.ApproversDigest, "verdict "+s.VerdictDigest, "symptom "+s.SymptomDigest, "evidence "+strings.Join(s.EvidenceDigests, " "))
	row("Signer", fmt.Sprintf("%s, from %s until %s, nonce %s", s.Principal, s.Created.Format(time.RFC3339), s.Expires.Format(time.RFC3339), s.Nonce))
	row("Bytes", fmt.Sprintf("%d, sha256 %s", len(statement), contract.Digest(statement)))
	_, err = io.WriteString(w, gitops.Printable([]byte(b.String()))+"\n"+gitops.Printable(s.Diff))
	return err
}
