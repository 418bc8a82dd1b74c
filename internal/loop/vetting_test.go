package loop_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// TestAProposalCanBeRead refuses what no human would read, before anything else is looked at.
func TestAProposalCanBeRead(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	id := honest(t).in(home)
	l := newLoop(t, home, newHost())
	many := make([]string, 41)
	for field, edit := range map[string]func(*loop.ProposeRequest){
		"rationale": func(r *loop.ProposeRequest) { r.Rationale = " \n" },
		"elsewhere": func(r *loop.ProposeRequest) { r.Elsewhere = strings.Repeat("x", 4001) },
		"rows":      func(r *loop.ProposeRequest) { r.Rows = many },
		"tests":     func(r *loop.ProposeRequest) { r.Tests = many },
		"diff":      func(r *loop.ProposeRequest) { r.Diff = strings.Repeat("+x\n", 1<<18) },
		"location":  func(r *loop.ProposeRequest) { r.Location = strings.Repeat("x", 501) },
	} {
		r := loop.ProposeRequest{Campaign: id, Diff: "d", Rows: []string{"r"}, Stage: "decode", Location: "x:1", Rationale: "because", PredictedGain: 0.1}
		edit(&r)
		_, err := l.Propose(t.Context(), r)
		f, ok := fault.As(err)
		require.True(t, ok, "%s: %v", field, err)
		require.Equal(t, fault.InvalidInput, f.Code, field)
		require.Equal(t, field, f.Field)
		require.NotEmpty(t, f.Hints, field)
	}
}
