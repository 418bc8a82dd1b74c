package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// maxStatement is the most that an imported file may have in bytes; a diff has an eighth of it at most.
const maxStatement = 8 << 20

// exportDecision writes the exact bytes that somebody signs elsewhere.
func exportDecision(s streams, l *loop.Loop, ask loop.Ask, allowed *gitops.AllowedSigners, f approveFlags) error {
	if ask.Principal = f.principal; ask.Principal == "" {
		names := allowed.Names(gitops.NamespaceApproval)
		if len(names) != 1 {
			return fault.New(fault.InvalidInput, "allowed_signers names %d principals", len(names)).At("principal", "", names...).Hint("say who will sign: --principal NAME")
		}
		ask.Principal = names[0]
	}
	statement, err := l.StatementFor(ask)
	if err != nil {
		return err
	}
	signed, err := gitops.ParseStatement(statement)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(f.export, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, "%q exists already", f.export).At("export", f.export).Hint("name another file: an export is never written over another")
	}
	if err != nil {
		return fault.Wrap(fault.InvalidInput, err, "write the export").At("export", f.export)
	}
	_, err = out.Write(statement)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, `Wrote %[1]s: the exact bytes to %[2]s %[3]s as %[4]s, good until %[5]s. Nothing is signed yet.
Where the key is:
  sotaloop approve --show %[1]s
  ssh-keygen -Y sign -n %[6]s -f KEY %[1]s
And with both files here again:
  sotaloop approve --import %[1]s.sig
`, f.export, ask.Decision, ask.Proposal, ask.Principal, signed.Expires.Format(time.RFC3339), gitops.NamespaceApproval)
	return err
}

// importDecision records a decision that was signed elsewhere. It asks nobody: the signature is the person's answer.
func importDecision(ctx context.Context, s streams, f approveFlags) error {
	name := f.statement
	if name == "" {
		var ok bool
		if name, ok = strings.CutSuffix(f.signature, ".sig"); !ok {
			return fault.New(fault.InvalidInput, "%q does not end in .sig", f.signature).At("import", f.signature).Hint("name the exported file too: --statement FILE")
		}
	}
	statement, err := readSmall(name)
	if err != nil {
		return err
	}
	sig, err := readSmall(f.signature)
	if err != nil {
		return err
	}
	signed, err := gitops.ParseStatement(statement)
	if err != nil {
		return err
	}
	p, err := composeAt(ctx, f.dir, "", s.Err)
	if err != nil {
		return err
	}
	defer p.close()
	rec, err := p.loop.RecordApproval(ctx, signed.Campaign, loop.ApprovalRecorded{Proposal: signed.Proposal, Decision: string(signed.Decision), Statement: statement,
		Signature: string(sig), Origin: loop.OriginImported})
	if err != nil {
		return err
	}
	return tellRecorded(s.Out, rec)
}

// showFile prints an exported statement. It needs no home: it runs where the key is.
func showFile(w io.Writer, name string) error {
	statement, err := readSmall(name)
	if err != nil {
		return err
	}
	return showStatement(w, statement)
}

func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "read %q", name)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxStatement+1))
	if err == nil && len(raw) > maxStatement {
		err = fault.New(fault.InvalidInput, "%q is larger than %d bytes", name, maxStatement)
	}
	return raw, err
}
