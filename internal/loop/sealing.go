package loop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/seal"
)

// Files that are written anew from the ledger for readers.
const (
	contractFile = "contract.json"
	rowsFile     = "benchmark/candidates.jsonl"
)

// mostSealTries bounds how often a seal is made again because another server wrote to the ledger meanwhile.
const mostSealTries = 5

// SealName is where the statement about the first lines of a ledger lies; each seal has files of its own, so that none
// is ever replaced.
func SealName(lines int) (statement, envelope string) {
	dir := fmt.Sprintf("seal/%d-", lines)
	return dir + seal.StatementFile, dir + seal.EnvelopeFile
}

// Sealed gives the statement that follows from a ledger's lines, whose bytes have the digest prefix: which files they
// name, and what the projections made of them hold. transcript is how far the report's transcript goes.
func Sealed(lines []chain.Entry, ledgerBytes int64, prefix string, transcript seal.Prefix) (*seal.Statement, error) {
	st, err := Replay(lines)
	if err != nil {
		return nil, err
	}
	if st.Contract == nil || len(st.Reports) == 0 {
		return nil, errors.New("there is no report to seal")
	}
	files := map[string]string{}
	for _, a := range ArtifactsOf(lines) {
		files[a.Name] = a.SHA256
	}
	for _, s := range st.Seals { // an earlier seal is in the ledger's lines; its files are not of this report
		delete(files, s.Statement.Name)
		if s.Envelope != nil {
			delete(files, s.Envelope.Name)
		}
	}
	frozen, err := contractBytes(lines)
	if err != nil {
		return nil, err
	}
	files[contractFile] = contract.Digest(frozen)
	if rows := st.CandidateRows(); len(rows) > 0 {
		files[rowsFile] = contract.Digest(rows)
	}
	report := st.Reports[len(st.Reports)-1]
	p := seal.Predicate{
		Campaign: st.Contract.Campaign, Contract: st.Digest, Ledger: seal.Prefix{Lines: len(lines), Head: st.Head, Bytes: ledgerBytes}, Transcript: transcript,
		Verdict: report.Verdict, Claim: report.Claim, Simulated: st.Contract.Host.Simulated,
	}
	for _, t := range st.Traces {
		if t.File.OnHost {
			p.KeptOnHost = append(p.KeptOnHost, seal.Subject{Name: t.File.Name, Digest: seal.Digest{SHA256: t.File.SHA256}})
		}
	}
	return seal.New(files, prefix, p), nil
}

// contractBytes is the contract's file: what was frozen, byte for byte.
func contractBytes(lines []chain.Entry) ([]byte, error) {
	var p ContractFrozen
	if err := json.Unmarshal(lines[0].Payload, &p); err != nil {
		return nil, err
	}
	return append(bytes.Clone(p.Contract), '\n'), nil
}

// ArtifactsOf gives the artifacts that a ledger's lines name, each as the last line that names it has it, in the order in
// which they were first named.
func ArtifactsOf(lines []chain.Entry) []ledger.Artifact {
	var out []ledger.Artifact
	at := map[string]int{}
	for _, e := range lines {
		for _, a := range ledger.Artifacts(e.Payload) {
			if i, ok := at[a.Name]; ok {
				out[i] = a
				continue
			}
			at[a.Name] = len(out)
			out = append(out, a)
		}
	}
	return out
}

// TranscriptPrefix is how far a transcript's chain goes.
func TranscriptPrefix(raw []byte) (seal.Prefix, error) {
	entries, _, err := chain.Decode(bytes.NewReader(raw), nil)
	if err != nil {
		return seal.Prefix{}, err
	}
	head := chain.HeadOf(entries)
	return seal.Prefix{Lines: head.Seq, Head: head.Hash, Bytes: int64(len(raw))}, nil
}

// seal states what the report rests on and closes it with an entry.
func (c *campaign) seal(ctx context.Context) (ReportSealed, error) {
	for range mostSealTries {
		lines, err := c.ledger.Entries()
		if err != nil {
			return ReportSealed{}, err
		}
		rec, err := c.sealStatement(ctx, lines)
		if err != nil {
			return ReportSealed{}, err
		}
		p, err := entry(kindSealed, rec)
		if err != nil {
			return ReportSealed{}, err
		}
		done, err := c.ledger.Append(ctx, func(now []chain.Entry) ([]chain.Pending, error) {
			if len(now) != len(lines) {
				return nil, nil // another server wrote meanwhile
			}
			return []chain.Pending{p}, nil
		})
		if err != nil {
			return ReportSealed{}, err
		}
		if len(done) > 0 {
			return rec, nil
		}
		if err := c.unsealed(rec); err != nil {
			return ReportSealed{}, err
		}
	}
	return ReportSealed{}, fault.New(fault.Busy, "other servers kept writing to the ledger while the report was sealed").
		Hint("wait until running jobs are quiet, and write the report again").Then("write_report", "seals the report")
}

// sealStatement checks every file against the ledger and stores the statement about them.
func (c *campaign) sealStatement(ctx context.Context, lines []chain.Entry) (ReportSealed, error) {
	for _, a := range ArtifactsOf(lines) {
		if err := ctx.Err(); err != nil {
			return ReportSealed{}, err
		}
		if err := c.ledger.Verify(a); err != nil {
			return ReportSealed{}, err
		}
	}
	st, err := c.replay(lines)
	if err != nil {
		return ReportSealed{}, err
	}
	s, err := statementIn(os.DirFS(c.ledger.Dir()), lines, st)
	if err != nil {
		return ReportSealed{}, err
	}
	raw, err := s.Bytes()
	if err != nil {
		return ReportSealed{}, err
	}
	name, envelope := SealName(len(lines))
	rec := ReportSealed{Lines: len(lines), Head: st.Head}
	if rec.Statement, err = c.ledger.Put(name, bytes.NewReader(raw)); err != nil || c.loop.opt.Seal == nil {
		return rec, err
	}
	signed, key, err := c.loop.opt.Seal(ctx, seal.PayloadType, raw)
	if err != nil || signed == nil {
		return rec, err
	}
	art, err := c.ledger.Put(envelope, bytes.NewReader(signed))
	rec.Envelope, rec.Key = &art, key
	return rec, err
}

// unsealed takes back the files of a statement that no entry came to name. Another server that sealed the same lines wrote
// the same files, and its entry is in the ledger by now.
func (c *campaign) unsealed(rec ReportSealed) error {
	now, err := c.ledger.Entries()
	if err != nil {
		return err
	}
	if slices.Contains(ArtifactsOf(now), rec.Statement) {
		return nil
	}
	_ = os.Remove(c.ledger.Path(rec.Statement.Name))
	if rec.Envelope != nil {
		_ = os.Remove(c.ledger.Path(rec.Envelope.Name))
	}
	return nil
}

// statementIn reads what a statement needs from a run directory.
func statementIn(dir fs.FS, lines []chain.Entry, st *State) (*seal.Statement, error) {
	file, err := dir.Open(ledger.ChainFile)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	sum, size, err := ledger.Prefix(file, len(lines))
	if err != nil {
		return nil, err
	}
	if len(st.Reports) == 0 {
		return nil, errors.New("there is no report to seal")
	}
	raw, err := fs.ReadFile(dir, st.Reports[len(st.Reports)-1].Transcript.Name)
	if err != nil {
		return nil, err
	}
	talk, err := TranscriptPrefix(raw)
	if err != nil {
		return nil, err
	}
	return Sealed(slices.Clip(lines), size, sum, talk)
}
