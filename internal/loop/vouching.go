package loop

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/jobs"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// ReceiptRecorded is what the gate of the host's account signed about a run, with the run's events as they lie there.
type ReceiptRecorded struct {
	RunID     string          `json:"run_id"`
	Statement []byte          `json:"statement"` // the exact signed bytes; base64 in JSON
	Signature string          `json:"signature"` // armored SSHSIG
	Key       string          `json:"key"`       // fingerprint, as the signature claims it
	Events    ledger.Artifact `json:"events"`
}

// Receipted reads a receipt and holds it against what it is of: contract, plan, run and events. Whose key signed it is not
// judged here.
func (s *State) Receipted(r ReceiptRecorded) (worker.Receipt, error) {
	x, err := worker.ParseReceipt(r.Statement)
	if err != nil {
		return x, err
	}
	plan, planned := s.Plans[r.RunID]
	for _, f := range []struct{ what, signed, here string }{
		{"campaign", x.Campaign, s.Contract.Campaign}, {"contract", x.ContractDigest, s.Digest}, {"run", x.RunID, r.RunID},
		{"plan", x.Plan, plan.Plan.SHA256}, {"events", x.Events, r.Events.SHA256},
	} {
		if f.signed != f.here {
			return x, fmt.Errorf("the receipt is of %s %.40q, here it is %.40q", f.what, f.signed, f.here)
		}
	}
	if !planned {
		return x, fmt.Errorf("run %q is in no plan before it", r.RunID)
	}
	if end, over := s.Runs[r.RunID]; over && !sameEnd(x.State, end) {
		return x, fmt.Errorf("the host says that run %q ended as %s, the ledger as %s", r.RunID, x.State, end.State)
	}
	return x, nil
}

// sameEnd says whether a run ended as its host says. The ledger calls runs failed whose launches did not all get an end.
func sameEnd(signed string, end RunEnded) bool {
	return signed == end.State || signed == worker.StateDone && end.State == worker.StateFailed || signed != worker.StateDone && end.State == worker.StateCanceled
}

// Unknown gives the runs of this contract that the host has and the ledger does not: measured, and not shown.
func (s *State) Unknown(r worker.Receipt) []string {
	return slices.DeleteFunc(slices.Clone(r.Runs), func(id string) bool { _, ok := s.Plans[id]; return ok })
}

// ReceiptSigner checks a receipt's signature by the key that the contract froze, and gives the key's fingerprint.
func (s *State) ReceiptSigner(r ReceiptRecorded) (string, error) {
	allowed, err := gitops.ParseAllowedSigners([]byte(fmt.Sprintf("host namespaces=%q %s\n", gitops.NamespaceReceipt, s.Contract.Host.ReceiptKey)))
	if err != nil {
		return "", err
	}
	sig, err := gitops.Trust{Allowed: allowed}.Verify(gitops.Claim{Namespace: gitops.NamespaceReceipt}, r.Statement, []byte(r.Signature))
	if err != nil {
		return "", err
	}
	return sig.Fingerprint, nil
}

// keepReceipt asks the host's gate to sign for a run that has ended, where the contract says by which key, and records
// what holds. A host that signs nothing is told, and costs the level; only one that cannot be reached is an error.
func (c *campaign) keepReceipt(ctx context.Context, client *worker.Client, runID string, p *jobs.Progress) error {
	st, err := c.state()
	if err != nil || st.Contract.Host.ReceiptKey == "" || st.has(kindReceipt, runID) {
		return err
	}
	rec, err := c.fetchReceipt(ctx, client, st, runID)
	if err == nil {
		return c.once(ctx, kindReceipt, runID, rec)
	}
	if fault.CodeOf(err) == fault.HostUnreachable || ctx.Err() != nil {
		return err
	}
	c.loop.opt.Log.Warn("receipt", "campaign", c.id, "run", runID, "err", err)
	p.Log("the host gave no receipt for run " + runID + ": " + short(c.loop.opt.Redact.String(err.Error()), 300))
	return nil
}

