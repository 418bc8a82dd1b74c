package gitops

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Kind and version of a statement.
const (
	StatementKind    = "sotaloop.approval"
	StatementVersion = 1
)

// Decision is approve or reject.
type Decision string

// The decisions.
const (
	Approve Decision = "approve"
	Reject  Decision = "reject"
)

// Permits is what an approval allows to happen. Push is always false: nothing is ever pushed.
type Permits struct {
	Host     string   `json:"host"`
	Account  string   `json:"account"`
	Commands []string `json:"commands"`
	Push     bool     `json:"push"`
}

// Statement is what an approver signs: the decision and everything it rests on, the whole diff included. Digests and
// ids are the writers' strings and are compared as such.
type Statement struct {
	Decision        Decision
	Nonce           string    // single use, at least 16 characters
	Created         time.Time // recorded in UTC, to the second
	Expires         time.Time
	Principal       string
	Campaign        string
	Proposal        string
	ContractDigest  string
	PolicyDigest    string
	ApproversDigest string
	LedgerHead      string
	RootCommit      string
	BaseCommit      string
	BaseTree        string
	ResultTree      string
	Branch          string
	Diff            []byte // Proposed.Diff, every byte
	EvidenceDigests []string
	VerdictDigest   string
	SymptomDigest   string
	PredictedGain   float64 // ratio - 1
	Permits         Permits
}

// statementWire is the JSON form. A diff that is not UTF-8 travels as base64: JSON strings would change it.
type statementWire struct {
	Kind            string    `json:"kind"`
	V               int       `json:"v"`
	Decision        Decision  `json:"decision"`
	Nonce           string    `json:"nonce"`
	Created         time.Time `json:"created"`
	Expires         time.Time `json:"expires"`
	Principal       string    `json:"principal"`
	Campaign        string    `json:"campaign"`
	Proposal        string    `json:"proposal"`
	ContractDigest  string    `json:"contract_digest"`
	PolicyDigest    string    `json:"policy_digest"`
	ApproversDigest string    `json:"approvers_digest"`
	LedgerHead      string    `json:"ledger_head"`
	RootCommit      string    `json:"root_commit"`
	BaseCommit      string    `json:"base_commit"`
	BaseTree        string    `json:"base_tree"`
	ResultTree      string    `json:"result_tree"`
	Branch          string    `json:"branch"`
	EvidenceDigests []string  `json:"evidence_digests"`
	VerdictDigest   string    `json:"verdict_digest"`
	SymptomDigest   string    `json:"symptom_digest"`
	PredictedGain   float64   `json:"predicted_gain"`
	Permits         Permits   `json:"permits"`
	DiffEncoding    string    `json:"diff_encoding"` // utf-8 or base64
	Diff            string    `json:"diff"`
}

// Bytes renders the statement: JSON with fixed order and indentation, one newline at the end. Do it once; sign, store
// and verify those bytes, never a second rendering.
func (s *Statement) Bytes() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	w := statementWire{
		Kind: StatementKind, V: StatementVersion, Decision: s.Decision, Nonce: s.Nonce,
		Created: s.Created.UTC().Truncate(time.Second), Expires: s.Expires.UTC().Truncate(time.Second),
		Principal: s.Principal, Campaign: s.Campaign, Proposal: s.Proposal,
		ContractDigest: s.ContractDigest, PolicyDigest: s.PolicyDigest, ApproversDigest: s.ApproversDigest, LedgerHead: s.LedgerHead,
		RootCommit: s.RootCommit, BaseCommit: s.BaseCommit, BaseTree: s.BaseTree, ResultTree: s.ResultTree, Branch: s.Branch,
		EvidenceDigests: append([]string{}, s.EvidenceDigests...), VerdictDigest: s.VerdictDigest, SymptomDigest: s.SymptomDigest,
		PredictedGain: s.PredictedGain, Permits: s.Permits, DiffEncoding: "utf-8", Diff: string(s.Diff),
	}
	w.Permits.Commands = append([]string{}, s.Permits.Commands...)
	if !utf8.Valid(s.Diff) {
		w.DiffEncoding, w.Diff = "base64", base64.StdEncoding.EncodeToString(s.Diff)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(w)
	return out.Bytes(), err
}

