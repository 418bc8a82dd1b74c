// Package seal is the statement in which a report ends: which files there were, with their digests, and how far ledger
// and transcript went. It is an in-toto Statement v1 (https://in-toto.io/Statement/v1), so that tools for supply chains
// can read it. Who makes one and who checks it is not its business.
package seal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
)

// What a statement says it is.
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PredicateType = "https://github.com/sotaloop/sotaloop/campaign-seal/v1"
	PayloadType   = "application/vnd.in-toto+json" // of the DSSE envelope around it
	kind          = "sotaloop.seal"
	version       = 1
)

// Names of the files in which a seal lies in the run directory.
const (
	StatementFile = "statement.json"
	EnvelopeFile  = "statement.dsse.json"
)

// Files are the names of the seal's own files: no statement is about itself.
func Files() []string { return []string{StatementFile, EnvelopeFile} }

// Statement names files by digest and says of which campaign they are.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"` // in the order of their names
	PredicateType string    `json:"predicateType"`
	Predicate     Predicate `json:"predicate"`
}

// Subject is one file, or the first lines of the ledger.
type Subject struct {
	Name   string `json:"name"`
	Digest Digest `json:"digest"`
}

// Digest is a subject's digest.
type Digest struct {
	SHA256 string `json:"sha256"` // hex
}

// Predicate is what is said of the subjects.
type Predicate struct {
	Kind       string `json:"kind"`
	V          int    `json:"v"`
	Campaign   string `json:"campaign"`
	Contract   string `json:"contract_sha256"`
	Ledger     Prefix `json:"ledger"`
	Transcript Prefix `json:"transcript"`
	Verdict    string `json:"verdict"`
	Claim      string `json:"claim"`
	Simulated  bool   `json:"simulated"`
	// KeptOnHost are traces too large to travel: they are named by digest and lie where they were made.
	KeptOnHost []Subject `json:"kept_on_host"`
}

// Prefix is how far a hash chain went.
type Prefix struct {
	Lines int    `json:"lines"`
	Head  string `json:"head"`  // hash of the last of these lines
	Bytes int64  `json:"bytes"` // their length
}

// New makes a statement of files by name. prefix is the digest of the ledger's first lines, which p names.
func New(files map[string]string, prefix string, p Predicate) *Statement {
	s := &Statement{Type: StatementType, PredicateType: PredicateType, Predicate: p, Subject: []Subject{}}
	s.Predicate.Kind, s.Predicate.V = kind, version
	if s.Predicate.KeptOnHost == nil {
		s.Predicate.KeptOnHost = []Subject{}
	}
	all := maps.Clone(files)
	all[fmt.Sprintf("%s:1-%d", ledger.ChainFile, p.Ledger.Lines)] = prefix
	for _, name := range slices.Sorted(maps.Keys(all)) {
		s.Subject = append(s.Subject, Subject{Name: name, Digest: Digest{SHA256: all[name]}})
	}
	return s
}

// Bytes renders the statement: JSON with fixed order and indentation, one newline at the end.
func (s *Statement) Bytes() ([]byte, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(s)
	return out.Bytes(), err
}

// Parse reads a statement strictly, and refuses newer ones by their version.
func Parse(raw []byte) (*Statement, error) {
	var outer struct {
		Type          string `json:"_type"`
		PredicateType string `json:"predicateType"`
	}
	if err := json.Unmarshal(raw, &outer); err != nil {
		return nil, fault.Wrap(fault.Corrupt, err, "read the seal's statement")
	}
	if outer.Type != StatementType || outer.PredicateType != PredicateType {
		return nil, fault.New(fault.InvalidInput, "the seal is a %q about %q", outer.Type, outer.PredicateType).
			At("predicateType", outer.PredicateType, PredicateType).Hint("verify it with the release that wrote it, or a newer one")
	}
	var s Statement
	if err := chain.Strict(raw, &s); err != nil {
		return nil, fault.Wrap(fault.Corrupt, err, "read the seal's statement")
	}
	if s.Predicate.Kind != kind || s.Predicate.V != version {
		return nil, fault.New(fault.InvalidInput, "the seal is %q version %d, this release knows %q up to version %d", s.Predicate.Kind, s.Predicate.V, kind, version).
			Hint("verify it with the release that wrote it, or a newer one")
	}
	return &s, nil
}
