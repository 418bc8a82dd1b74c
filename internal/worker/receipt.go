package worker

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sotaloop/sotaloop/internal/chain"
)

// ReceiptKind and ReceiptVersion name the format of a receipt.
const (
	ReceiptKind    = "sotaloop.receipt"
	ReceiptVersion = 1
)

// Receipt is what the gate of a host's account signs about a run that has ended: which plan it was asked for, and the
// digest of all that its worker recorded. The events name every raw record by digest, every engine with its command line
// and identity, and the boot.
type Receipt struct {
	Kind           string    `json:"kind"`
	V              int       `json:"v"`
	Campaign       string    `json:"campaign"`
	ContractDigest string    `json:"contract_digest"`
	RunID          string    `json:"run_id"`
	Plan           string    `json:"plan_sha256"`    // of the plan as it was asked for, with its line feed
	Events         string    `json:"events_sha256"`  // of the run's events, as they lie on the host
	Count          int       `json:"events"`         // how many
	State          string    `json:"state"`          // how the run ended, as in Status
	Program        string    `json:"program_sha256"` // of the gate's own program, which was the worker
	BootID         string    `json:"boot_id"`        // of the host when it signed
	Runs           []string  `json:"runs"`           // every run of this contract that the account holds, sorted
	Gate           GateTerms `json:"gate"`
	Time           time.Time `json:"time"` // by the host's clock, UTC
}

// GateTerms is what else the account's owner lets in.
type GateTerms struct {
	TrustRemoteCode bool     `json:"trust_remote_code"` // code of checkpoints may run in the account
	Env             []string `json:"env"`               // variables that a plan may set, beside the adapters'
}

// SignedReceipt is a receipt's exact bytes with their signature.
type SignedReceipt struct {
	Statement []byte `json:"statement"` // base64 in JSON
	Signature string `json:"signature"` // armored SSHSIG, namespace sotaloop-receipt
}

// ParseReceipt reads a receipt strictly.
func ParseReceipt(raw []byte) (Receipt, error) {
	var r Receipt
	if err := chain.Strict(bytes.TrimSpace(raw), &r); err != nil {
		return r, fmt.Errorf("the receipt: %w", err)
	}
	if r.Kind != ReceiptKind || r.V != ReceiptVersion {
		return r, fmt.Errorf("the receipt is %q version %d, this release knows %q version %d", r.Kind, r.V, ReceiptKind, ReceiptVersion)
	}
	return r, nil
}

// EventsFile is where a run's events lie in its folder, as Fetch and receipts name them.
const EventsFile = eventsFile

// ParseEvents reads a run's events; every line has to be whole and in order.
func ParseEvents(raw []byte) ([]Event, error) {
	events := []Event{}
	for line := range bytes.Lines(raw) {
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("event %d: %w", len(events)+1, err)
		}
		if events = append(events, e); e.Seq != len(events) || line[len(line)-1] != '\n' {
			return nil, fmt.Errorf("event %d is not in order, or torn", len(events))
		}
	}
	return events, nil
}

// Receipt asks the account's gate to sign for a run that has ended. An account without a gate, or whose gate has no key,
// is a fault.Denied.
func (c *Client) Receipt(ctx context.Context, runID string) (SignedReceipt, error) {
	var r SignedReceipt
	err := c.call(ctx, VerbReceipt, runRequest{Workdir: c.workdir, RunID: runID}, &r)
	return r, err
}
