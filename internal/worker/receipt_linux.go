package worker

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// noGate is the answer to VerbReceipt where no gate stands before the account.
func noGate() error {
	return fault.New(fault.Denied, "no gate stands before this account, and its own word for its runs would be worth nothing").ByRule(ruleGated).
		Hint("the owner of the host's account sets one up: docs/THREAT_MODEL.md, a protected host in ten minutes")
}

// receipt signs for a run that has ended. It is carried out by the gate itself: nothing that it starts is given the key.
func (k *Keeper) receipt(raw []byte, program string) (any, error) {
	var q runRequest
	if err := json.Unmarshal(raw, &q); err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "the request cannot be read")
	}
	if k.Sign == nil {
		return nil, refused("this account's gate has no key to sign receipts with").Hint("its owner adds --receipt-key FILE to the gate's line")
	}
	dir, err := runPath(k.Workdir, q.RunID)
	if err != nil {
		return nil, err
	}
	r, err := receiptOf(k.Workdir, dir, q.RunID)
	if err != nil {
		return nil, err
	}
	r.Program, r.Gate = program, GateTerms{TrustRemoteCode: k.Trust, Env: append([]string{}, k.Env...)}
	statement, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	signature, err := k.Sign(statement)
	if err != nil {
		return nil, fault.Wrap(fault.Denied, err, "the receipt of run %q cannot be signed", q.RunID)
	}
	return SignedReceipt{Statement: statement, Signature: string(signature)}, nil
}

// receiptOf says what lies in a run's folder.
func receiptOf(workdir, dir, id string) (Receipt, error) {
	var r Receipt
	switch st := statusOf(dir, id, 0); st.State {
	case StateAbsent:
		return r, fault.New(fault.NotFound, "no run %q", id).At("run_id", id)
	case StateStarting, StateRunning:
		return r, fault.New(fault.Busy, "run %q has not ended", id).At("run_id", id).Hint("ask again when it has")
	default:
		r.State = st.State
	}
	var p Plan
	if err := readJSON(filepath.Join(dir, planFile), &p); err != nil {
		return r, fault.Wrap(fault.Corrupt, err, "the plan of run %q cannot be read", id)
	}
	if len(p.Tests) > 0 {
		return r, refused("run %q ran tests of a source tree: they could have read this account's key, and what it recorded is not vouched for", id).At("tests", p.Tests[0].ID)
	}
	for _, l := range p.Launches {
		if l.Overlay != nil {
			return r, refused("run %q ran a source tree: code of a patch could have read this account's key, and what it recorded is not vouched for", id).At("launches.overlay", l.Overlay.Tree)
		}
	}
	if p.Asked == "" {
		return r, fault.New(fault.NotFound, "run %q was prepared by a worker that kept no digest of its plan", id).At("run_id", id)
	}
	events, err := os.ReadFile(filepath.Join(dir, eventsFile))
	if err != nil {
		return r, fault.Wrap(fault.NotFound, err, "run %q has no events", id)
	}
	list, err := ParseEvents(events)
	if err != nil {
		return r, fault.Wrap(fault.Corrupt, err, "the events of run %q are damaged", id)
	}
	sum := sha256.Sum256(events)
	r.Kind, r.V, r.Campaign, r.ContractDigest, r.RunID = ReceiptKind, ReceiptVersion, p.Campaign, p.ContractDigest, p.RunID
	r.Plan, r.Events, r.Count = p.Asked, hex.EncodeToString(sum[:]), len(list)
	r.BootID, r.Time, r.Runs = bootID(), time.Now().UTC(), runsOf(workdir, p.ContractDigest)
	return r, nil
}

// runsOf lists the runs of a contract that a workdir holds: one that is in no ledger was measured and not shown.
func runsOf(workdir, contract string) []string {
	out := []string{}
	folders, _ := os.ReadDir(filepath.Join(workdir, runsDir))
	for _, f := range folders {
		var p struct {
			RunID          string `json:"run_id"`
			ContractDigest string `json:"contract_digest"`
		}
		if readJSON(filepath.Join(workdir, runsDir, f.Name(), planFile), &p) == nil && p.ContractDigest == contract {
			out = append(out, p.RunID)
		}
	}
	slices.Sort(out)
	return out
}

// digestAsked is the digest of a plan as it was asked for: that of the artifact which the ledger names.
func digestAsked(request []byte) string {
	sum := sha256.Sum256(append(bytes.TrimSpace(request), '\n'))
	return hex.EncodeToString(sum[:])
}
