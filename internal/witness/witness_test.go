package witness_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/witness"
)

const campaign = "20261123_tiny_sota_loop"

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// ledger is a chain of n lines of a campaign; other makes its lines from the given one on differ.
func ledger(t *testing.T, name string, n, other int) (lines [][]byte, entries []chain.Entry) {
	t.Helper()
	for i := 1; i <= n; i++ {
		payload := fmt.Sprintf(`{"n":%d}`, i)
		if i == 1 {
			payload = fmt.Sprintf(`{"contract":{"campaign":%q}}`, name)
		}
		if other > 0 && i >= other {
			payload = fmt.Sprintf(`{"contract":{"campaign":%q},"n":%d}`, name, -i)
		}
		var last chain.Entry
		if i > 1 {
			last = entries[i-2]
		}
		e, raw, err := chain.Next(last, chain.Pending{Kind: "some.thing", Payload: json.RawMessage(payload), Time: noon}, noon)
		require.NoError(t, err)
		lines, entries = append(lines, raw), append(entries, e)
	}
	return lines, entries
}

// request shows lines since+1 to the end.
func request(t *testing.T, name string, since int, lines [][]byte, entries []chain.Entry) io.Reader {
	t.Helper()
	var from chain.Head
	if since > 0 {
		from = chain.HeadOf(entries[:since])
	}
	head, err := witness.NewRequest(name, from)
	require.NoError(t, err)
	return bytes.NewReader(append(head, bytes.Join(lines[since:], nil)...))
}

func signer(t *testing.T) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, ed25519.SeedSize)))
	require.NoError(t, err)
	return s
}

func keeper(t *testing.T, dir string) *witness.Keeper {
	t.Helper()
	key := signer(t)
	return witness.New(dir, func(s []byte) ([]byte, error) { return gitops.Sign(key, gitops.NamespaceWitness, s) }, func() time.Time { return noon })
}

func ask(t *testing.T, k *witness.Keeper, r io.Reader) witness.Answer {
	t.Helper()
	raw, err := k.Answer(t.Context(), r)
	require.NoError(t, err)
	a, err := witness.ParseAnswer(raw)
	require.NoError(t, err)
	return a
}

func TestAWitnessSignsWhatExtendsWhatItSaw(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lines, entries := ledger(t, campaign, 9, 0)
	for _, c := range []struct{ since, to int }{{0, 3}, {3, 5}, {1, 6}, {0, 7}, {7, 7}, {6, 9}, {9, 9}} {
		a := ask(t, keeper(t, dir), request(t, campaign, c.since, lines[:c.to], entries)) // a new process each time
		require.Empty(t, a.Refused, a.What)
		s, err := witness.ParseStatement(a.Statement)
		require.NoError(t, err)
		require.Equal(t, witness.Statement{Kind: "sotaloop.witness", V: 1, Campaign: campaign, Seq: c.to, Head: entries[c.to-1].Hash, First: entries[0].Hash, Time: noon}, s)
		key, err := witness.Inspect(a.Statement, a.Signature)
		require.NoError(t, err)
		require.Equal(t, ssh.FingerprintSHA256(signer(t).PublicKey()), key)
	}
}

