package verify_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/verify"
)

func check(t *testing.T, dir string, opt verify.Options) *verify.Result {
	t.Helper()
	res, err := verify.Path(t.Context(), dir, opt)
	require.NoError(t, err)
	return res
}

func TestAnHonestCampaignVerifies(t *testing.T) {
	t.Parallel()
	dir, approvers := build(t, 6)
	res := check(t, dir, verify.Options{Require: []string{verify.RequireApproval, verify.RequireWitness}})
	require.Nil(t, res.First)
	require.True(t, res.OK)
	require.Equal(t, campaignID, res.Campaign)
	require.Equal(t, []string{"consistent", "sealed", "unwitnessed", "host: unprotected (hosts.yaml named no key for receipts of its account)",
		"approval of patch-1 agent-reachable (a test's key)", "simulated"}, res.Levels)
	require.False(t, res.Approvals[0].Verified, "no key of the directory is trusted")
	require.Len(t, res.Lacking, 2)
	require.Empty(t, res.Notes)
	for _, c := range res.Checks {
		require.True(t, c.OK, c.Name)
		require.NotEmpty(t, c.What, c.Name)
	}
	require.Contains(t, res.Checks[6].What, "50 rows from 1810 raw requests")

	res = check(t, dir, verify.Options{Approvers: approvers, Require: []string{verify.RequireApproval}})
	require.True(t, res.OK)
	require.Empty(t, res.Lacking)
	require.True(t, res.Approvals[0].Verified)
	require.Contains(t, res.Levels, "approval of patch-1 verified")
}

func TestOtherApproversDoNotVerify(t *testing.T) {
	t.Parallel()
	dir, approvers := campaign(t)
	for name, file := range map[string][]byte{
		"another namespace": bytes.Replace(approvers, []byte("sotaloop-approval"), []byte("git"), 1),
		"nobody":            {},
	} {
		res := check(t, dir, verify.Options{Approvers: file})
		require.NotNil(t, res.First, name)
		require.Equal(t, "patches", res.First.Check, name)
	}
	_, key, _ := strings.Cut(string(approvers), " ")
	_, key, _ = strings.Cut(key, " ")
	for name, opt := range map[string]verify.Options{
		"key is revoked":   {Approvers: approvers, Revoked: []byte(key)},
		"valid only after": {Approvers: bytes.Replace(approvers, []byte("namespaces="), []byte(`valid-after="20300101Z",namespaces=`), 1)},
		"not for":          {Approvers: bytes.Replace(approvers, []byte("engineer "), []byte("somebody "), 1)},
		"revoked keys":     {Approvers: approvers, Revoked: []byte("who knows\n")},
	} {
		res := check(t, dir, opt)
		require.NotNil(t, res.First, name)
		require.Contains(t, res.First.What, name)
	}
	since := bytes.Replace(approvers, []byte("namespaces="), []byte(`valid-before="20261123180000Z",namespaces=`), 1)
	ended := check(t, dir, verify.Options{Approvers: since})
	require.Nil(t, ended.First, "it was good when the decision was recorded")
	require.True(t, ended.Approvals[0].Verified)
	require.Contains(t, ended.Approvals[0].KeyNow, "not allowed any more")
	require.Contains(t, strings.Join(ended.Notes, "\n"), "allowed when it was recorded and is not any more")
	res := check(t, dir, verify.Options{Approvers: []byte("not a signers file\n")})
	require.Contains(t, res.First.What, "approvers file")
}

func TestADirectoryWithoutLedgerIsNamed(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	for path, says := range map[string]string{empty: "holds no ledger.jsonl", filepath.Join(empty, "none"): "does not exist"} {
		_, err := verify.Path(t.Context(), path, verify.Options{})
		f, ok := fault.As(err)
		require.True(t, ok, "%v", err)
		require.Equal(t, fault.NotFound, f.Code)
		require.Contains(t, f.Message, says)
		require.NotEmpty(t, f.Hints)
	}
	_, err := verify.Path(t.Context(), empty, verify.Options{Require: []string{"luck"}})
	require.ErrorContains(t, err, `unknown requirement "luck"`)
}

