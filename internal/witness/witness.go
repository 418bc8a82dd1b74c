// Package witness is somebody under another account who has seen a campaign's ledger: it signs the heads that it is shown,
// remembers the last one of each campaign, and never goes back or along a fork. What the lines mean is not its business,
// but for the campaign's name in the first one.
//
// # Protocol
//
// A client writes one line of JSON, a [Request], and behind it the ledger's lines from the one after Since to the head,
// byte for byte. It reads one line of JSON, an [Answer]: a signed [Statement], or why it was refused. The lines between
// prove that the new head extends the one that the witness knows: each line carries the hash of the one before.
package witness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/chain"
)

// Kinds and version of what is exchanged.
const (
	requestKind   = "sotaloop.witness.request"
	answerKind    = "sotaloop.witness.answer"
	StatementKind = "sotaloop.witness"
	Version       = 1
)

// Request begins what a client shows.
type Request struct {
	Kind     string `json:"kind"`
	V        int    `json:"v"`
	Campaign string `json:"campaign"`
	Since    int    `json:"since"` // the lines that follow begin behind this one; 0 is the whole ledger
	Head     string `json:"head"`  // hash of line Since, "" for 0
}

// Refusals of a witness.
const (
	RefusedMalformed = "malformed" // not a request, or lines that do not verify
	RefusedName      = "name"      // the ledger is another campaign's
	RefusedRollback  = "rollback"  // it ends before what was seen already
	RefusedFork      = "fork"      // it differs from what was seen already
	RefusedGap       = "gap"       // it begins behind what was seen: send from Have on
)

// Answer is what a witness says.
type Answer struct {
	Kind      string `json:"kind"`
	V         int    `json:"v"`
	Statement []byte `json:"statement,omitempty"` // the exact signed bytes; base64 in JSON
	Signature string `json:"signature,omitempty"` // armored SSHSIG in the namespace sotaloop-witness
	Refused   string `json:"refused,omitempty"`
	What      string `json:"what,omitempty"`
	Have      int    `json:"have,omitempty"` // the last line that was seen
}

// Statement is what a witness signs.
type Statement struct {
	Kind     string    `json:"kind"`
	V        int       `json:"v"`
	Campaign string    `json:"campaign"`
	Seq      int       `json:"seq"`  // of the last line that was seen
	Head     string    `json:"head"` // its hash
	First    string    `json:"first"`
	Time     time.Time `json:"time"` // when it was seen first, by the witness's clock; UTC
}

// campaignName keeps a name usable as a file's.
var campaignName = regexp.MustCompile(`^[0-9]{8}_[a-z0-9][a-z0-9._-]{0,150}$`)

// NewRequest renders what a client writes before the lines.
func NewRequest(campaign string, since chain.Head) ([]byte, error) {
	raw, err := json.Marshal(Request{Kind: requestKind, V: Version, Campaign: campaign, Since: since.Seq, Head: since.Hash})
	return append(raw, '\n'), err
}

// ParseAnswer reads an answer strictly.
func ParseAnswer(raw []byte) (Answer, error) {
	var a Answer
	if err := chain.Strict(bytes.TrimSpace(raw), &a); err != nil {
		return a, fmt.Errorf("the witness's answer: %w", err)
	}
	if a.Kind != answerKind || a.V != Version {
		return a, fmt.Errorf("the witness's answer is %q version %d, this release knows %q version %d", a.Kind, a.V, answerKind, Version)
	}
	return a, nil
}

// ParseStatement reads a statement strictly.
func ParseStatement(raw []byte) (Statement, error) {
	var s Statement
	if err := chain.Strict(bytes.TrimSpace(raw), &s); err != nil {
		return s, fmt.Errorf("the witness's statement: %w", err)
	}
	if s.Kind != StatementKind || s.V != Version {
		return s, fmt.Errorf("the witness's statement is %q version %d, this release knows %q version %d", s.Kind, s.V, StatementKind, Version)
	}
	return s, nil
}

// Inspect checks a statement's signature by its own key alone and gives that key's fingerprint: nobody vouches for it.
func Inspect(statement []byte, signature string) (string, error) {
	sig, err := gitops.InspectSignature(gitops.NamespaceWitness, statement, []byte(signature))
	if err != nil {
		return "", err
	}
	return sig.Fingerprint, nil
}
