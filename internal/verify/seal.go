package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/seal"
)

// lastSeal finds the newest seal and its place.
func (v *verifier) lastSeal() (*loop.ReportSealed, int) {
	for i, p := range slices.Backward(v.decoded) {
		if s, ok := p.(*loop.ReportSealed); ok {
			return s, i
		}
	}
	return nil, -1
}

// seal makes the newest statement again from the lines that it is about, and compares the two; then its envelope.
func (v *verifier) seal() (string, error) {
	rec, at := v.lastSeal()
	if rec == nil {
		return "unsealed: no report closed this directory", nil
	}
	if rec.Lines != at || rec.Head != v.entries[at].Prev {
		return "", fmt.Errorf("ledger entry %d seals %d lines with head %.12s…: it stands behind %d with head %.12s…", at+1, rec.Lines, rec.Head, at, v.entries[at].Prev)
	}
	if name, _ := loop.SealName(rec.Lines); rec.Statement.Name != name {
		return "", fmt.Errorf("ledger entry %d names its statement %q, not %q", at+1, rec.Statement.Name, name)
	}
	raw, err := v.read(rec.Statement)
	if err != nil {
		return "", err
	}
	stored, err := seal.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("%s: %w", rec.Statement.Name, err)
	}
	if err := v.sameStatement(stored, raw, v.entries[:at]); err != nil {
		return "", fmt.Errorf("%s: %w", rec.Statement.Name, err)
	}
	v.res.Seal = &Seal{Lines: rec.Lines, Head: rec.Head, Statement: rec.Statement.SHA256, Files: len(stored.Subject) - 1, Later: v.workAfter(at), Signature: "none: it is not signed"}
	if n := v.res.Seal.Later; n > 0 {
		v.res.note("%d entries were written after the seal; they are of no report: %s", n, kindsOf(v.entries[at+1:]))
		v.outside(stored)
	}
	if err := v.envelope(rec, raw, v.entries[at]); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d files and %d ledger lines, signature: %s", v.res.Seal.Files, rec.Lines, v.res.Seal.Signature), nil
}

// outside names the files that the ledger explains and the seal does not.
func (v *verifier) outside(s *seal.Statement) {
	inside := map[string]bool{}
	for _, f := range s.Subject {
		inside[f.Name] = true
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(v.named)) {
		if !inside[name] && !strings.HasPrefix(name, "seal/") {
			names = append(names, name)
		}
	}
	if n := len(names); n > 0 {
		v.res.note("%d files are outside the seal: %s", n, strings.Join(names[:min(n, 10)], ", "))
	}
}

// sameStatement compares a statement with what follows from the lines before it.
func (v *verifier) sameStatement(stored *seal.Statement, raw []byte, lines []chain.Entry) error {
	file, err := v.files.Open(ledger.ChainFile)
	if err != nil {
		return plain(err)
	}
	defer file.Close()
	sum, size, err := ledger.Prefix(file, len(lines))
	if err != nil {
		return err
	}
	talk, err := v.talk(stored, lines)
	if err != nil {
		return err
	}
	again, err := loop.Sealed(lines, size, sum, talk)
	if err != nil {
		return err
	}
	if err := equal(again, stored); err != nil {
		return err
	}
	text, err := again.Bytes()
	if err == nil && !bytes.Equal(text, raw) {
		err = errors.New("it is written otherwise than a seal writes it")
	}
	return err
}

// talk is how far the sealed report's transcript goes, read from the file unless a later report replaced it.
func (v *verifier) talk(stored *seal.Statement, lines []chain.Entry) (seal.Prefix, error) {
	st, err := loop.Replay(lines)
	if err != nil {
		return seal.Prefix{}, err
	}
	if len(st.Reports) == 0 {
		return seal.Prefix{}, errors.New("there is no report before it")
	}
	a := st.Reports[len(st.Reports)-1].Transcript
	if n := v.named[a.Name]; n != nil && n.Artifact != a {
		v.res.note("%s was written again after the seal", a.Name)
		return stored.Predicate.Transcript, nil
	}
	raw, err := v.read(a)
	if err != nil {
		return seal.Prefix{}, err
	}
	return loop.TranscriptPrefix(raw)
}

