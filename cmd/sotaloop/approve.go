package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
)

const approveUsage = "usage: sotaloop approve CAMPAIGN PROPOSAL [--home DIR] [--key FILE] [--principal NAME]"

// runApprove shows what is to be signed and signs exactly those bytes, confirmed on the terminal. It has no switch that
// answers for the person.
func runApprove(ctx context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("approve", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	dir := set.String("home", "", "folder of configuration and state")
	key := set.String("key", "", "private key file; without it, the keys of the ssh-agent")
	principal := set.String("principal", "", "name in allowed_signers; default: the key's")
	names, err := parseMixed(set, args)
	if err != nil || len(names) != 2 {
		return fault.New(fault.InvalidInput, "approve takes a campaign and a proposal").Hint(approveUsage)
	}
	in, isFile := s.In.(*os.File)
	if !isFile || !term.IsTerminal(int(in.Fd())) {
		return fault.New(fault.Denied, "approve needs a terminal: a person decides, not a pipe").Hint("run it in a terminal of your own")
	}
	h, err := findHome(*dir)
	if err != nil {
		return err
	}
	p, err := compose(ctx, h, "", s.Err)
	if err != nil {
		return err
	}
	defer p.close()
	pending, err := p.loop.Pending(names[0], names[1])
	if err != nil {
		return err
	}
	allowedRaw, err := h.approvers()
	if err != nil {
		return err
	}
	allowed, err := gitops.ParseAllowedSigners(allowedRaw)
	if err != nil {
		return err
	}
	signer, done, err := pickSigner(ctx, *key, allowed, in, s.Err)
	if err != nil {
		return err
	}
	defer done()
	info := gitops.DescribeSigner(signer)
	if *principal == "" {
		if known := allowed.Principals(info.Fingerprint); len(known) > 0 {
			*principal = known[0]
		}
	}
	if *principal == "" {
		return fault.New(fault.Denied, "key %s is no approver", info.Fingerprint).At("key", info.Fingerprint).
			Hint("the engineer adds it to %s: NAME namespaces=\"%s\" KEY", h.file("allowed_signers"), gitops.NamespaceApproval)
	}
	statement, err := p.loop.Statement(names[0], names[1], *principal, gitops.Approve)
	if err != nil {
		return err
	}
	if err := showStatement(s.Out, pending, statement, info); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "\nType %s to sign, anything else to leave: ", names[1])
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != names[1] {
		return fault.New(fault.Canceled, "not signed")
	}
	return signAndRecord(ctx, s.Out, p.loop, names, signer, statement)
}

// signAndRecord signs the statement's bytes as they were shown and stores both.
func signAndRecord(ctx context.Context, out io.Writer, l *loop.Loop, names []string, signer ssh.Signer, statement []byte) error {
	sig, err := gitops.Sign(signer, gitops.NamespaceApproval, statement)
	if err != nil {
		return err
	}
	rec, err := l.RecordApproval(ctx, names[0], loop.ApprovalRecorded{Proposal: names[1], Decision: string(gitops.Approve), Statement: statement, Signature: string(sig)})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "Signed by %s. The approval is %s.\n", rec.Principal, rec.Level)
	return err
}

// pickSigner loads the key file, or takes the agent's first key that is an approver's.
func pickSigner(ctx context.Context, key string, allowed *gitops.AllowedSigners, in *os.File, out io.Writer) (ssh.Signer, func(), error) {
	if key != "" {
		signer, err := gitops.LoadSigner(key, func() ([]byte, error) {
			fmt.Fprintf(out, "Passphrase of %s: ", filepath.Base(key))
			defer fmt.Fprintln(out)
			return term.ReadPassword(int(in.Fd()))
		})
		return signer, func() {}, err
	}
	agent, err := gitops.AgentSigners(ctx, os.Getenv("SSH_AUTH_SOCK"))
	if err != nil {
		return nil, nil, err
	}
	signers, err := agent.Signers()
	if err != nil {
		return nil, nil, err
	}
	for _, s := range signers {
		if len(allowed.Principals(gitops.DescribeSigner(s).Fingerprint)) > 0 {
			return s, func() { _ = agent.Close() }, nil
		}
	}
	_ = agent.Close()
	return nil, nil, fault.New(fault.NotFound, "no key of the ssh-agent is an approver's").Hint("pass --key FILE, or add the key to allowed_signers")
}

// showStatement prints what the bytes say that are signed, the whole diff in them with control characters made visible,
// and beside it verdict and evidence as the ledger has them.
func showStatement(w io.Writer, p loop.Pending, statement []byte, key gitops.KeyInfo) error {
	s, err := gitops.ParseStatement(statement)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Campaign   %s, contract %s\nProposal   %s\n", s.Campaign, s.ContractDigest, s.Proposal)
	if p.Contract.Host.Simulated {
		fmt.Fprintln(w, "           SIMULATED host: nothing measured here carries a claim")
	}
	fmt.Fprintf(w, "Model      %s on %s (%s)\n", p.Contract.Model.ID, p.Contract.Host.Name, p.Contract.Host.GPUModel)
	fmt.Fprintf(w, "Base       commit %s, tree %s\nResult     tree %s, branch %s\n", s.BaseCommit, s.BaseTree, s.ResultTree, s.Branch)
	for _, v := range p.Verdicts {
		fmt.Fprintf(w, "Verdict    %s\n", v)
	}
	for _, e := range p.Evidence {
		fmt.Fprintf(w, "Evidence   %s\n", gitops.Printable([]byte(e)))
	}
	fmt.Fprintf(w, "Predicted  %.1f %% on the primary metric; the evidence's ceiling is %.1f %% of stage step time\n", 100*s.PredictedGain, 100*p.Proposal.Ceiling)
	fmt.Fprintf(w, "Rationale  %s\n", gitops.Printable([]byte(p.Proposal.Rationale)))
	for _, f := range p.Proposal.Findings {
		fmt.Fprintf(w, "Finding    %s\n", gitops.Printable([]byte(f)))
	}
	fmt.Fprintf(w, "Permits    on %s: %s; push: %t\n", s.Permits.Host, strings.Join(s.Permits.Commands, ", "), s.Permits.Push)
	fmt.Fprintf(w, "Signed as  %s with %s %s, good until %s\n\n%s", s.Principal, key.Type, key.Fingerprint, s.Expires.Format(time.RFC3339), gitops.Printable(s.Diff))
	return nil
}

// runReject records a no; it needs a reason, which reaches the agent.
func runReject(ctx context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("reject", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	dir := set.String("home", "", "folder of configuration and state")
	reason := set.String("reason", "", "what is wrong with the patch")
	names, err := parseMixed(set, args)
	if err != nil || len(names) != 2 || strings.TrimSpace(*reason) == "" {
		return fault.New(fault.InvalidInput, "reject takes a campaign, a proposal and a reason").
			Hint("usage: sotaloop reject CAMPAIGN PROPOSAL --reason TEXT [--home DIR]")
	}
	h, err := findHome(*dir)
	if err != nil {
		return err
	}
	p, err := compose(ctx, h, "", s.Err)
	if err != nil {
		return err
	}
	defer p.close()
	by := "unknown"
	if u, err := user.Current(); err == nil {
		by = u.Username
	}
	if err := p.loop.Reject(ctx, names[0], names[1], *reason, by); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "Rejected %s. The reason reaches the agent.\n", names[1])
	return err
}
