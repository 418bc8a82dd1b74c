package loop_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// won opens a campaign and writes into its ledger that the target won.
func won(t *testing.T, home string, l *loop.Loop) loop.Opened {
	t.Helper()
	out, err := l.Open(t.Context(), request())
	require.NoError(t, err)
	c, err := contract.Parse(out.Contract)
	require.NoError(t, err)
	w := (&written{t: t, c: c}).flags("sglang", "vllm").searched("sglang", "vllm").blocks(8, 2).verdict("win")
	led, err := ledger.Open(out.RunDir, filepath.Join(home, "locks"), loop.Kinds)
	require.NoError(t, err)
	_, err = led.Append(t.Context(), func([]chain.Entry) ([]chain.Pending, error) { return w.pending, nil })
	require.NoError(t, err)
	return out
}

// counted is the family that a campaign's ledger holds, state by campaign.
func counted(t *testing.T, dir string) (states map[string]string, f *loop.FamilyCounted) {
	t.Helper()
	entries, _, err := chain.Read(filepath.Join(dir, ledger.ChainFile), loop.Kinds)
	require.NoError(t, err)
	st, err := loop.Replay(entries)
	require.NoError(t, err)
	require.NotNil(t, st.Family)
	states = map[string]string{}
	for _, c := range st.Family.Campaigns {
		states[c.Campaign] = c.State
	}
	return states, st.Family
}

// TestAReportCountsItsFamily opens several campaigns and shows one: its report lists the others, with one that measured
// nothing and one of another home, and not those on another model.
func TestAReportCountsItsFamily(t *testing.T) {
	t.Parallel()
	home, h := t.TempDir(), newHost()
	l := newLoop(t, home, h)
	first, shown := won(t, home, l), won(t, home, l)
	void, err := l.Open(t.Context(), request())
	require.NoError(t, err)
	other := "20260101_tiny_sota_loop"
	h.facts.Leased = []worker.Leased{{Campaign: shown.Campaign, Owner: "me"}, {Campaign: other, Owner: "somebody"}, {Campaign: "20260101_big_sota_loop", Owner: "me"}, {Campaign: "../../x", Owner: "x"}}
	out, err := l.WriteReport(t.Context(), shown.Campaign)
	require.NoError(t, err)
	states, f := counted(t, shown.RunDir)
	require.Equal(t, map[string]string{first.Campaign: "open", shown.Campaign: "open", void.Campaign: "void", other: "elsewhere"}, states)
	require.Equal(t, 3, f.Tried())
	require.Contains(t, out.Claim, "one of 3 campaigns tried")
	_, err = l.WriteReport(t.Context(), shown.Campaign)
	require.NoError(t, err)
	states, _ = counted(t, shown.RunDir)
	require.Equal(t, "reported", states[shown.Campaign])
}

// TestACampaignMadeAwayWithLeavesNoClaim deletes the run directory of a campaign that was opened before the one that is
// shown; with the directory back, the claim is.
func TestACampaignMadeAwayWithLeavesNoClaim(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	l := newLoop(t, home, newHost())
	lost, shown := won(t, home, l), won(t, home, l)
	aside := filepath.Join(t.TempDir(), "aside")
	require.NoError(t, os.Rename(lost.RunDir, aside))
	out, err := newLoop(t, home, newHost()).WriteReport(t.Context(), shown.Campaign)
	require.NoError(t, err)
	require.Contains(t, out.Claim, "verdict win, not the best observed: claim.family: ")
	require.Contains(t, out.Claim, lost.Campaign)

	require.NoError(t, os.Rename(aside, lost.RunDir))
	out, err = newLoop(t, home, newHost()).WriteReport(t.Context(), shown.Campaign)
	require.NoError(t, err)
	require.Contains(t, out.Claim, "best observed, reproducible performance")
}

// TestAHostThatIsNotThereIsSaid: a report is written all the same, and says what it could not ask.
func TestAHostThatIsNotThereIsSaid(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	shown := won(t, home, newLoop(t, home, newHost()))
	h := newHost()
	h.gone = true
	_, err := newLoop(t, home, h).WriteReport(t.Context(), shown.Campaign)
	require.NoError(t, err)
	_, f := counted(t, shown.RunDir)
	require.NotEmpty(t, f.HostProblem)
}

// TestARegistryThatLostItsLastLineIsRefused drops the newest campaign from the home's list.
func TestARegistryThatLostItsLastLineIsRefused(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	l := newLoop(t, home, newHost())
	shown := won(t, home, l)
	_, err := l.Open(t.Context(), request())
	require.NoError(t, err)
	name := filepath.Join(home, "campaigns.jsonl")
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	lines := bytes.SplitAfter(bytes.TrimSuffix(raw, []byte("\n")), []byte("\n"))
	require.NoError(t, os.WriteFile(name, bytes.Join(lines[:len(lines)-1], nil), 0o600))
	_, err = l.WriteReport(t.Context(), shown.Campaign)
	require.Error(t, err)
	require.NoError(t, os.WriteFile(name, raw, 0o600))
	_, err = l.WriteReport(t.Context(), shown.Campaign)
	require.NoError(t, err, "the honest twin: the list as it was")
}