// envelope checks that the signed bytes are the statement's, and the signature where a signers file is given.
func (v *verifier) envelope(rec *loop.ReportSealed, statement []byte, at chain.Entry) error {
	if rec.Envelope == nil {
		if rec.Key != "" {
			return fmt.Errorf("ledger entry %d names a key and no envelope", at.Seq)
		}
		return nil
	}
	raw, err := v.read(*rec.Envelope)
	if err != nil {
		return err
	}
	e, err := gitops.ParseEnvelope(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", rec.Envelope.Name, err)
	}
	switch {
	case e.PayloadType != seal.PayloadType:
		return fmt.Errorf("%s is signed as %q, not as %q", rec.Envelope.Name, e.PayloadType, seal.PayloadType)
	case !bytes.Equal(e.Payload, statement):
		return fmt.Errorf("%s holds other bytes than %s", rec.Envelope.Name, rec.Statement.Name)
	case !slices.Contains(e.Keys, rec.Key):
		return fmt.Errorf("%s names the keys %q, the ledger %q", rec.Envelope.Name, e.Keys, rec.Key)
	}
	v.res.Seal.Key, v.res.Seal.Signature = rec.Key, "not checked: no signers file was given; it claims "+rec.Key
	if v.opt.Signers == nil {
		return nil
	}
	allowed, err := gitops.ParseAllowedSigners(v.opt.Signers)
	if err != nil {
		return fmt.Errorf("signers file: %w", err)
	}
	sig, err := e.Verify(v.ctx, allowed, gitops.NamespaceSeal, at.Time)
	if err != nil {
		return fmt.Errorf("%s: %w", rec.Envelope.Name, err)
	}
	v.res.Seal.Principal, v.res.Seal.Key, v.res.Seal.Signature = sig.Principal, sig.Fingerprint, "verifies, of "+sig.Principal
	return nil
}

// sealLevel is the seal's part of what a reader may rely on.
func (v *verifier) sealLevel() string {
	switch s := v.res.Seal; {
	case s == nil:
		return "unsealed"
	case s.Principal != "":
		return "sealed and signed by " + s.Principal
	}
	return "sealed"
}

// kindsOf names the kinds of entries with their numbers.
func kindsOf(entries []chain.Entry) string {
	var names []string
	count := map[string]int{}
	for _, e := range entries {
		if count[e.Kind]++; count[e.Kind] == 1 {
			names = append(names, e.Kind)
		}
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%d × %s", count[name], name)
	}
	return strings.Join(names, ", ")
}

// bundle reads what a bundle says it is of.
func (v *verifier) bundle() (string, error) {
	raw, err := fs.ReadFile(v.files, loop.BundleIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is missing", loop.BundleIndex)
	}
	if err != nil {
		return "", plain(err)
	}
	var b loop.Bundled
	if err := chain.Strict(raw, &b); err != nil {
		return "", fmt.Errorf("%s: %w", loop.BundleIndex, err)
	}
	v.about = &b
	switch {
	case b.Kind != loop.BundledKind || b.V != loop.BundledVersion:
		return "", fmt.Errorf("%s is %q version %d, this release knows %q version %d", loop.BundleIndex, b.Kind, b.V, loop.BundledKind, loop.BundledVersion)
	case b.Campaign != v.state.Contract.Campaign:
		return "", fmt.Errorf("%s is of campaign %q, the ledger of %q", loop.BundleIndex, b.Campaign, v.state.Contract.Campaign)
	}
	for _, a := range b.LeftOut {
		n := v.named[a.Name]
		switch {
		case n == nil || n.Artifact != a:
			return "", fmt.Errorf("%s leaves %q out, which the ledger does not name so", loop.BundleIndex, a.Name)
		case !v.state.LeftOut(a):
			return "", fmt.Errorf("%s leaves %q out: only traces above %d MiB may stay behind", loop.BundleIndex, a.Name, loop.MostBundledTrace>>20)
		}
	}
	if rec, _ := v.lastSeal(); rec == nil {
		return "", errors.New("it holds no seal, and a bundle is made of a sealed report")
	}
	return fmt.Sprintf("ends in its digest %.16s, %d traces left out", v.res.Bundle, len(b.LeftOut)), nil
}

// leftOut says whether a bundle was made without an artifact, and may be.
func (v *verifier) leftOut(a ledger.Artifact) bool {
	return v.about != nil && slices.Contains(v.about.LeftOut, a)
}