// ParseStatement reads stored statement bytes. Unknown, missing, repeated or misspelt fields (letter case counts), a
// newer version and bytes after the end are refused: what a person read and what a program takes must be one.
func ParseStatement(raw []byte) (*Statement, error) {
	var w statementWire
	if err := decodeStrict(raw, &w); err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "read approval statement").ByRule(RuleApproved)
	}
	if w.Kind != StatementKind || w.V != StatementVersion {
		return nil, fault.New(fault.InvalidInput, "statement is %q version %d", w.Kind, w.V).ByRule(RuleApproved).
			At("v", fmt.Sprint(w.V), fmt.Sprintf("%s version %d", StatementKind, StatementVersion)).Hint("use the release that wrote it")
	}
	diff := []byte(w.Diff)
	switch w.DiffEncoding {
	case "utf-8":
	case "base64":
		var err error
		if diff, err = base64.StdEncoding.Strict().DecodeString(w.Diff); err != nil {
			return nil, fault.Wrap(fault.InvalidInput, err, "read the statement's diff").ByRule(RuleApproved)
		}
	default:
		return nil, fault.New(fault.InvalidInput, "diff encoding %q is unknown", w.DiffEncoding).ByRule(RuleApproved).
			At("diff_encoding", w.DiffEncoding, "utf-8", "base64")
	}
	s := &Statement{
		Decision: w.Decision, Nonce: w.Nonce, Created: w.Created, Expires: w.Expires, Principal: w.Principal,
		Campaign: w.Campaign, Proposal: w.Proposal, ContractDigest: w.ContractDigest, PolicyDigest: w.PolicyDigest,
		ApproversDigest: w.ApproversDigest, LedgerHead: w.LedgerHead, RootCommit: w.RootCommit, BaseCommit: w.BaseCommit,
		BaseTree: w.BaseTree, ResultTree: w.ResultTree, Branch: w.Branch, Diff: diff, EvidenceDigests: w.EvidenceDigests,
		VerdictDigest: w.VerdictDigest, SymptomDigest: w.SymptomDigest, PredictedGain: w.PredictedGain, Permits: w.Permits,
	}
	return s, s.check()
}

// check refuses a statement that leaves something open.
func (s *Statement) check() error {
	bad := func(field, got string, want ...string) error {
		return fault.New(fault.InvalidInput, "statement field %s is %q", field, clip([]byte(got))).ByRule(RuleApproved).At(field, clip([]byte(got)), want...)
	}
	for _, f := range [][2]string{
		{"principal", s.Principal}, {"campaign", s.Campaign}, {"proposal", s.Proposal}, {"contract_digest", s.ContractDigest},
		{"policy_digest", s.PolicyDigest}, {"approvers_digest", s.ApproversDigest}, {"ledger_head", s.LedgerHead},
		{"root_commit", s.RootCommit}, {"base_commit", s.BaseCommit}, {"base_tree", s.BaseTree}, {"result_tree", s.ResultTree},
		{"branch", s.Branch}, {"verdict_digest", s.VerdictDigest}, {"symptom_digest", s.SymptomDigest}, {"permits.host", s.Permits.Host},
		{"permits.account", s.Permits.Account},
	} {
		if strings.TrimSpace(f[1]) == "" || !utf8.ValidString(f[1]) {
			return bad(f[0], f[1], "a value")
		}
	}
	switch {
	case s.Decision != Approve && s.Decision != Reject:
		return bad("decision", string(s.Decision), string(Approve), string(Reject))
	case len(s.Nonce) < 16 || !utf8.ValidString(s.Nonce):
		return bad("nonce", s.Nonce, "at least 16 random characters")
	case s.Created.IsZero() || !s.Expires.After(s.Created):
		return bad("expires", s.Expires.Format(time.RFC3339), "a time after created")
	case len(s.Diff) == 0:
		return bad("diff", "", "the proposal's diff")
	case len(s.EvidenceDigests) == 0:
		return bad("evidence_digests", "", "at least one digest")
	case math.IsNaN(s.PredictedGain) || math.IsInf(s.PredictedGain, 0):
		return bad("predicted_gain", fmt.Sprint(s.PredictedGain), "a ratio - 1")
	case s.Permits.Push:
		return bad("permits.push", "true", "false")
	}
	return nil
}
