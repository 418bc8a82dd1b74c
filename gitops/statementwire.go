package gitops

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// How a diff stands in a statement. One that is not UTF-8 travels as base64: JSON strings would change it.
const (
	diffText   = "utf-8"  // version 1: one string
	diffLines  = "lines"  // version 2: its parts between newlines
	diffBase64 = "base64" // one string
)

// wire1 is the JSON form of version 1.
type wire1 struct {
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
	DiffEncoding    string    `json:"diff_encoding"`
	Diff            string    `json:"diff"`
}

// wire2 is the JSON form of version 2.
type wire2 struct {
	Kind            string    `json:"kind"`
	V               int       `json:"v"`
	Decision        Decision  `json:"decision"`
	Reason          string    `json:"reason"`
	Campaign        string    `json:"campaign"`
	Proposal        string    `json:"proposal"`
	Shown           []string  `json:"shown"`
	Symptom         Symptom   `json:"symptom"`
	Stage           string    `json:"stage"`
	Location        string    `json:"location"`
	EvidenceRows    []string  `json:"evidence_rows"`
	PredictedGain   float64   `json:"predicted_gain"`
	Ceiling         float64   `json:"ceiling"`
	Rationale       string    `json:"rationale"`
	Elsewhere       string    `json:"elsewhere"`
	Findings        []string  `json:"findings"`
	Permits         Permits   `json:"permits"`
	Principal       string    `json:"principal"`
	Created         time.Time `json:"created"`
	Expires         time.Time `json:"expires"`
	Nonce           string    `json:"nonce"`
	CampaignDigest  string    `json:"campaign_digest"`
	ContractDigest  string    `json:"contract_digest"`
	PolicyDigest    string    `json:"policy_digest"`
	ApproversDigest string    `json:"approvers_digest"`
	LedgerSeq       int       `json:"ledger_seq"`
	LedgerHead      string    `json:"ledger_head"`
	RootCommit      string    `json:"root_commit"`
	BaseCommit      string    `json:"base_commit"`
	BaseTree        string    `json:"base_tree"`
	ResultTree      string    `json:"result_tree"`
	Branch          string    `json:"branch"`
	PatchDigest     string    `json:"patch_digest"`
	EvidenceDigests []string  `json:"evidence_digests"`
	VerdictDigest   string    `json:"verdict_digest"`
	SymptomDigest   string    `json:"symptom_digest"`
	DiffEncoding    string    `json:"diff_encoding"`
	Diff            []string  `json:"diff"`
}

// list copies, so that a missing list is an empty one and never null.
func list(in []string) []string { return append([]string{}, in...) }

func (p Permits) copied() Permits {
	p.Commands = list(p.Commands)
	return p
}

func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

func (s *Statement) wire1() wire1 {
	w := wire1{
		Kind: StatementKind, V: 1, Decision: s.Decision, Nonce: s.Nonce, Created: second(s.Created), Expires: second(s.Expires),
		Principal: s.Principal, Campaign: s.Campaign, Proposal: s.Proposal,
		ContractDigest: s.ContractDigest, PolicyDigest: s.PolicyDigest, ApproversDigest: s.ApproversDigest, LedgerHead: s.LedgerHead,
		RootCommit: s.RootCommit, BaseCommit: s.BaseCommit, BaseTree: s.BaseTree, ResultTree: s.ResultTree, Branch: s.Branch,
		EvidenceDigests: list(s.EvidenceDigests), VerdictDigest: s.VerdictDigest, SymptomDigest: s.SymptomDigest,
		PredictedGain: s.PredictedGain, Permits: s.Permits.copied(), DiffEncoding: diffText, Diff: string(s.Diff),
	}
	if !utf8.Valid(s.Diff) {
		w.DiffEncoding, w.Diff = diffBase64, base64.StdEncoding.EncodeToString(s.Diff)
	}
	return w
}

func (s *Statement) wire2() wire2 {
	w := wire2{
		Kind: StatementKind, V: 2, Decision: s.Decision, Reason: s.Reason, Nonce: s.Nonce, Created: second(s.Created), Expires: second(s.Expires),
		Principal: s.Principal, Campaign: s.Campaign, CampaignDigest: s.CampaignDigest, Proposal: s.Proposal,
		ContractDigest: s.ContractDigest, PolicyDigest: s.PolicyDigest, ApproversDigest: s.ApproversDigest, LedgerHead: s.LedgerHead, LedgerSeq: s.LedgerSeq,
		RootCommit: s.RootCommit, BaseCommit: s.BaseCommit, BaseTree: s.BaseTree, ResultTree: s.ResultTree, Branch: s.Branch, PatchDigest: s.PatchDigest,
		EvidenceDigests: list(s.EvidenceDigests), EvidenceRows: list(s.EvidenceRows), VerdictDigest: s.VerdictDigest, SymptomDigest: s.SymptomDigest,
		Symptom: s.Symptom, Stage: s.Stage, Location: s.Location, PredictedGain: s.PredictedGain, Ceiling: s.Ceiling, Rationale: s.Rationale,
		Elsewhere: s.Elsewhere, Findings: list(s.Findings), Shown: list(s.Shown), Permits: s.Permits.copied(),
		DiffEncoding: diffLines, Diff: strings.Split(string(s.Diff), "\n"),
	}
	if !utf8.Valid(s.Diff) {
		w.DiffEncoding, w.Diff = diffBase64, []string{base64.StdEncoding.EncodeToString(s.Diff)}
	}
	return w
}

