// Package cookbook holds starting points for models: under which load a model is measured, on how many GPUs, and for
// each framework base flags and knobs worth trying. One JSON file a model, under models; nobody's result is in there.
//
// An entry is a beginning, not an answer. No command of it was run by us: state `documented` means that every flag is
// in the framework's own help, every value fits it, and the layout and the memory add up; where `listed` names a source,
// the framework's own documentation or sources name the model or its architecture. `run` is for entries that a campaign
// of this product measured, and names the campaign.
//
// Owned here: the files, their schema, looking a model up, what makes an entry plausible. Not owned: which flags exist
// (framework), what a campaign freezes (contract), which candidate is next (search).
package cookbook

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// Kind and Version name the format of an entry's file.
const (
	Kind    = "sotaloop.cookbook"
	Version = 1
)

//go:embed models/*.json
var models embed.FS

// State says what is known of a framework with a model.
type State string

// The states.
const (
	StateRun         State = "run"         // measured by a campaign, which Evidence names
	StateDocumented  State = "documented"  // checked against help and documentation, not run by us
	StateUnsupported State = "unsupported" // Reason says why
)

// Entry is the starting point of one model.
type Entry struct {
	Kind         string                      `json:"kind"`
	V            int                         `json:"v"`
	ID           string                      `json:"id"`
	Architecture string                      `json:"architecture"`
	Checkpoints  []Checkpoint                `json:"checkpoints"`    // the first is the one that the figures are of
	Names        []string                    `json:"names"`          // beginnings of names of the same model, in lower case
	GPUs         int                         `json:"gpus"`           // of one host
	GPUMemoryGiB float64                     `json:"gpu_memory_gib"` // the least that a GPU must have
	Hosts        int                         `json:"hosts"`
	Dtype        string                      `json:"dtype"`         // contract's precision
	KVDtype      string                      `json:"kv_dtype"`      // the same on every framework
	MaxContext   int                         `json:"max_context"`   // tokens, the same on every framework
	ModelContext int                         `json:"model_context"` // tokens, the most that the model takes
	RemoteCode   bool                        `json:"remote_code"`   // the engines ask to trust code of the checkpoint
	Shapes       []Shape                     `json:"shapes"`
	NumPrompts   int                         `json:"num_prompts"` // of a load level; more where a closed loop needs them
	Concurrency  []*int                      `json:"concurrency"` // slots of a closed loop; null: all at once
	Rate         Rate                        `json:"rate"`
	SLA          contract.SLA                `json:"sla"`
	Frameworks   map[contract.Framework]Side `json:"frameworks"`
	Notes        []Note                      `json:"notes"`

	file   string
	digest string
}

// Digest is the first 16 hex digits of the SHA-256 of the entry's file: two programs whose entries of a model are equal
// give the same.
func (e Entry) Digest() string { return e.digest }

// Checkpoint is one set of weights.
type Checkpoint struct {
	ID          string `json:"id"`         // on Hugging Face
	Precision   string `json:"precision"`  // of most weights: a key of bytesPerParameter
	Parameters  int64  `json:"parameters"` // scales included where the source counts them
	WeightBytes int64  `json:"weight_bytes,omitempty"`
	Source      string `json:"source"` // of precision and count
}

// Shape is one request shape, in tokens.
type Shape struct {
	Name      string `json:"name"`
	InputLen  int    `json:"input_len"`
	OutputLen int    `json:"output_len"`
}

// Rate bounds a search for the highest request rate under the SLA, in requests/s.
type Rate struct {
	Lower     float64 `json:"lower"`
	Upper     float64 `json:"upper"`
	Tolerance float64 `json:"tolerance"` // as a ratio: the search ends when its bounds are this close
	Rounds    int     `json:"rounds"`    // at most
}

