package worker_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// receiptKey writes a key file and gives the line that allows it to sign receipts.
func receiptKey(t *testing.T) (path string, allowed *gitops.AllowedSigners) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	block, err := ssh.MarshalPrivateKey(key, "")
	require.NoError(t, err)
	path = filepath.Join(t.TempDir(), "receipts")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	allowed, err = gitops.ParseAllowedSigners([]byte("host namespaces=\"sotaloop-receipt\" " + string(ssh.MarshalAuthorizedKey(signer.PublicKey()))))
	require.NoError(t, err)
	return path, allowed
}

// TestTheGateSignsForWhatItsAccountMeasured goes through a real sshd: a run, its receipt, and all that it is about.
func TestTheGateSignsForWhatItsAccountMeasured(t *testing.T) {
	t.Parallel()
	key, allowed := receiptKey(t)
	g := newSigningRig(t, key)
	ctx := t.Context()
	p := g.planned("run1", g.launch(t))
	p.ContractDigest = "c0ffee"
	_, err := g.client.Receipt(ctx, "run1")
	require.Equal(t, fault.NotFound, fault.CodeOf(err), "%v", err)
	require.NoError(t, g.client.Start(ctx, p, nil))
	if _, err = g.client.Receipt(ctx, "run1"); err != nil { // it may have ended in between
		require.Equal(t, fault.Busy, fault.CodeOf(err))
	}
	st := g.finish("run1")
	signed, err := g.client.Receipt(ctx, "run1")
	require.NoError(t, err)
	_, err = gitops.VerifySignature(allowed, gitops.NamespaceReceipt, signed.Statement, []byte(signed.Signature), time.Now())
	require.NoError(t, err)
	r, err := worker.ParseReceipt(signed.Statement)
	require.NoError(t, err)
	asked, err := json.Marshal(p)
	require.NoError(t, err)
	require.Equal(t, digest(string(asked)+"\n"), r.Plan, "what the server keeps as the plan's artifact")
	var events bytes.Buffer
	require.NoError(t, g.client.Fetch(ctx, "run1", worker.EventsFile, &events))
	require.Equal(t, digest(events.String()), r.Events)
	list, err := worker.ParseEvents(events.Bytes())
	require.NoError(t, err)
	require.Equal(t, st.Events, list)
	require.Len(t, list, r.Count)
	binary, err := os.Executable()
	require.NoError(t, err)
	program, err := os.ReadFile(binary)
	require.NoError(t, err)
	require.Equal(t, digest(string(program)), r.Program)
	require.NotEmpty(t, r.BootID)
	require.Equal(t, []string{"run1", worker.StateDone, "camp", "c0ffee"}, []string{r.RunID, r.State, r.Campaign, r.ContractDigest})
	require.Equal(t, []string{"run1"}, r.Runs)

	for _, id := range []string{"run0", "run2"} { // one of another contract, and one that is only prepared
		more := g.planned(id, g.launch(t))
		if more.ContractDigest = "c0ffee"; id == "run0" {
			more.ContractDigest = "other"
		}
		g.prepare(t, more)
	}
	signed, err = g.client.Receipt(ctx, "run1")
	require.NoError(t, err)
	r, err = worker.ParseReceipt(signed.Statement)
	require.NoError(t, err)
	require.Equal(t, []string{"run1", "run2"}, r.Runs, "runs of the contract that no ledger shows are told")
}

// prepare asks for a run without starting it.
func (g *gatedRig) prepare(t *testing.T, p worker.Plan) {
	t.Helper()
	raw, err := json.Marshal(p)
	require.NoError(t, err)
	res, err := g.conn.Run(t.Context(), hosts.Cmd{Argv: []string{g.path, "worker", worker.VerbPrepare}, Stdin: bytes.NewReader(raw)})
	require.NoError(t, err)
	require.True(t, res.IsSuccess(), string(res.Stderr))
	require.NotContains(t, string(res.Stdout), `"fault"`)
}

