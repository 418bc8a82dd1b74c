// Package contract holds the frozen terms of a campaign: what is compared, under which load and limits, and what
// must be equal on every side. A contract is serialised once, when the campaign opens; its digest is the SHA-256 of
// those bytes and every later record cites it. Results are not its business.
package contract

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Kind and Version name the format of a serialised contract.
const (
	Kind    = "sotaloop.contract"
	Version = 1
)

// Study says what a campaign wants to find out.
type Study string

// The studies. Only StudySOTA may use the word.
const (
	StudySOTA Study = "sota" // the target against other frameworks: the whole loop
	StudyTune Study = "tune" // one engine: the best found against an incumbent or the shipped default
	StudyAB   Study = "ab"   // two sides as given, no search
	StudyLook Study = "look" // two interleaved blocks of fixed commands, no verdict
)

// Studies lists the valid studies.
var Studies = []string{string(StudySOTA), string(StudyTune), string(StudyAB), string(StudyLook)}

// Contract is the frozen terms of one campaign.
type Contract struct {
	Kind          string     `json:"kind"`
	V             int        `json:"v"`
	Campaign      string     `json:"campaign"`
	Study         Study      `json:"study"`
	Created       time.Time  `json:"created"`
	Model         Model      `json:"model"`
	Precision     string     `json:"precision"`    // dtype of weights and activations, e.g. "bfloat16"; "auto" is resolved by the engines alike
	Quantization  string     `json:"quantization"` // "" = none
	KVDtype       string     `json:"kv_dtype"`     // "auto" unless declared
	Speculation   string     `json:"speculation"`  // "" = off on every side
	MaxContext    int        `json:"max_context"`  // tokens; 0 = the model's own
	Host          Host       `json:"host"`
	Target        Side       `json:"target"`
	Against       []Side     `json:"against"`
	Endpoint      string     `json:"endpoint"`
	Scenarios     []Scenario `json:"scenarios"`
	SLA           SLA        `json:"sla"`
	Goodput       *Goodput   `json:"goodput,omitempty"`
	MinAttainment float64    `json:"min_attainment,omitempty"`
	Delta         float64    `json:"delta"` // noise threshold as a ratio, 0.03 = 3 %
	Blocks        Blocks     `json:"blocks"`
	RankBy        string     `json:"rank_by,omitempty"`
	CapacityStudy bool       `json:"capacity_study,omitempty"`
	Accuracy      string     `json:"accuracy,omitempty"`
	Budget        Budget     `json:"budget"`
	Seed          uint64     `json:"seed,string"`        // drawn by the server, never by the caller
	Cookbook      string     `json:"cookbook,omitempty"` // entry@digest that defaults and default spaces come from
	Assumed       []string   `json:"assumed"`
	Cost          []Cost     `json:"cost"`
	Policy        string     `json:"policy_digest"`
	Approvers     string     `json:"approvers_digest"`
	From          string     `json:"from,omitempty"`

	// Datasets are those of the scenarios, as they were found.
	Datasets []Dataset `json:"datasets,omitempty"`
	// TrustRoots says whether the server's account could change policy, approvers and hosts when the campaign opened:
	// protected or unprotected; empty in contracts of before.
	TrustRoots string `json:"trust_roots,omitempty"`
	// Overload is how open loops are judged to be more than an engine can take; empty in contracts without any, and of before.
	Overload OverloadTest `json:"overload_test,omitempty"`
	// CookbookLeft names the scenarios of the cookbook's entry that are not measured.
	CookbookLeft []string `json:"cookbook_left_out,omitempty"`
	// Noise is what was known of the host's launches; null in contracts of before and where no verdict is taken.
	Noise *Noise `json:"noise,omitempty"`
	// TrustRemoteCode lets every side run code of the checkpoint; the engineer's policy named model and revision. The
	// model's identity is over that code too.
	TrustRemoteCode bool `json:"trust_remote_code,omitempty"`
	// PatchTests says that the tests which a proposal names are run when it is revalidated; false in contracts of before.
	PatchTests bool `json:"patch_tests,omitempty"`
}

// Model identifies what is served.
type Model struct {
	ID        string `json:"id"`
	Revision  string `json:"revision,omitempty"`
	Path      string `json:"path"`     // local snapshot folder on the host
	Identity  string `json:"identity"` // digest over names, sizes and header digests of the snapshot's files
	Tokenizer string `json:"tokenizer,omitempty"`
	// Vocabulary is the number of token ids, from the model's config.json; random prompts are drawn below it.
	Vocabulary int `json:"vocabulary"`
	// Bytes is the size of the snapshot's files, nearly all of it weights; 0 where it was not recorded.
	Bytes int64 `json:"bytes,omitempty"`
	// Code is the SHA-256 of each Python file of the snapshot, where the campaign trusts remote code.
	Code map[string]string `json:"code,omitempty"`
}

