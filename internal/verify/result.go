package verify

import (
	"fmt"
	"time"
)

// Result is what was checked and what was found.
type Result struct {
	Path     string      `json:"path"`
	Campaign string      `json:"campaign"`
	Bundle   string      `json:"bundle,omitempty"` // digest in which the bundle ends, where it is one
	Entries  int         `json:"entries"`
	Head     string      `json:"head"` // hash of the ledger's last line
	OK       bool        `json:"ok"`
	First    *Difference `json:"first_difference"`
	Checks   []Check     `json:"checks"`
	Seal     *Seal       `json:"seal"` // null: unsealed
	// Witnessed are the newest answers of each witness.
	Witnessed []Witnessed `json:"witnessed"`
	// Approvals are the decisions on patches in the order of the ledger.
	Approvals []Approval `json:"approvals"`
	Levels    []string   `json:"levels"`  // what a reader may rely on; none where something differs
	Lacking   []string   `json:"lacking"` // requirements that do not hold
	Notes     []string   `json:"notes"`   // facts that are no difference
}

// Check is one group of checks. It ends at its first difference.
type Check struct {
	Name    string `json:"name"`
	OK      bool   `json:"ok"`
	What    string `json:"what"` // what was compared, with counts
	Problem string `json:"problem,omitempty"`
}

// Seal is the newest statement that a report ends in.
type Seal struct {
	Lines     int    `json:"lines"` // of the ledger, before the seal's own entry
	Head      string `json:"head"`
	Statement string `json:"statement"` // sha256
	Files     int    `json:"files"`
	Later     int    `json:"later"`     // entries behind the seal, witnesses' answers not counted
	Signature string `json:"signature"` // none, verifies, or why it was not checked
	Principal string `json:"principal,omitempty"`
	Key       string `json:"key,omitempty"` // fingerprint
}

// Witnessed is a ledger's head that somebody else has seen.
type Witnessed struct {
	Seq       int       `json:"seq"`  // the line that was seen last
	Time      time.Time `json:"time"` // by the witness's clock
	Key       string    `json:"key"`  // fingerprint
	Principal string    `json:"principal,omitempty"`
	Verified  bool      `json:"verified"` // against the witnesses file that was given
}

// Approval is a recorded decision and how far it could be checked.
type Approval struct {
	Proposal    string `json:"proposal"`
	Decision    string `json:"decision"`
	Principal   string `json:"principal"`
	Level       string `json:"level"`     // as the server recorded it
	Signature   string `json:"signature"` // verifies, or why it was not checked
	Verified    bool   `json:"verified"`  // against the approvers file that was given
	Fingerprint string `json:"fingerprint,omitempty"`
	Touched     bool   `json:"touched,omitempty"` // a security key with presence
	LevelWhy    string `json:"level_why,omitempty"`
	// KeyRecorded and KeyNow say how the key stands in the given approvers file: when the decision was recorded, and now.
	KeyRecorded string `json:"key_recorded,omitempty"`
	KeyNow      string `json:"key_now,omitempty"`
}

// RuleReproducible is the rule that a difference breaks.
const RuleReproducible = "claim.reproducible"

// Difference is the first thing that does not hold.
type Difference struct {
	Rule  string `json:"rule"`
	Check string `json:"check"`
	What  string `json:"what"`
}

func newResult(path string) *Result {
	return &Result{Path: path, Checks: []Check{}, Witnessed: []Witnessed{}, Approvals: []Approval{}, Levels: []string{}, Lacking: []string{}, Notes: []string{}}
}

func (r *Result) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}
