// Package policy reads the engineer's policy file: which hosts, engines, models and flags campaigns may use, what they
// may spend, who may approve. It says what a policy allows and by which line; internal/loop holds campaigns to it. It also
// says who could write the files that decide: one that others can write is refused, since whoever writes it decides.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/wildcard"
)

// Policy is what one policy file allows; the zero value is the default, without a file.
type Policy struct {
	// File is where it was read, for messages; empty where there is none.
	File string
	// ReadOnly refuses every tool that starts or changes anything.
	ReadOnly bool
	// Hosts, Engines, Frameworks and Models are patterns of what campaigns may use, "*" standing for any letters; nil
	// allows all that hosts.yaml has, an empty list nothing.
	Hosts, Engines, Frameworks, Models []string
	// Flags lists, by framework, flags of free text that a search may set although no list of ours knows them.
	Flags map[string][]string
	// TrustRemoteCode lists checkpoints, as model@revision, whose own code engines may run.
	TrustRemoteCode []string
	// Branch is the pattern of the branches that may be made, with {campaign} and {proposal}; empty: DefaultBranch.
	Branch string
	// Approvers names the principals of allowed_signers whose approvals count; nil: all of them.
	Approvers []string
	// RequireIndependent refuses approvals that the agent's own account could have made.
	RequireIndependent bool
	Budgets            Budgets
	Patch              PatchSize

	lines  map[string]int // key → line of the file
	raw    []byte
	digest string
}

// Budgets is what campaigns may spend; 0 is the default.
type Budgets struct {
	GPUHoursPerCampaign  float64 // GPUs × hours of launches
	GPUHoursPerHostDay   float64 // over all campaigns of a host and UTC day; no default
	WallHoursPerCampaign float64 // hours after it was opened in which it may begin something; no default
	LaunchesPerDay       float64 // of all campaigns of the home, by UTC day
}

// PatchSize is how large a patch may be before something is said.
type PatchSize struct {
	MaxLines int    // added and removed; 0: DefaultPatchLines
	MaxFiles int    // 0: DefaultPatchFiles
	Over     string // what happens above: OverWarn, the default, or OverRefuse
}

// What happens to a patch above its size.
const (
	OverWarn   = "warn"
	OverRefuse = "refuse"
)

// The defaults. Budgets are far above what a campaign needs (some 100 launches, some 200 GPU-hours on 8 GPUs): they end
// what runs away.
const (
	DefaultBranch         = "sotaloop/{campaign}/{proposal}"
	DefaultGPUHours       = 500
	DefaultLaunchesPerDay = 2000
	DefaultPatchLines     = 400
	DefaultPatchFiles     = 10
)

// Digest is the SHA-256 of the file's bytes in hex; of no bytes where there is none.
func (p Policy) Digest() string {
	if p.digest == "" {
		sum := sha256.Sum256(nil)
		return hex.EncodeToString(sum[:])
	}
	return p.digest
}

// Bytes are the file's, as they were read; none where there is no file.
func (p Policy) Bytes() []byte { return slices.Clone(p.raw) }

// Read reads the policy at path, which nobody but root and this account may be able to write; a missing file is the
// default policy.
func Read(path string) (Policy, error) {
	raw, err := Self().ReadFile(path, "policy file")
	if errors.Is(err, fs.ErrNotExist) {
		return Policy{}, nil
	}
	if err != nil {
		return Policy{}, err
	}
	return Parse(raw, path)
}

// BranchName is the name of a proposal's branch.
func (p Policy) BranchName(campaign, proposal string) string {
	pattern := p.Branch
	if pattern == "" {
		pattern = DefaultBranch
	}
	return strings.NewReplacer("{campaign}", campaign, "{proposal}", proposal).Replace(pattern)
}

// matches says whether name is one of the patterns; nil patterns take every name.
func matches(patterns []string, name string) bool {
	return patterns == nil || slices.ContainsFunc(patterns, func(p string) bool {
		return wildcard.Match(p, name)
	})
}
