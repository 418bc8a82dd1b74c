package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/bundle"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/verify"
)

// bundled writes a directory's bundle.
func bundled(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x"+bundle.Ending)
	f, err := os.Create(path)
	require.NoError(t, err)
	_, err = loop.WriteBundle(dir, f)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	return path
}

// signersOf allows the fixture's key in a namespace.
func signersOf(approvers []byte, namespace string) []byte {
	return bytes.Replace(approvers, []byte(gitops.NamespaceApproval), []byte(namespace), 1)
}

func TestASealSaysWhatIsThere(t *testing.T) {
	t.Parallel()
	dir, approvers := campaign(t)
	res := check(t, dir, verify.Options{})
	require.Nil(t, res.First)
	require.Contains(t, res.Levels, "sealed")
	require.Contains(t, res.Seal.Signature, "not checked")
	res = check(t, dir, verify.Options{Signers: signersOf(approvers, gitops.NamespaceSeal)})
	require.Nil(t, res.First)
	require.Contains(t, res.Levels, "sealed and signed by engineer")
	for name, file := range map[string][]byte{"an approver's key is no sealer's": approvers, "nobody": {}} {
		res = check(t, dir, verify.Options{Signers: file})
		require.NotNil(t, res.First, name)
		require.Equal(t, "seal", res.First.Check, name)
	}
}

func TestABundleVerifiesAloneAsItsDirectoryDoes(t *testing.T) {
	t.Parallel()
	dir, approvers := campaign(t)
	path := bundled(t, dir)
	of, alone := check(t, dir, verify.Options{Version: release, Approvers: approvers}), check(t, path, verify.Options{Version: release, Approvers: approvers})
	require.Nil(t, alone.First)
	require.True(t, alone.OK)
	require.NotEmpty(t, alone.Bundle)
	require.Equal(t, of.Levels, alone.Levels)
	require.Equal(t, of.Head, alone.Head)
	require.Equal(t, of.Approvals[0].Signature, alone.Approvals[0].Signature)
	require.Equal(t, of.Seal, alone.Seal)
	require.Len(t, alone.Checks, len(of.Checks)+1)

	first, err := os.ReadFile(path)
	require.NoError(t, err)
	again, err := os.ReadFile(bundled(t, dir))
	require.NoError(t, err)
	require.Equal(t, first, again, "the same seal gives the same bytes")
}

// appended adds honest entries behind the ledger's last line.
func appended(t *testing.T, dir string, kind string, payload any) {
	t.Helper()
	raw, err := json.Marshal(payload)
	require.NoError(t, err)
	l, err := ledger.Open(dir, filepath.Join(t.TempDir(), "locks"), loop.Kinds)
	require.NoError(t, err)
	_, err = l.Append(t.Context(), func([]chain.Entry) ([]chain.Pending, error) { return []chain.Pending{{Kind: kind, Payload: raw}}, nil })
	require.NoError(t, err)
}

func TestEntriesBehindTheSealAreNamedAndNotBundled(t *testing.T) {
	t.Parallel()
	dir, _ := campaign(t)
	before, err := os.ReadFile(bundled(t, dir))
	require.NoError(t, err)
	appended(t, dir, "rule.refused", loop.RuleRefused{Tool: "propose_patch", Rule: "patch.paths", What: "no"})
	appended(t, dir, "rule.refused", loop.RuleRefused{Tool: "propose_patch", Rule: "patch.paths", What: "again"})
	res := check(t, dir, verify.Options{})
	require.Nil(t, res.First)
	require.Equal(t, 2, res.Seal.Later)
	require.Contains(t, fmt.Sprint(res.Notes), "2 entries were written after the seal; they are of no report: 2 × rule.refused")
	after, err := os.ReadFile(bundled(t, dir))
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestAnUnsealedDirectoryIsConsistentAndHasNoBundle(t *testing.T) {
	t.Parallel()
	dir, _ := campaign(t)
	forge(t, dir, func(l entries) entries { return l[:len(l)-1] })
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "seal")))
	res := check(t, dir, verify.Options{})
	require.Nil(t, res.First)
	require.Nil(t, res.Seal)
	require.Contains(t, res.Levels, "unsealed")
	_, err := loop.WriteBundle(dir, &bytes.Buffer{})
	require.ErrorContains(t, err, "is not sealed")
}

func TestWhatTheSealDoesNotNameIsRefusedAndAReadersOwnIsLetBe(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]bool{
		"benchmark/extra.jsonl": true, "seal/note.txt": true, "seal/1-statement.json": true, "extra.md": true, "benchmark/records/x.zst": true,
		"notes/mine.txt": false, ".DS_Store": false, "benchmark/.DS_Store": false, ".final_report.md.swp": false,
	} {
		dir, _ := campaign(t)
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte("{}\n"), 0o600))
		res := check(t, dir, verify.Options{})
		if refused {
			require.NotNil(t, res.First, name)
			require.Contains(t, res.First.What, name)
			continue
		}
		require.Nil(t, res.First, name)
		require.NotEmpty(t, res.Notes, name)
	}
}

