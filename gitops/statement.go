package gitops

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Kind and newest version of a statement. Version 1 is read for ever; it lacks what Statement marks with "v2".
const (
	StatementKind    = "sotaloop.approval"
	StatementVersion = 2
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

// Symptom is the benchmark observation that a patch is about.
type Symptom struct {
	Scenario string `json:"scenario"`
	Metric   string `json:"metric"`
}

// Statement is what an approver signs: the decision and everything it rests on, the whole diff included. Digests and
// ids are the writers' strings and are compared as such.
type Statement struct {
	Version         int // of the bytes; 0 is the newest
	Decision        Decision
	Reason          string    // v2: of a rejection
	Nonce           string    // single use, at least 16 characters
	Created         time.Time // recorded in UTC, to the second
	Expires         time.Time
	Principal       string
	Campaign        string
	CampaignDigest  string // v2: hash of the ledger's first line, which no other campaign has
	Proposal        string
	ContractDigest  string
	PolicyDigest    string
	ApproversDigest string
	LedgerHead      string
	LedgerSeq       int // v2: the head's entry
	RootCommit      string
	BaseCommit      string
	BaseTree        string
	ResultTree      string
	Branch          string
	PatchDigest     string // v2
	Diff            []byte // Proposed.Diff, every byte
	EvidenceDigests []string
	EvidenceRows    []string // v2: ids of the cited rows
	VerdictDigest   string
	SymptomDigest   string
	Symptom         Symptom // v2, as Stage to Shown: what the approver reads, so that it is in the signed bytes
	Stage           string
	Location        string
	PredictedGain   float64 // ratio - 1
	Ceiling         float64 // largest gain of stage step time, a ratio - 1
	Rationale       string
	Elsewhere       string
	Findings        []string
	Shown           []string // host, verdicts and cited rows in words; a release may word them anew
	Permits         Permits
}

// Bytes renders the statement: JSON with fixed order and indentation, one newline at the end. Do it once; sign, store
// and verify those bytes, never a second rendering. From version 2 on, the diff stands in lines, and characters that a
// terminal would hide are escaped, so that a person can read the file as it is.
func (s *Statement) Bytes() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	var w any = s.wire2()
	if s.Version == 1 {
		w = s.wire1()
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(w); err != nil {
		return nil, err
	}
	if s.Version == 1 {
		return out.Bytes(), nil
	}
	return escapeHidden(out.Bytes()), nil
}

// ParseStatement reads stored statement bytes. Unknown, missing, repeated or misspelt fields (letter case counts), a
// newer version and bytes after the end are refused: what a person read and what a program takes must be one.
func ParseStatement(raw []byte) (*Statement, error) {
	var head struct {
		Kind string `json:"kind"`
		V    int    `json:"v"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "read approval statement").ByRule(RuleApproved)
	}
	if head.Kind != StatementKind || head.V < 1 || head.V > StatementVersion {
		return nil, fault.New(fault.InvalidInput, "statement is %q version %d", head.Kind, head.V).ByRule(RuleApproved).
			At("v", fmt.Sprint(head.V), fmt.Sprintf("%s version 1 to %d", StatementKind, StatementVersion)).Hint("use the release that wrote it")
	}
	read := parse2
	if head.V == 1 {
		read = parse1
	}
	s, err := read(raw)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "read approval statement").ByRule(RuleApproved)
	}
	if s.Version != head.V {
		return nil, fault.New(fault.InvalidInput, "statement says two versions").ByRule(RuleApproved)
	}
	return s, s.check()
}

// check refuses a statement that leaves something open.
func (s *Statement) check() error {
	bad := func(field, got string, want ...string) error {
		return fault.New(fault.InvalidInput, "statement field %s is %q", field, clip([]byte(got))).ByRule(RuleApproved).At(field, clip([]byte(got)), want...)
	}
	for _, f := range s.mustHave() {
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
	case math.IsNaN(s.Ceiling) || math.IsInf(s.Ceiling, 0):
		return bad("ceiling", fmt.Sprint(s.Ceiling), "a ratio - 1")
	case s.Permits.Push:
		return bad("permits.push", "true", "false")
	case s.Version != 1 && s.LedgerSeq < 0:
		return bad("ledger_seq", fmt.Sprint(s.LedgerSeq), "an entry of the ledger")
	}
	return s.checkWords(bad)
}

// mustHave are the fields that may not be empty.
func (s *Statement) mustHave() [][2]string {
	fields := [][2]string{
		{"principal", s.Principal}, {"campaign", s.Campaign}, {"proposal", s.Proposal}, {"contract_digest", s.ContractDigest},
		{"policy_digest", s.PolicyDigest}, {"approvers_digest", s.ApproversDigest}, {"ledger_head", s.LedgerHead},
		{"root_commit", s.RootCommit}, {"base_commit", s.BaseCommit}, {"base_tree", s.BaseTree}, {"result_tree", s.ResultTree},
		{"branch", s.Branch}, {"verdict_digest", s.VerdictDigest}, {"symptom_digest", s.SymptomDigest}, {"permits.host", s.Permits.Host},
		{"permits.account", s.Permits.Account},
	}
	if s.Version != 1 {
		fields = append(fields, [2]string{"campaign_digest", s.CampaignDigest}, [2]string{"patch_digest", s.PatchDigest})
	}
	return fields
}

// checkWords refuses text that JSON would change on the way: what is read back must be what was signed.
func (s *Statement) checkWords(bad func(field, got string, want ...string) error) error {
	words := append([]string{s.Reason, s.Symptom.Scenario, s.Symptom.Metric, s.Stage, s.Location, s.Rationale, s.Elsewhere}, s.EvidenceDigests...)
	words = append(append(append(append(words, s.EvidenceRows...), s.Findings...), s.Shown...), s.Permits.Commands...)
	for _, w := range words {
		if !utf8.ValidString(w) {
			return bad("text", w, "UTF-8")
		}
	}
	return nil
}
