// Package framework knows the serving frameworks: how each is asked for its flags and version, launched, found ready,
// flushed, profiled, and how its failures read. It returns data and never runs anything: what the worker needs on a
// host travels to it as a Protocol inside the plan.
package framework

import (
	"github.com/sotaloop/sotaloop/internal/contract"
)

// Placeholders in argv, environment and request bodies, filled by the worker.
const (
	PortPlaceholder    = "{port}"       // the port the worker found free
	RunDirPlaceholder  = "{run_dir}"    // the launch's own folder on the host
	OutputPlaceholder  = "{output_dir}" // where a capture's traces go
	StepsPlaceholder   = "{num_steps}"  // profiler steps to ask for
	StagePlaceholder   = "{stage}"      // prefill or decode
	CachePlaceholder   = "{cache_dir}"  // JIT caches of this build, GPU and driver
	OverlayPlaceholder = "{overlay}"    // first on the import path
)

// Framework is one type of serving engine. There are four implementations; All lists them.
type Framework interface {
	// Type is the canonical name.
	Type() contract.Framework
	// HelpCommand is the argv whose output lists every flag of the command: "serve" or "bench".
	HelpCommand(e Engine, command string) ([]string, error)
	// ParseHelp reads that output.
	ParseHelp(text string) (Help, error)
	// VersionCommand is the argv that prints version and, where the build knows it, commit.
	VersionCommand(e Engine) []string
	// ParseVersion reads that output.
	ParseVersion(text string) (Version, error)
	// Class says what a flag is: a search knob, a contract term, the host's, or forbidden.
	Class(flag Flag) FlagClass
	// Role says what a flag decides beyond itself: tp, pp, dp, ep, context, backend, or "".
	Role(name string) string
	// Launch renders a launch; unknown, forbidden and contract flags in s.Flags are refused with a fault.
	Launch(s Spec) (Launch, error)
	// Protocol says how a launched server is talked to.
	Protocol(s Spec) Protocol
}

// Engine is one build of a framework on a host, from hosts.yaml.
type Engine struct {
	Entry       string             `json:"entry"`
	Type        contract.Framework `json:"type"`
	Venv        string             `json:"venv,omitempty"`
	Image       string             `json:"image,omitempty"`
	Command     string             `json:"command,omitempty"` // folder of the executables where there is no venv
	PackageRoot string             `json:"package_root,omitempty"`
	ImportName  string             `json:"import_name,omitempty"`
	Env         map[string]string  `json:"env,omitempty"`
}

// Spec asks for one launch.
type Spec struct {
	Engine     Engine
	ModelPath  string
	ServedName string
	Device     string // cuda or cpu
	GPUs       []int
	Contract   *contract.Contract
	Help       *Help // captured help; nil skips the check against it
	Flags      map[string]any
	Capture    bool // the launch takes profiler captures
	Steps      int  // profiler steps of each capture
}

// Launch is what starts a server: argv and environment, with placeholders.
type Launch struct {
	Argv []string          `json:"argv"`
	Env  map[string]string `json:"env"`
}

// Version is what an engine says of itself.
type Version struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Raw     string `json:"raw"`
}

// FlagClass says who decides a flag.
type FlagClass string

// The flag classes.
const (
	ClassSearch    FlagClass = "search"    // a knob: booleans, numbers, enumerations
	ClassContract  FlagClass = "contract"  // only from the contract
	ClassHost      FlagClass = "host"      // only from us: address, port, paths, logs, keys
	ClassForbidden FlagClass = "forbidden" // loads code, reads or writes named files
	ClassPinned    FlagClass = "pinned"    // searched only in a capacity study
	ClassUnlisted  FlagClass = "unlisted"  // free string or JSON that no list knows: refused unless the policy lists it
)

// Help is the parsed flags of one command of one build.
type Help struct {
	Flags  []Flag `json:"flags"`
	Digest string `json:"digest"` // SHA-256 of the text
}

// Flag is one option of a server command.
type Flag struct {
	Name       string   `json:"name"`              // the longest --name
	Aliases    []string `json:"aliases,omitempty"` // other spellings
	Kind       string   `json:"kind"`              // bool, int, float, enum, string, json, list
	Choices    []string `json:"choices,omitempty"`
	Default    string   `json:"default,omitempty"`
	Negation   string   `json:"negation,omitempty"` // --no-x where there is one
	Doc        string   `json:"doc,omitempty"`
	Group      string   `json:"group,omitempty"`
	Deprecated bool     `json:"deprecated,omitempty"`
	// Keys are what a JSON knob may hold, key → kind; empty where every key may be given or the flag is no knob.
	Keys map[string]string `json:"keys,omitempty"`
}

// Call is one HTTP request to a server's loopback port; Body may hold placeholders.
type Call struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Body   string `json:"body,omitempty"`
}

// Protocol is how a launched server is talked to; it travels inside the plan.
type Protocol struct {
	ReadyPath  string           `json:"ready_path"` // 200 = ready, together with ReadyLog where given
	ReadyLog   string           `json:"ready_log,omitempty"`
	ControlOff int              `json:"control_port_offset,omitempty"` // control endpoints on port+offset
	Phases     []LogPhase       `json:"phases"`
	Failures   []FailurePattern `json:"failures"`
	Flush      *Call            `json:"flush,omitempty"` // nil: the prefix cache cannot be flushed, unique prompts only
	InfoPaths  []string         `json:"info_paths"`      // resolved arguments, first that answers
	Metrics    string           `json:"metrics_path,omitempty"`
	Profile    Profile          `json:"profile"`
}

// LogPhase names a phase of a launch by a line that ends it.
type LogPhase struct {
	Name     string `json:"name"` // weights, jit, graphs, ready
	Contains string `json:"contains"`
}

// FailureClass says why a launch or a point failed.
type FailureClass string

// The failure classes.
const (
	FailOOM         FailureClass = "oom"
	FailPort        FailureClass = "port_in_use"
	FailUnknownFlag FailureClass = "unknown_flag"
	FailBadValue    FailureClass = "bad_value"
	FailModel       FailureClass = "model_missing"
	FailContext     FailureClass = "context_too_long"
	FailArch        FailureClass = "unsupported_hardware"
	FailABI         FailureClass = "abi_mismatch"
	FailNCCL        FailureClass = "nccl"
	FailChild       FailureClass = "child_died"
	FailStalled     FailureClass = "stalled"
	FailDeadline    FailureClass = "deadline"
	FailExited      FailureClass = "exited"
	FailOverlay     FailureClass = "overlay_not_loaded"
	FailForeign     FailureClass = "gpu_busy"
	FailChanged     FailureClass = "host_changed" // host or model are not what the contract froze
	FailCanceled    FailureClass = "cancelled"
)

// FailurePattern maps a piece of log text (matched without case) to a class; the first match in list order wins.
type FailurePattern struct {
	Class    FailureClass `json:"class"`
	Contains string       `json:"contains"`
}

// Profile is a framework's profiler protocol.
type Profile struct {
	Start        *Call    `json:"start,omitempty"` // nil: no profiler endpoint
	Stop         *Call    `json:"stop,omitempty"`
	StopMayFail  bool     `json:"stop_may_fail,omitempty"` // an automatic stop makes the explicit one an error
	ExtraSteps   int      `json:"extra_steps,omitempty"`   // ask for n more than wanted
	DirAtLaunch  bool     `json:"dir_at_launch,omitempty"` // traces land in the launch's own folder, whatever the stage
	OneStage     bool     `json:"one_stage,omitempty"`     // the trace's name is fixed at the first start: one launch a stage
	FilePatterns []string `json:"file_patterns"`
}