func TestAWitnessNeverGoesBackOrAlongAFork(t *testing.T) {
	t.Parallel()
	lines, entries := ledger(t, campaign, 9, 0)
	fork, forked := ledger(t, campaign, 12, 4)
	whole, wholly := ledger(t, campaign, 12, 1)
	other, others := ledger(t, "20261123_other_sota_loop", 12, 0)
	newer := bytes.Replace(lines[7], []byte(`"v":1`), []byte(`"v":2`), 1)
	for name, c := range map[string]struct {
		show io.Reader
		why  string
	}{
		"an older head":                     {request(t, campaign, 0, lines[:4], entries), witness.RefusedRollback},
		"an older head, from its middle":    {request(t, campaign, 2, lines[:5], entries), witness.RefusedRollback},
		"a fork from its beginning":         {request(t, campaign, 0, fork, forked), witness.RefusedFork},
		"a fork from behind the old head":   {request(t, campaign, 6, fork, forked), witness.RefusedFork},
		"a fork of the same length":         {request(t, campaign, 0, fork[:6], forked), witness.RefusedFork},
		"another ledger under this name":    {request(t, campaign, 0, whole, wholly), witness.RefusedFork},
		"another campaign under this name":  {request(t, campaign, 0, other, others), witness.RefusedName},
		"another campaign's later lines":    {request(t, campaign, 6, other, others), witness.RefusedFork},
		"lines behind what was seen":        {request(t, campaign, 8, lines, entries), witness.RefusedGap},
		"a line left out":                   {request(t, campaign, 5, append(append([][]byte{}, lines[:6]...), lines[7:]...), entries), witness.RefusedMalformed},
		"an edited line":                    {request(t, campaign, 6, append(append([][]byte{}, lines[:7]...), newer, lines[8]), entries), witness.RefusedMalformed},
		"a torn line":                       {io.LimitReader(request(t, campaign, 6, lines, entries), 600), witness.RefusedMalformed},
		"no request":                        {strings.NewReader("hello\n"), witness.RefusedMalformed},
		"nothing":                           {strings.NewReader(""), witness.RefusedMalformed},
		"no line":                           {request(t, campaign, 0, nil, nil), witness.RefusedMalformed},
		"an endless first line":             {strings.NewReader(strings.Repeat("x", 1<<20)), witness.RefusedMalformed},
		"a name that is a path":             {request(t, "../"+campaign, 0, lines, entries), witness.RefusedName},
		"a head since nothing":              {strings.NewReader(`{"kind":"sotaloop.witness.request","v":1,"campaign":"` + campaign + `","since":0,"head":"00"}` + "\n"), witness.RefusedMalformed},
		"a line below zero":                 {strings.NewReader(`{"kind":"sotaloop.witness.request","v":1,"campaign":"` + campaign + `","since":-1,"head":"00"}` + "\n"), witness.RefusedMalformed},
		"a newer request":                   {strings.NewReader(`{"kind":"sotaloop.witness.request","v":2,"campaign":"x","since":0,"head":""}` + "\n"), witness.RefusedMalformed},
		"a head that claims to be the last": {request(t, campaign, 6, append(append([][]byte{}, fork[:6]...), fork[6:]...), append(append([]chain.Entry{}, entries[:6]...), forked[6:]...)), witness.RefusedMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.Empty(t, ask(t, keeper(t, dir), request(t, campaign, 0, lines[:6], entries)).Refused)
			a := ask(t, keeper(t, dir), c.show)
			require.Equal(t, c.why, a.Refused, a.What)
			require.NotEmpty(t, a.What)
			require.Empty(t, a.Statement)
			require.Empty(t, a.Signature)
			require.Empty(t, ask(t, keeper(t, dir), request(t, campaign, 6, lines, entries)).Refused, "and the honest ledger goes on")
		})
	}
}

func TestManyAtOnceSeeOneOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lines, entries := ledger(t, campaign, 30, 0)
	var wg sync.WaitGroup
	for n := range 30 {
		r := request(t, campaign, 0, lines[:n+1], entries)
		wg.Go(func() {
			raw, err := keeper(t, dir).Answer(t.Context(), r)
			if err == nil {
				_, err = witness.ParseAnswer(raw)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	seen, _, err := chain.Read(filepath.Join(dir, campaign+".jsonl"), nil)
	require.NoError(t, err)
	last := 0
	for _, e := range seen {
		var s struct{ Seq int }
		require.NoError(t, json.Unmarshal(e.Payload, &s))
		require.Greater(t, s.Seq, last)
		last = s.Seq
	}
	require.Equal(t, 30, last)
}

func TestADamagedMemorySignsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lines, entries := ledger(t, campaign, 6, 0)
	for n := 1; n <= 3; n++ {
		require.Empty(t, ask(t, keeper(t, dir), request(t, campaign, 0, lines[:n], entries)).Refused)
	}
	path := filepath.Join(dir, campaign+".jsonl")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, bytes.Join(bytes.SplitAfter(raw, []byte("\n"))[:1], nil), 0o600), "rolled back")
	_, err = keeper(t, dir).Answer(t.Context(), request(t, campaign, 0, lines, entries))
	require.ErrorIs(t, err, chain.ErrCorrupt)
}
