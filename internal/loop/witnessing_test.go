package loop_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/witness"
)

// aWitness remembers in dir and signs with a key made for tests.
func aWitness(t *testing.T, dir string) *witness.Keeper {
	t.Helper()
	key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{5}, ed25519.SeedSize)))
	require.NoError(t, err)
	return witness.New(dir, func(s []byte) ([]byte, error) { return gitops.Sign(key, gitops.NamespaceWitness, s) }, time.Now)
}

// lastKinds are the last n kinds of the home's ledger.
func lastKinds(t *testing.T, home string, n int) []string {
	t.Helper()
	kinds := ledgerKinds(t, home)
	return kinds[len(kinds)-n:]
}

func TestAReportIsShownToTheWitnessAndBundledWithItsAnswer(t *testing.T) {
	t.Parallel()
	home, memory, h := t.TempDir(), t.TempDir(), newHost()
	asked := 0
	h.witness = func(ctx context.Context, r io.Reader) ([]byte, error) {
		asked++
		return aWitness(t, memory).Answer(ctx, r)
	}
	id := honest(t).in(home)
	l := newLoop(t, home, h)
	out, err := l.WriteReport(t.Context(), id)
	require.NoError(t, err)
	require.NotContains(t, strings.Join(out.Warnings, " "), "witness")
	require.Equal(t, []string{"report.written", "report.sealed", "ledger.witnessed"}, lastKinds(t, home, 3))
	require.Equal(t, filepath.Join(home, "bundles", id+".sotaloop"), out.Bundle)
	require.FileExists(t, out.Bundle)

	_, err = l.WriteReport(t.Context(), id) // seals anew, and shows only what is new
	require.NoError(t, err)
	require.Equal(t, []string{"report.written", "report.sealed", "ledger.witnessed"}, lastKinds(t, home, 3))
	require.Equal(t, 2, asked)
}

func TestAWitnessThatDoesNotAnswerIsANote(t *testing.T) {
	t.Parallel()
	elsewhere := t.TempDir()
	for name, c := range map[string]struct {
		answer func(context.Context, io.Reader) ([]byte, error)
		says   string
	}{
		"out of reach":         {func(context.Context, io.Reader) ([]byte, error) { return nil, errors.New("connection refused") }, "connection refused"},
		"says nothing":         {func(context.Context, io.Reader) ([]byte, error) { return nil, nil }, "witness's answer"},
		"says something else":  {func(context.Context, io.Reader) ([]byte, error) { return []byte("Welcome to Ubuntu\n"), nil }, "witness's answer"},
		"signs another ledger": {replayedAnswer(t, elsewhere), "was shown"},
		"saw another under name": {func(ctx context.Context, r io.Reader) ([]byte, error) {
			return aWitness(t, forkedMemory(t)).Answer(ctx, r)
		}, "it refused (fork)"},
	} {
		t.Run(name, func(t *testing.T) {
			home, h := t.TempDir(), newHost()
			h.witness = c.answer
			id := honest(t).in(home)
			out, err := newLoop(t, home, h).WriteReport(t.Context(), id)
			require.NoError(t, err)
			require.Contains(t, strings.Join(out.Warnings, " "), "the witness has not seen this ledger's head: ")
			require.Contains(t, strings.Join(out.Warnings, " "), c.says)
			require.Equal(t, []string{"report.written", "report.sealed"}, lastKinds(t, home, 2))
		})
	}
}

// forkedMemory is the memory of a witness that saw another ledger under the campaign's name.
func forkedMemory(t *testing.T) string {
	t.Helper()
	dir, home, h := t.TempDir(), t.TempDir(), newHost()
	h.witness = func(ctx context.Context, r io.Reader) ([]byte, error) { return aWitness(t, dir).Answer(ctx, r) }
	w := honest(t)
	w.add("rule.refused", loop.RuleRefused{Tool: "run_benchmark", Rule: "fair.every-side"})
	_, err := newLoop(t, home, h).WriteReport(t.Context(), w.in(home))
	require.NoError(t, err)
	return dir
}

// replayedAnswer answers every request with what the witness said of another ledger of that name.
func replayedAnswer(t *testing.T, dir string) func(context.Context, io.Reader) ([]byte, error) {
	t.Helper()
	var kept []byte
	home, h := t.TempDir(), newHost()
	h.witness = func(ctx context.Context, r io.Reader) ([]byte, error) {
		raw, err := aWitness(t, dir).Answer(ctx, r)
		kept = raw
		return raw, err
	}
	w := honest(t)
	w.add("rule.refused", loop.RuleRefused{Tool: "run_benchmark", Rule: "fair.every-side"})
	_, err := newLoop(t, home, h).WriteReport(t.Context(), w.in(home))
	require.NoError(t, err)
	require.NotEmpty(t, kept)
	return func(context.Context, io.Reader) ([]byte, error) { return kept, nil }
}