// TestForgedSealsAreFound changes the seal alone; its own digest and the ledger are made to fit.
func TestForgedSealsAreFound(t *testing.T) {
	t.Parallel()
	other, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize)))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string, p *loop.ReportSealed, statement []byte) []byte
		says   string
	}{
		"a file left out": {func(_ *testing.T, _ string, _ *loop.ReportSealed, s []byte) []byte {
			return bytes.Replace(s, []byte(`"name": "final_report.md"`), []byte(`"name": "final_report.mb"`), 1)
		}, "subject"},
		"another verdict": {func(_ *testing.T, _ string, _ *loop.ReportSealed, s []byte) []byte {
			return bytes.Replace(s, []byte(`"verdict": "`), []byte(`"verdict": "not `), 1)
		}, "predicate.verdict"},
		"other spacing": {func(_ *testing.T, _ string, _ *loop.ReportSealed, s []byte) []byte {
			return bytes.Replace(s, []byte("  \"subject\""), []byte("\t\"subject\""), 1)
		}, "written otherwise"},
		"a newer statement": {func(_ *testing.T, _ string, _ *loop.ReportSealed, s []byte) []byte {
			return bytes.Replace(s, []byte("campaign-seal/v1"), []byte("campaign-seal/v2"), 1)
		}, "campaign-seal/v2"},
		"a newer predicate": {func(_ *testing.T, _ string, _ *loop.ReportSealed, s []byte) []byte {
			return bytes.Replace(s, []byte(`"v": 1`), []byte(`"v": 2`), 1)
		}, "version 2"},
		"fewer lines":  {func(_ *testing.T, _ string, p *loop.ReportSealed, s []byte) []byte { p.Lines--; return s }, "seals"},
		"another head": {func(_ *testing.T, _ string, p *loop.ReportSealed, s []byte) []byte { p.Head = chain.Genesis; return s }, "seals"},
		"an envelope of other bytes": {func(t *testing.T, dir string, p *loop.ReportSealed, s []byte) []byte {
			signed, err := gitops.SignEnvelope(t.Context(), other, "application/vnd.in-toto+json", []byte("{}"))
			require.NoError(t, err)
			p.Envelope, p.Key = stored(t, dir, p.Envelope.Name, signed), ssh.FingerprintSHA256(other.PublicKey())
			return s
		}, "other bytes"},
		"an envelope of another type": {func(t *testing.T, dir string, p *loop.ReportSealed, s []byte) []byte {
			signed, err := gitops.SignEnvelope(t.Context(), other, "text/plain", s)
			require.NoError(t, err)
			p.Envelope, p.Key = stored(t, dir, p.Envelope.Name, signed), ssh.FingerprintSHA256(other.PublicKey())
			return s
		}, "text/plain"},
		"an envelope of another key": {func(t *testing.T, dir string, p *loop.ReportSealed, s []byte) []byte {
			signed, err := gitops.SignEnvelope(t.Context(), other, "application/vnd.in-toto+json", s)
			require.NoError(t, err)
			p.Envelope = stored(t, dir, p.Envelope.Name, signed)
			return s
		}, "names the keys"},
		"an envelope of a stranger": {func(t *testing.T, dir string, p *loop.ReportSealed, s []byte) []byte {
			signed, err := gitops.SignEnvelope(t.Context(), other, "application/vnd.in-toto+json", s)
			require.NoError(t, err)
			p.Envelope, p.Key = stored(t, dir, p.Envelope.Name, signed), ssh.FingerprintSHA256(other.PublicKey())
			return s
		}, "no listed key signed"},
		"a key without an envelope": {func(t *testing.T, dir string, p *loop.ReportSealed, s []byte) []byte {
			require.NoError(t, os.Remove(filepath.Join(dir, p.Envelope.Name)))
			p.Envelope = nil
			return s
		}, "names a key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, approvers := campaign(t)
			reseal(t, dir, func(p *loop.ReportSealed) {
				raw, err := os.ReadFile(filepath.Join(dir, p.Statement.Name))
				require.NoError(t, err)
				p.Statement = *stored(t, dir, p.Statement.Name, c.change(t, dir, p, raw))
			})
			res := check(t, dir, verify.Options{Signers: signersOf(approvers, gitops.NamespaceSeal)})
			require.NotNil(t, res.First)
			require.Equal(t, "seal", res.First.Check)
			require.Contains(t, res.First.What, c.says)
			require.Empty(t, res.Levels)
		})
	}
}

// stored writes an artifact anew.
func stored(t *testing.T, dir, name string, raw []byte) *ledger.Artifact {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), raw, 0o600))
	return &ledger.Artifact{Name: name, SHA256: contract.Digest(raw), Size: int64(len(raw))}
}

// reseal rewrites the last entry's payload and the head.
func reseal(t *testing.T, dir string, edit func(*loop.ReportSealed)) {
	t.Helper()
	read, _, err := chain.Read(filepath.Join(dir, ledger.ChainFile), nil)
	require.NoError(t, err)
	n := len(read) - 1
	var p loop.ReportSealed
	require.NoError(t, json.Unmarshal(read[n].Payload, &p))
	edit(&p)
	raw, err := json.Marshal(p)
	require.NoError(t, err)
	e, line, err := chain.Next(read[n-1], chain.Pending{Kind: "report.sealed", Payload: raw, Time: read[n].Time}, time.Now())
	require.NoError(t, err)
	whole, err := os.ReadFile(filepath.Join(dir, ledger.ChainFile))
	require.NoError(t, err)
	cut := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	require.NoError(t, os.WriteFile(filepath.Join(dir, ledger.ChainFile), append(whole[:cut], line...), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ledger.HeadFile), headOf(e), 0o600))
}
