package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
)

const approveUsage = `usage: sotaloop approve CAMPAIGN PROPOSAL [--key FILE] [--principal NAME] [--home DIR]
       sotaloop approve CAMPAIGN PROPOSAL --export FILE [--principal NAME] [--home DIR]
       sotaloop approve --import FILE.sig [--statement FILE] [--home DIR]
       sotaloop approve --show FILE`

// approveFlags are the flags of approve and reject.
type approveFlags struct {
	dir, key, principal, export, signature, statement, show, reason string
}

func (f *approveFlags) set(name string) *flag.FlagSet {
	set := flag.NewFlagSet(name, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&f.dir, "home", "", "folder of configuration and state")
	set.StringVar(&f.key, "key", "", "private key file, a security key's handle, or the .pub of a key in the agent; without it, the keys of the ssh-agent")
	set.StringVar(&f.principal, "principal", "", "name in allowed_signers; default: the key's")
	set.StringVar(&f.export, "export", "", "write the bytes to be signed elsewhere")
	return set
}

// runApprove shows what is to be signed and signs exactly those bytes, confirmed on the terminal. It has no switch that
// answers for the person; --import takes a signature that was made elsewhere, which does.
func runApprove(ctx context.Context, s streams, args []string) error {
	var f approveFlags
	set := f.set("approve")
	set.StringVar(&f.signature, "import", "", "signature made by ssh-keygen -Y sign over an exported statement")
	set.StringVar(&f.statement, "statement", "", "the exported statement; default: the signature's name without .sig")
	set.StringVar(&f.show, "show", "", "print an exported statement")
	names, err := parseMixed(set, args)
	switch {
	case err != nil:
		return fault.Wrap(fault.InvalidInput, err, "approve").Hint(approveUsage)
	case f.show != "" && len(names) == 0:
		return showFile(s.Out, f.show)
	case f.signature != "" && len(names) == 0:
		return importDecision(ctx, s, f)
	case len(names) != 2 || f.show != "" || f.signature != "":
		return fault.New(fault.InvalidInput, "approve takes a campaign and a proposal").Hint(approveUsage)
	}
	return decide(ctx, s, f, loop.Ask{Campaign: names[0], Proposal: names[1], Decision: gitops.Approve})
}

// decide exports a statement, or has it signed here by a person at a terminal.
func decide(ctx context.Context, s streams, f approveFlags, ask loop.Ask) error {
	in, isFile := s.In.(*os.File)
	if f.export == "" && (!isFile || !term.IsTerminal(int(in.Fd()))) {
		return fault.New(fault.Denied, "%s needs a terminal: a person decides, not a pipe", ask.Decision).
			Hint("run it in a terminal of your own, or sign elsewhere: --export FILE, ssh-keygen -Y sign, --import FILE.sig")
	}
	p, err := composeAt(ctx, f.dir, "", s.Err)
	if err != nil {
		return err
	}
	defer p.close()
	pending, err := p.loop.Pending(ask.Campaign, ask.Proposal)
	if err != nil {
		return err
	}
	allowed, err := p.home.allowedSigners()
	if err != nil {
		return err
	}
	if f.export != "" {
		return exportDecision(s, p.loop, ask, allowed, f)
	}
	key, err := pickKey(ctx, p.home, f.key, allowed, terminal{in, s.Err})
	if err != nil {
		return err
	}
	defer key.close()
	if ask.Principal, err = principalOf(f.principal, key.info, allowed, p.home); err != nil {
		return err
	}
	statement, err := p.loop.StatementFor(ask)
	if err != nil {
		return err
	}
	if err := showStatement(s.Out, statement); err != nil {
		return err
	}
	for _, note := range pending.Notes {
		fmt.Fprintf(s.Out, "\nNote       %s\n", gitops.Printable([]byte(note)))
	}
	fmt.Fprintf(s.Out, "\nKey        %s %s\nType %s to sign that you %s it, anything else to leave: ", key.info.Type, key.info.Fingerprint, ask.Proposal, ask.Decision)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != ask.Proposal {
		return fault.New(fault.Canceled, "not signed")
	}
	return signAndRecord(ctx, s.Out, p.loop, key, signing{ask: ask, statement: statement, origin: loop.OriginTerminal})
}

// signing is a statement that was shown, about to be signed.
type signing struct {
	ask       loop.Ask
	statement []byte
	origin    string
}

// signAndRecord signs the statement's bytes as they were shown and stores both.
func signAndRecord(ctx context.Context, out io.Writer, l *loop.Loop, key approverKey, x signing) error {
	sig, err := key.sign(ctx, x.statement)
	if err != nil {
		return err
	}
	rec, err := l.RecordApproval(ctx, x.ask.Campaign, loop.ApprovalRecorded{Proposal: x.ask.Proposal, Decision: string(x.ask.Decision), Statement: x.statement,
		Signature: string(sig), Origin: x.origin})
	if err != nil {
		return err
	}
	return tellRecorded(out, rec)
}

// tellRecorded says what was recorded, by whom, and at which level.
func tellRecorded(out io.Writer, rec loop.ApprovalRecorded) error {
	what := "The approval of " + rec.Proposal + " is " + rec.Level + ": " + rec.LevelWhy + "."
	if rec.Decision == string(gitops.Reject) {
		what = rec.Proposal + " is rejected. The reason reaches the agent."
	}
	_, err := fmt.Fprintf(out, "Signed by %s with %s.\n%s\n", rec.Principal, rec.Key, what)
	return err
}

// principalOf gives the name that signs: the one asked for, else the only one that the key is listed for.
func principalOf(asked string, key gitops.KeyInfo, allowed *gitops.AllowedSigners, h home) (string, error) {
	known := allowed.Principals(key.Fingerprint)
	if len(known) == 0 {
		return "", fault.New(fault.Denied, "key %s is no approver's", key.Fingerprint).At("key", key.Fingerprint).
			Hint("the engineer adds it to %s: NAME namespaces=\"%s\" KEY", h.file("allowed_signers"), gitops.NamespaceApproval)
	}
	if asked != "" {
		return asked, nil
	}
	for _, name := range known {
		if gitops.Literal(name) {
			return name, nil
		}
	}
	return "", fault.New(fault.InvalidInput, "the key is listed for the pattern %q only", known).At("principal", "").Hint("say who signs: --principal NAME")
}
