package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// Verbs of `sotaloop worker`. Each but run reads one JSON request on standard input and writes one JSON answer.
const (
	VerbRun       = "run"       // --dir D: execute the plan in run folder D to its end; started detached
	VerbPrepare   = "prepare"   // make the run folder and write the plan
	VerbStatus    = "status"    // state and events of a run
	VerbFile      = "file"      // where a run's artifact lies, with its digest
	VerbCancel    = "cancel"    // ask a run to tear down
	VerbReap      = "reap"      // end what a lost run left behind, and only that
	VerbProbe     = "probe"     // facts about the host
	VerbQuery     = "query"     // run an engine's help or version command
	VerbInstalled = "installed" // digests of an installed package's files
	VerbAnalyze   = "analyze"   // tables of a trace that lies in a run folder
	VerbDataset   = "dataset"   // store, list and describe datasets
	VerbExamine   = "examine"   // whether a campaign could work here: folders, builds, secrets
	VerbReceipt   = "receipt"   // sign for a run that has ended; only the gate can
	VerbSelftest  = "selftest"  // a short load of the worker's client on its own mock
)

// Verbs lists the verbs of `sotaloop worker`.
var Verbs = []string{VerbRun, VerbPrepare, VerbStatus, VerbFile, VerbCancel, VerbReap, VerbProbe, VerbQuery, VerbInstalled, VerbAnalyze, VerbDataset, VerbReceipt, VerbExamine, VerbSelftest}

// envelope is every answer: exactly one of Answer and Fault.
type envelope struct {
	V      int             `json:"v"`
	Answer json.RawMessage `json:"answer,omitempty"`
	Fault  *Refusal        `json:"fault,omitempty"`
}

// Refusal carries a fault from the host to the server's machine; its cause is folded into the message.
type Refusal struct {
	Code    fault.Code `json:"code"`
	Rule    string     `json:"rule,omitempty"`
	Message string     `json:"message"`
	Field   string     `json:"field,omitempty"`
	Got     string     `json:"got,omitempty"`
	Want    []string   `json:"want,omitempty"`
	Hints   []string   `json:"hints,omitempty"`
}

func toWire(err error) *Refusal {
	f, ok := fault.As(err)
	if !ok {
		return &Refusal{Code: fault.Internal, Message: err.Error()}
	}
	w := &Refusal{Code: f.Code, Rule: f.Rule, Message: f.Message, Field: f.Field, Got: f.Got, Want: f.Want, Hints: f.Hints}
	if f.Cause != nil {
		w.Message += ": " + fault.Foreign(f.Cause.Error(), 600)
	}
	return w
}

func (w *Refusal) fault() error {
	return &fault.Error{Code: w.Code, Rule: w.Rule, Message: w.Message, Field: w.Field, Got: w.Got, Want: w.Want, Hints: w.Hints}
}

// runRequest names a run on a host.
type runRequest struct {
	Workdir string `json:"workdir"`
	RunID   string `json:"run_id"`
	Since   int    `json:"since,omitempty"`  // status: events after this seq
	Name    string `json:"name,omitempty"`   // file: relative to the run folder
	Reason  string `json:"reason,omitempty"` // cancel: why
}

// prepared answers VerbPrepare.
type prepared struct {
	Dir     string   `json:"dir"`     // absolute run folder
	State   string   `json:"state"`   // as in Status
	Missing []string `json:"missing"` // inbox files that must still be uploaded
}

// fileAnswer answers VerbFile.
type fileAnswer struct {
	Path   string `json:"path"` // absolute
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// ProbeRequest asks what a host is like and what lies on it.
type ProbeRequest struct {
	LeaseDir string                      `json:"lease_dir"`
	Workdir  string                      `json:"workdir"`
	Device   string                      `json:"device"`
	Engines  map[string]framework.Engine `json:"engines"`
	Models   map[string]string           `json:"models"` // model id → folder; "" looks in HFCache
	HFCache  string                      `json:"hf_cache"`
}

// queryRequest asks for an engine's help or version output.
type queryRequest struct {
	Argv    []string          `json:"argv"`
	Env     map[string]string `json:"env"`
	Timeout time.Duration     `json:"timeout_ns"`
}

// queryAnswer is what the command printed and how it ended.
type queryAnswer struct {
	Out      string `json:"out"`
	Err      string `json:"err"`
	Exit     int    `json:"exit"` // -1 when a signal ended it
	TimedOut bool   `json:"timed_out,omitempty"`
	Cut      bool   `json:"cut,omitempty"` // output beyond the cap was dropped
}

// Package names an installed Python package on a host.
type Package struct {
	Dir        string   `json:"dir,omitempty"`     // the package's folder; "" = found by the fields below
	Venv       string   `json:"venv,omitempty"`    // virtual environment
	Program    string   `json:"program,omitempty"` // the engine's executable, where there is no venv
	ImportName string   `json:"import_name"`
	Files      []string `json:"files,omitempty"` // to digest, relative to the package
}

// Installed is what VerbInstalled found. A file that is not there is absent from Digests.
type Installed struct {
	Dir     string            `json:"dir"`
	Digests map[string]string `json:"digests"`
}

// Reaped says what a reap did.
type Reaped struct {
	Killed []Proc `json:"killed"` // ours, signalled and gone
	Left   []Proc `json:"left"`   // ours, still there
}

// decodeAnswer reads one envelope into answer.
func decodeAnswer(raw []byte, answer any) error {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return fmt.Errorf("read the worker's answer: %w", err)
	}
	switch {
	case e.V > PlanVersion:
		return fmt.Errorf("read the worker's answer: version %d is newer than %d", e.V, PlanVersion)
	case e.Fault != nil:
		return e.Fault.fault()
	case e.Answer == nil:
		return errors.New("read the worker's answer: neither answer nor fault")
	}
	return json.Unmarshal(e.Answer, answer)
}