func parse1(raw []byte) (*Statement, error) {
	var w wire1
	if err := decodeStrict(raw, &w); err != nil {
		return nil, err
	}
	diff, err := []byte(w.Diff), error(nil)
	switch w.DiffEncoding {
	case diffText:
	case diffBase64:
		diff, err = base64.StdEncoding.Strict().DecodeString(w.Diff)
	default:
		err = fmt.Errorf("diff encoding %q is unknown (valid: %s, %s)", w.DiffEncoding, diffText, diffBase64)
	}
	return &Statement{
		Version: w.V, Decision: w.Decision, Nonce: w.Nonce, Created: w.Created, Expires: w.Expires, Principal: w.Principal,
		Campaign: w.Campaign, Proposal: w.Proposal, ContractDigest: w.ContractDigest, PolicyDigest: w.PolicyDigest,
		ApproversDigest: w.ApproversDigest, LedgerHead: w.LedgerHead, RootCommit: w.RootCommit, BaseCommit: w.BaseCommit,
		BaseTree: w.BaseTree, ResultTree: w.ResultTree, Branch: w.Branch, Diff: diff, EvidenceDigests: w.EvidenceDigests,
		VerdictDigest: w.VerdictDigest, SymptomDigest: w.SymptomDigest, PredictedGain: w.PredictedGain, Permits: w.Permits,
	}, err
}

func parse2(raw []byte) (*Statement, error) {
	var w wire2
	if err := decodeStrict(raw, &w); err != nil {
		return nil, err
	}
	diff, err := []byte(strings.Join(w.Diff, "\n")), error(nil)
	switch {
	case w.DiffEncoding == diffLines:
		for _, line := range w.Diff {
			if strings.Contains(line, "\n") {
				err = errors.New("a line of the diff holds a newline")
			}
		}
	case w.DiffEncoding == diffBase64 && len(w.Diff) == 1:
		diff, err = base64.StdEncoding.Strict().DecodeString(w.Diff[0])
	default:
		err = fmt.Errorf("diff encoding %q is unknown (valid: %s, %s)", w.DiffEncoding, diffLines, diffBase64)
	}
	return &Statement{
		Version: w.V, Decision: w.Decision, Reason: w.Reason, Nonce: w.Nonce, Created: w.Created, Expires: w.Expires, Principal: w.Principal,
		Campaign: w.Campaign, CampaignDigest: w.CampaignDigest, Proposal: w.Proposal, ContractDigest: w.ContractDigest, PolicyDigest: w.PolicyDigest,
		ApproversDigest: w.ApproversDigest, LedgerHead: w.LedgerHead, LedgerSeq: w.LedgerSeq, RootCommit: w.RootCommit, BaseCommit: w.BaseCommit,
		BaseTree: w.BaseTree, ResultTree: w.ResultTree, Branch: w.Branch, PatchDigest: w.PatchDigest, Diff: diff, EvidenceDigests: w.EvidenceDigests,
		EvidenceRows: w.EvidenceRows, VerdictDigest: w.VerdictDigest, SymptomDigest: w.SymptomDigest, Symptom: w.Symptom, Stage: w.Stage,
		Location: w.Location, PredictedGain: w.PredictedGain, Ceiling: w.Ceiling, Rationale: w.Rationale, Elsewhere: w.Elsewhere,
		Findings: w.Findings, Shown: w.Shown, Permits: w.Permits,
	}, err
}

// escapeHidden escapes what a terminal would hide, as JSON does for control characters. Such characters stand inside
// strings only.
func escapeHidden(text []byte) []byte {
	var out bytes.Buffer
	for len(text) > 0 {
		c, n := utf8.DecodeRune(text)
		switch {
		case c == '\n' || !hidden(c):
			out.Write(text[:n])
		case c > 0xFFFF:
			hi, lo := utf16.EncodeRune(c)
			fmt.Fprintf(&out, `\u%04x\u%04x`, hi, lo)
		default:
			fmt.Fprintf(&out, `\u%04x`, c)
		}
		text = text[n:]
	}
	return out.Bytes()
}