// fetchReceipt brings a receipt and the events that it is about.
func (c *campaign) fetchReceipt(ctx context.Context, client *worker.Client, st *State, runID string) (ReceiptRecorded, error) {
	signed, err := client.Receipt(ctx, runID)
	if err != nil {
		return ReceiptRecorded{}, err
	}
	rec := ReceiptRecorded{RunID: runID, Statement: signed.Statement, Signature: signed.Signature}
	x, err := worker.ParseReceipt(signed.Statement)
	if err != nil {
		return rec, err
	}
	if rec.Key, err = st.ReceiptSigner(rec); err != nil {
		return rec, err
	}
	if unknown := st.Unknown(x); len(unknown) > 0 {
		return rec, fmt.Errorf("the host holds %d runs of this contract that its ledger does not know, the first %s", len(unknown), unknown[0])
	}
	rec.Events, err = c.fetch(ctx, client, runID, worker.File{Name: worker.EventsFile, SHA256: x.Events}, "benchmark/receipts/"+runID+".events.jsonl")
	if err != nil {
		return rec, err
	}
	_, err = st.Receipted(rec)
	return rec, err
}

// Levels of a host.
const (
	hostProtected   = "host: protected"
	hostUnprotected = "host: unprotected"
)

// HostLevel says whether the host's own account signed for everything that was measured.
func (s *State) HostLevel() string {
	if s.Contract.Host.ReceiptKey == "" {
		return hostUnprotected + " (hosts.yaml named no key for receipts of its account)"
	}
	missing, patched := s.Unreceipted()
	key := ""
	for _, id := range s.order {
		if r, ok := s.Receipts[id]; ok {
			key = r.Key
		}
	}
	switch {
	case key == "":
		return hostUnprotected + " (its account signed no receipt)"
	case len(missing) > 0:
		return fmt.Sprintf("%s (%d of %d runs have no receipt of its account, the first %s)", hostUnprotected, len(missing), len(s.Runs), missing[0])
	case patched > 0:
		return hostProtected + " before the patch, unprotected with it (a patch's code runs in the account that would sign; receipts by " + key + ")"
	}
	return hostProtected + " (every measured row has a receipt by " + key + ", which hosts.yaml named)"
}

// Unreceipted names the runs with an end or a measured row that no receipt is of, and counts apart those that ran a patch's
// code, for which no account can vouch.
func (s *State) Unreceipted() (missing []string, patched int) {
	trees, ended, of := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, l := range s.Launches {
		ended[l.RunID], of[l.Launch] = true, true
		trees[l.RunID] = trees[l.RunID] || l.Tree != ""
	}
	for _, id := range s.order {
		_, over := s.Runs[id]
		_, signed := s.Receipts[id]
		switch {
		case !over && !ended[id] || signed:
		case trees[id] || strings.HasPrefix(s.Plans[id].Job, "revalidate/"):
			patched++
		default:
			missing = append(missing, id)
		}
	}
	for _, p := range s.Points {
		if !of[p.Row.LaunchID] {
			missing = append(missing, "that of "+p.Key)
		}
	}
	return missing, patched
}

// SignedRow is the row that a point's signed event gives. pinned is that of its launch's start.
func (s *State) SignedRow(l worker.Launch, p worker.Point, pinned *worker.Pinning, e worker.Event, p0 PointMeasured) PointMeasured {
	want := PointMeasured{Row: measuredRow(s, &launchSoFar{spec: l, pinned: pinned}, p, e), Repeated: e.Repeated}
	if p0.Row.Audit == nil || want.Row.Audit == nil {
		return want
	}
	want.Row.Audit.Reasons = p0.Row.Audit.Reasons // worded by releases
	return want
}

// LostRow is the row of a point that a launch's failure cost.
func (s *State) LostRow(l worker.Launch, p worker.Point, why *worker.Failure) compare.Row {
	return failedRow(s, &launchSoFar{spec: l}, p, why)
}