// TestTheGateSignsForNothingElse plays whoever has the server's key and would like a receipt.
func TestTheGateSignsForNothingElse(t *testing.T) {
	t.Parallel()
	key, _ := receiptKey(t)
	g := newSigningRig(t, key)
	ctx := t.Context()
	p := g.planned("run1", g.launch(t))
	require.NoError(t, g.client.Start(ctx, p, nil))
	g.finish("run1")
	other := g.planned("run1", g.launch(t))
	other.StopGrace++
	require.Equal(t, fault.Conflict, fault.CodeOf(g.client.Start(ctx, other, nil)), "another plan under this name")
	signed, err := g.client.Receipt(ctx, "run1")
	require.NoError(t, err)
	r, err := worker.ParseReceipt(signed.Statement)
	require.NoError(t, err)
	asked, err := json.Marshal(p)
	require.NoError(t, err)
	require.Equal(t, digest(string(asked)+"\n"), r.Plan, "the plan that was carried out, not the last that was asked for")

	named := g.planned("run3", g.launch(t))
	named.Asked = strings.Repeat("a", 64)
	g.prepare(t, named)
	var kept worker.Plan
	raw, err := os.ReadFile(filepath.Join(g.workdir, "runs", "run3", "plan.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &kept))
	require.NotEqual(t, named.Asked, kept.Asked, "a caller's word for the digest of its plan")

	dir := filepath.Join(g.workdir, "runs", "run1")
	plan, err := os.ReadFile(filepath.Join(dir, "plan.json"))
	require.NoError(t, err)
	for name, x := range map[string]struct {
		file string
		old  string
		new  string
		code fault.Code
	}{
		"a run that ran a tree": {"plan.json", `"overlay"`, `"overlay"`, fault.Denied},
		"a run of before":       {"plan.json", `"asked_sha256":"` + r.Plan + `"`, `"asked_sha256":""`, fault.NotFound},
		"events in disorder":    {"events.jsonl", `"seq":2,`, `"seq":7,`, fault.Corrupt},
	} {
		text, err := os.ReadFile(filepath.Join(dir, x.file))
		require.NoError(t, err)
		edited := strings.Replace(string(text), x.old, x.new, 1)
		if x.code == fault.Denied {
			edited = strings.Replace(string(plan), `"protocol":`, `"overlay":{"tree":"abc"},"protocol":`, 1)
		}
		require.NotEqual(t, string(text), edited, name)
		require.NoError(t, os.WriteFile(filepath.Join(dir, x.file), []byte(edited), 0o600))
		_, err = g.client.Receipt(ctx, "run1")
		require.Error(t, err, name)
		if x.code != fault.Corrupt { // torn events may as well make it a run without an end
			require.Equal(t, x.code, fault.CodeOf(err), "%s: %v", name, err)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, x.file), text, 0o600))
	}
	_, err = g.client.Receipt(ctx, "../run1")
	require.Error(t, err)
	_, err = worker.NewClient(g.conn, g.path, "/tmp/x").Receipt(ctx, "run1")
	require.Equal(t, fault.Denied, fault.CodeOf(err), "another workdir")
}

func TestNobodySignsWithoutAGateOrAKey(t *testing.T) {
	t.Parallel()
	_, err := newRig(t, nil).client.Receipt(t.Context(), "run1")
	f, ok := fault.As(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "host.gated", f.Rule)
	require.Contains(t, f.Message, "no gate stands before this account")
	g := newGatedRig(t)
	_, err = g.client.Receipt(t.Context(), "run1")
	f, ok = fault.As(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, "host.gated", f.Rule)
	require.Contains(t, slices.Concat(f.Hints), "its owner adds --receipt-key FILE to the gate's line")
	sign := func([]byte) ([]byte, error) { return nil, nil }
	_, err = worker.NewKeeper(worker.Keeper{Workdir: "/w", LeaseDir: "/l", Overlays: true, Sign: sign}, nil)
	require.ErrorContains(t, err, "a gate that takes source trees signs no receipts")
	_, err = worker.NewKeeper(worker.Keeper{Workdir: "/w", LeaseDir: "/l", Sign: sign}, nil)
	require.NoError(t, err)
}

func TestParseEventsRefusesWhatIsNotWhole(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"x\n", `{"seq":2}` + "\n", `{"seq":1}`, `{"seq":1}` + "\n" + `{"seq":1}` + "\n"} {
		_, err := worker.ParseEvents([]byte(text))
		require.Error(t, err, text)
	}
	events, err := worker.ParseEvents(nil)
	require.NoError(t, err)
	require.Empty(t, events)
}
