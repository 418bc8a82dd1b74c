package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/verify"
	"github.com/sotaloop/sotaloop/internal/witness"
)

// witnessKey signs as a witness in tests.
func witnessKey(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{6}, ed25519.SeedSize)))
	require.NoError(t, err)
	return s, fmt.Appendf(nil, "carol namespaces=%q %s", gitops.NamespaceWitness, ssh.MarshalAuthorizedKey(s.PublicKey()))
}

// answered asks a fresh witness about the first lines of a directory's ledger, signed in a namespace.
func answered(t *testing.T, dir string, lines int, namespace string) loop.LedgerWitnessed {
	t.Helper()
	key, _ := witnessKey(t)
	k := witness.New(t.TempDir(), func(s []byte) ([]byte, error) { return gitops.Sign(key, namespace, s) }, time.Now)
	raw, err := os.ReadFile(filepath.Join(dir, ledger.ChainFile))
	require.NoError(t, err)
	all := bytes.SplitAfter(raw, []byte("\n"))
	entries, _, err := chain.Decode(bytes.NewReader(raw), nil)
	require.NoError(t, err)
	head, err := witness.NewRequest(campaignID, chain.Head{})
	require.NoError(t, err)
	out, err := k.Answer(t.Context(), io.MultiReader(bytes.NewReader(head), bytes.NewReader(bytes.Join(all[:lines], nil))))
	require.NoError(t, err)
	a, err := witness.ParseAnswer(out)
	require.NoError(t, err)
	require.Empty(t, a.Refused, a.What)
	return loop.LedgerWitnessed{Seq: lines, Head: entries[lines-1].Hash, Statement: a.Statement, Signature: a.Signature, Key: ssh.FingerprintSHA256(key.PublicKey())}
}

func TestAWitnessedLedgerSaysHowFar(t *testing.T) {
	t.Parallel()
	dir, _ := campaign(t)
	_, witnesses := witnessKey(t)
	n := check(t, dir, verify.Options{}).Entries
	appended(t, dir, "ledger.witnessed", answered(t, dir, n, gitops.NamespaceWitness))
	of := bundled(t, dir)
	for _, path := range []string{dir, of} {
		res := check(t, path, verify.Options{Witnesses: witnesses, Require: []string{verify.RequireWitness}})
		require.Nil(t, res.First)
		require.Empty(t, res.Lacking)
		require.Contains(t, res.Levels, fmt.Sprintf("witnessed to entry %d by carol", n))
		require.Zero(t, res.Seal.Later, "a witness's answer is no work")
		require.Len(t, res.Witnessed, 1)

		res = check(t, path, verify.Options{Require: []string{verify.RequireWitness}})
		require.Nil(t, res.First)
		require.Contains(t, fmt.Sprint(res.Lacking), "a directory's own word counts for nothing")
		require.Contains(t, fmt.Sprint(res.Levels), "which nobody vouches for")
	}
	res := check(t, dir, verify.Options{Witnesses: []byte{}})
	require.Equal(t, "witness", res.First.Check, "an empty file allows nobody")
}

func TestAWitnessThatSawLessThanTheReportIsNotEnough(t *testing.T) {
	t.Parallel()
	dir, _ := campaign(t)
	_, witnesses := witnessKey(t)
	appended(t, dir, "ledger.witnessed", answered(t, dir, 20, gitops.NamespaceWitness))
	res := check(t, dir, verify.Options{Witnesses: witnesses, Require: []string{verify.RequireWitness}})
	require.Nil(t, res.First)
	require.Contains(t, fmt.Sprint(res.Lacking), "a witness has seen less than")
	require.Contains(t, res.Levels, "witnessed to entry 20 by carol")
}

func TestForgedAnswersOfWitnessesAreFound(t *testing.T) {
	t.Parallel()
	_, witnesses := witnessKey(t)
	for name, c := range map[string]struct {
		answer func(t *testing.T, dir string) loop.LedgerWitnessed
		says   string
	}{
		"another namespace": {func(t *testing.T, dir string) loop.LedgerWitnessed {
			return answered(t, dir, 9, gitops.NamespaceApproval)
		}, "namespace"},
		"an answer about an older line": {func(t *testing.T, dir string) loop.LedgerWitnessed {
			a := answered(t, dir, 9, gitops.NamespaceWitness)
			a.Seq++
			return a
		}, "the witness saw line 9"},
		"another ledger's answer": {func(t *testing.T, dir string) loop.LedgerWitnessed {
			other, _ := campaign(t)
			forge(t, other, edited(t, "rule.refused", 0, func(p map[string]any) { p["what"] = "another" }))
			return answered(t, other, check(t, dir, verify.Options{}).Entries, gitops.NamespaceWitness)
		}, "which is no line before it"},
		"another campaign's answer": {func(t *testing.T, dir string) loop.LedgerWitnessed {
			a := answered(t, dir, 9, gitops.NamespaceWitness)
			return resigned(t, a, func(s *witness.Statement) { s.Campaign = "20261123_other_sota_loop" })
		}, "saw campaign"},
		"a newer statement": {func(t *testing.T, dir string) loop.LedgerWitnessed {
			a := answered(t, dir, 9, gitops.NamespaceWitness)
			return resigned(t, a, func(s *witness.Statement) { s.V = 2 })
		}, "version 2"},
		"a statement edited": {func(t *testing.T, dir string) loop.LedgerWitnessed {
			a := answered(t, dir, 9, gitops.NamespaceWitness)
			a.Statement = bytes.Replace(a.Statement, []byte("Z"), []byte("1Z"), 1)
			return a
		}, ""},
		"another key's name": {func(t *testing.T, dir string) loop.LedgerWitnessed {
			a := answered(t, dir, 9, gitops.NamespaceWitness)
			a.Key = "SHA256:0000"
			return a
		}, "key is"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _ := campaign(t)
			appended(t, dir, "ledger.witnessed", c.answer(t, dir))
			for _, file := range [][]byte{witnesses, nil} {
				res := check(t, dir, verify.Options{Witnesses: file})
				require.NotNil(t, res.First)
				require.Equal(t, "witness", res.First.Check)
				require.Contains(t, res.First.What, c.says)
			}
		})
	}
}

// resigned changes a statement and signs it with the witness's own key.
func resigned(t *testing.T, a loop.LedgerWitnessed, change func(*witness.Statement)) loop.LedgerWitnessed {
	t.Helper()
	var s witness.Statement
	require.NoError(t, json.Unmarshal(a.Statement, &s))
	change(&s)
	raw, err := json.Marshal(s)
	require.NoError(t, err)
	key, _ := witnessKey(t)
	sig, err := gitops.Sign(key, gitops.NamespaceWitness, append(raw, '\n'))
	require.NoError(t, err)
	a.Statement, a.Signature = append(raw, '\n'), string(sig)
	return a
}