// Host is what was found on the host when the campaign opened.
type Host struct {
	Name        string  `json:"name"`
	EntryDigest string  `json:"entry_digest"`
	Device      string  `json:"device"` // cuda or cpu
	GPUs        []int   `json:"gpus"`
	GPUModel    string  `json:"gpu_model"`
	GPUMemory   int64   `json:"gpu_memory_mib"`
	Driver      string  `json:"driver"`
	BootID      string  `json:"boot_id"`
	ClockSkewS  float64 `json:"clock_skew_s"`
	Simulated   bool    `json:"simulated"`
	Cores       []int   `json:"cores,omitempty"` // that engines run on; only where Device is cpu
	CPU         *CPU    `json:"cpu,omitempty"`   // only where Device is cpu

	// Clocks are the settings that decide how fast the hardware may run, as found: cpu.governor, gpu0.power.limit … Null in
	// contracts of before.
	Clocks map[string]string `json:"clocks,omitempty"`
	// ReceiptKey is the public key, as TYPE BASE64, that hosts.yaml named for the receipts of the host's account; "" asks for
	// none, as do contracts of before.
	ReceiptKey string `json:"receipt_key,omitempty"`
	// Entry is what of the host's entry in hosts.yaml decides how the sides' engines are launched, by key; null in contracts
	// of before, whose entry may change and is told.
	Entry map[string]string `json:"entry,omitempty"`
}

// Side is one engine entry of hosts.yaml, with a fixed command where the study says so.
type Side struct {
	Entry     string         `json:"entry"`
	Framework Framework      `json:"framework"`
	Flags     map[string]any `json:"flags"` // fixed command (ab, look) or incumbent (tune), without contract and host flags
	Incumbent bool           `json:"incumbent,omitempty"`
}

// Blocks is how many interleaved blocks are run and when they are looked at.
type Blocks struct {
	Max         int   `json:"max"`
	Looks       []int `json:"looks"`       // block counts at which a verdict may be taken
	Comparisons int   `json:"comparisons"` // m: scenarios × comparison sides, frozen
}

// Budget is what every framework gets, equally.
type Budget struct {
	Launches    int     `json:"launches"` // search launches a framework, crashes included
	MaxGPUHours float64 `json:"max_gpu_hours,omitempty"`
	Race        int     `json:"race_launches,omitempty"` // of a framework's finalists, beside the search's
}

// Cost is the projection of one phase.
type Cost struct {
	Phase    string  `json:"phase"`
	Launches int     `json:"launches"`
	LaunchS  float64 `json:"launch_s"` // seconds a launch takes until it is ready
	LoadS    float64 `json:"load_s"`   // seconds of load a launch carries
	GPUHours float64 `json:"gpu_hours"`
	Source   string  `json:"source"` // measured_here, earlier_campaign or assumed
}

// Sides gives the target first, then the comparison sides.
func (c *Contract) Sides() []Side {
	return append([]Side{c.Target}, c.Against...)
}

// Side finds a side by its entry name.
func (c *Contract) Side(entry string) (Side, bool) {
	for _, s := range c.Sides() {
		if s.Entry == entry {
			return s, true
		}
	}
	return Side{}, false
}

// Scenario finds a scenario by name.
func (c *Contract) Scenario(name string) (Scenario, bool) {
	for _, s := range c.Scenarios {
		if s.Name == name {
			return s, true
		}
	}
	return Scenario{}, false
}

// LongestSequence is the largest input plus output length over all scenarios and rows of datasets, in tokens.
func (c *Contract) LongestSequence() int {
	longest := 0
	for _, s := range c.Scenarios {
		longest = max(longest, s.InputLen+s.OutputLen)
	}
	for _, d := range c.Datasets {
		longest = max(longest, d.Longest())
	}
	return longest
}

// GPUCount is the number of GPUs every side uses; 1 on a host without.
func (c *Contract) GPUCount() int { return max(1, len(c.Host.GPUs)) }

// Freeze serialises the contract once and gives the bytes with their digest.
func (c *Contract) Freeze() (raw []byte, digest string, err error) {
	raw, err = json.Marshal(c)
	if err != nil {
		return nil, "", fmt.Errorf("serialise contract: %w", err)
	}
	return raw, Digest(raw), nil
}

// Digest is the hex SHA-256 of serialised bytes.
func Digest(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Parse reads a serialised contract; a newer version is refused by name.
func Parse(raw []byte) (*Contract, error) {
	var c Contract
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("parse contract: %w", err)
	}
	if c.Kind != Kind || c.V < 1 || c.V > Version {
		return nil, fmt.Errorf("parse contract: kind %q version %d is not %s/%d or older", c.Kind, c.V, Kind, Version)
	}
	if !slices.Contains(OverloadTests(), string(c.Overload)) {
		return nil, fmt.Errorf("parse contract: overload_test %q is none of %q: a newer release wrote it", c.Overload, OverloadTests())
	}
	return &c, nil
}