func TestPlainDamageIsFound(t *testing.T) {
	t.Parallel()
	lines := func(name string, change func([][]byte) [][]byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			raw, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(t, err)
			all := bytes.SplitAfter(raw, []byte("\n"))
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), bytes.Join(change(all[:len(all)-1]), nil), 0o600))
		}
	}
	n := 0
	for name, c := range map[string]struct {
		check  string
		damage func(t *testing.T, dir string)
	}{
		"last ledger line deleted":         {"ledger", lines("ledger.jsonl", func(l [][]byte) [][]byte { return l[:len(l)-1] })},
		"first ledger line deleted":        {"ledger", lines("ledger.jsonl", func(l [][]byte) [][]byte { return l[1:] })},
		"a line repeated":                  {"ledger", lines("ledger.jsonl", func(l [][]byte) [][]byte { return append(l, l[len(l)-1]) })},
		"head deleted":                     {"ledger", func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "head.json"))) }},
		"report deleted":                   {"artifacts", func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "final_report.md"))) }},
		"contract projection gone":         {"contract", func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "contract.json"))) }},
		"a row left out of the projection": {"projections", lines("benchmark/candidates.jsonl", func(l [][]byte) [][]byte { return append(l[:3], l[4:]...) })},
		"the last row left out":            {"projections", lines("benchmark/candidates.jsonl", func(l [][]byte) [][]byte { return l[:len(l)-1] })},
		"the projection emptied":           {"projections", lines("benchmark/candidates.jsonl", func([][]byte) [][]byte { return nil })},
		"a foreign file": {"files", func(t *testing.T, dir string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "benchmark", "extra.jsonl"), []byte("{}\n"), 0o600))
		}},
		"an artifact that is a link": {"artifacts", func(t *testing.T, dir string) {
			file := filepath.Join(dir, "manifest.txt")
			require.NoError(t, os.Rename(file, filepath.Join(dir, "..", "elsewhere")))
			require.NoError(t, os.Symlink("../elsewhere", file))
		}},
		"a foreign link": {"files", func(t *testing.T, dir string) { require.NoError(t, os.Symlink("/etc", filepath.Join(dir, "etc"))) }},
	} {
		if n++; n%sample != 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _ := campaign(t)
			c.damage(t, dir)
			res := check(t, dir, verify.Options{})
			require.NotNil(t, res.First)
			require.Equal(t, c.check, res.First.Check, res.First.What)
			require.NotContains(t, res.First.What, filepath.Dir(dir), "no path of this machine")
		})
	}
}

func TestWhatIsNoDamageIsNoted(t *testing.T) {
	t.Parallel()
	dir, _ := campaign(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "notes"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes", "mine.txt"), []byte("a reader's own\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "benchmark", ".DS_Store"), []byte{0}, 0o600))
	ledger, err := os.OpenFile(filepath.Join(dir, "ledger.jsonl"), os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	_, err = ledger.WriteString(`{"kind":"point.mea`)
	require.NoError(t, err)
	require.NoError(t, ledger.Close())
	res := check(t, dir, verify.Options{})
	require.Nil(t, res.First)
	require.Len(t, res.Notes, 3)
	require.Contains(t, res.Notes[0], "18 bytes behind the ledger's last line")
}

func TestAnotherReleasesWordsAreNoDifference(t *testing.T) {
	t.Parallel()
	dir, _ := campaign(t)
	forge(t, dir, replaced(t, dir, "final_report.md", func(raw []byte) []byte { return bytes.Replace(raw, []byte("## Setup"), []byte("## The setup"), 1) }))
	require.Equal(t, "report", check(t, dir, verify.Options{Version: release}).First.Check)
	res := check(t, dir, verify.Options{Version: "9.0.0"})
	require.Nil(t, res.First)
	require.Contains(t, res.Notes[0], "written by sotaloop 0.1.0-test and is worded otherwise by 9.0.0")
}