// Side is what is known of one framework with the model.
type Side struct {
	State    State          `json:"state"`
	Reason   string         `json:"reason,omitempty"`   // of unsupported
	Evidence string         `json:"evidence,omitempty"` // of run
	Listed   string         `json:"listed,omitempty"`   // where the framework's own documentation or sources name the model
	Base     map[string]any `json:"base,omitempty"`     // flags of every candidate: knobs and pinned ones
	Families []Family       `json:"families,omitempty"`
	Parsers  Parsers        `json:"parsers,omitzero"` // of answers over the chat endpoint; completions need none
	Terms    map[string]any `json:"terms,omitempty"`  // flags of the contract's class beyond what the entry's fields say
}

// Family is knobs that act on the same thing.
type Family struct {
	Name  string   `json:"name"`  // attention, chunking, batching, experts
	Cures []string `json:"cures"` // the bottlenecks that it may ease: of Bottlenecks
	Knobs []Knob   `json:"knobs"`
}

// Knob is a flag and values to try, in order. Leaving it as the base has it is one value more.
type Knob struct {
	Flag   string `json:"flag"`
	Values []any  `json:"values"`
}

// Parsers turn a model's text into tool calls and reasoning; the names are the framework's.
type Parsers struct {
	Tool      string `json:"tool,omitempty"`
	Reasoning string `json:"reasoning,omitempty"`
}

// Note says what a reader of an entry should know.
type Note struct {
	Kind NoteKind `json:"kind"`
	Text string   `json:"text"`
}

// NoteKind says why a note is there.
type NoteKind string

// The kinds of notes.
const (
	NoteMended     NoteKind = "mended"     // the recipe that the entry started from was wrong or unfair there
	NoteUnverified NoteKind = "unverified" // no public source was found for it
	NoteCaution    NoteKind = "caution"
)

// Bottlenecks are the words that a family's cures may be: prompt processing, token generation, the one waiting for the
// other, KV memory, expert layers, and traffic between GPUs.
var Bottlenecks = []string{"prefill", "decode", "interference", "memory", "experts", "communication"}

// Book is all entries, ordered by id.
type Book struct {
	Entries []Entry
}

// Open reads the entries that the program carries.
func Open() (*Book, error) {
	files, err := models.ReadDir("models")
	if err != nil {
		return nil, fmt.Errorf("read cookbook: %w", err)
	}
	b := &Book{}
	for _, f := range files {
		name := path.Join("models", f.Name())
		raw, err := models.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("read cookbook: %w", err)
		}
		e, err := Parse(name, raw)
		if err != nil {
			return nil, err
		}
		b.Entries = append(b.Entries, e)
	}
	slices.SortFunc(b.Entries, func(x, y Entry) int { return bytes.Compare([]byte(x.ID), []byte(y.ID)) })
	return b, nil
}

// Parse reads one entry; unknown keys, newer versions and anything behind the entry are refused with the file's name.
func Parse(file string, raw []byte) (Entry, error) {
	var e Entry
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return Entry{}, fmt.Errorf("%s: %w", file, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Entry{}, fmt.Errorf("%s: something follows the entry", file)
	}
	if e.Kind != Kind || e.V < 1 || e.V > Version {
		return Entry{}, fmt.Errorf("%s: kind %q version %d is not %s/%d or older", file, e.Kind, e.V, Kind, Version)
	}
	sum := sha256.Sum256(raw)
	e.file, e.digest = file, hex.EncodeToString(sum[:])[:16]
	return e, nil
}

// Model is the checkpoint that the entry's figures are of.
func (e Entry) Model() Checkpoint {
	if len(e.Checkpoints) == 0 {
		return Checkpoint{}
	}
	return e.Checkpoints[0]
}

// Supported gives the frameworks that are not unsupported, in canonical order.
func (e Entry) Supported() []contract.Framework {
	var out []contract.Framework
	for _, name := range contract.Frameworks {
		fw := contract.Framework(name)
		if s, ok := e.Frameworks[fw]; ok && s.State != StateUnsupported {
			out = append(out, fw)
		}
	}
	return out
}

// Knobs gives the knobs of all families in order.
func (s Side) Knobs() []Knob {
	var out []Knob
	for _, f := range s.Families {
		out = append(out, f.Knobs...)
	}
	return out
}
