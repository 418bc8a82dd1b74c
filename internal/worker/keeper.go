package worker

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// Keeper guards an account on a host whose SSH key can do nothing but what sotaloop's transport sends, and of that only
// what the account's owner lists: `sotaloop worker gate` as a forced command. It runs its own program, never one that was
// uploaded.
type Keeper struct {
	Home     string             // "~" in requests
	Workdir  string             // absolute; runs and datasets lie here
	LeaseDir string             // absolute
	Engines  []framework.Engine // that may be launched and asked for their help
	Models   []string           // folders below which models lie
	Environ  []string           // of the account, for what is run
	Env      []string           // variables that a plan may set beside those that adapters set
	Trust    bool               // --trust-remote-code may be passed
	Overlays bool               // plans may bring source trees of their own: whoever has the key then runs any code

	// Sign signs receipts with a key that only this account can read; nil signs none.
	Sign func(statement []byte) (signature []byte, err error)
}

// ruleGated is what the gate refuses by.
const ruleGated = "host.gated"

func refused(format string, args ...any) *fault.Error {
	return fault.New(fault.Denied, format, args...).ByRule(ruleGated).Hint("the owner of the host's account decides what its gate lets in: sotaloop worker gate in its authorized_keys")
}

// vet judges the request of a verb before it is carried out.
func (k *Keeper) vet(verb string, raw []byte) error {
	if verb == VerbPrepare {
		var p Plan
		if err := json.Unmarshal(raw, &p); err != nil {
			return fault.Wrap(fault.InvalidInput, err, "the plan cannot be read")
		}
		return k.vetPlan(p)
	}
	var r struct {
		Workdir   string     `json:"workdir"`
		LeaseDir  string     `json:"lease_dir"`
		Argv      []string   `json:"argv"`
		Env       any        `json:"env"`
		Venv      string     `json:"venv"`
		Program   string     `json:"program"`
		Tokenizer *Tokenizer `json:"tokenizer"`
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return fault.Wrap(fault.InvalidInput, err, "the request cannot be read")
	}
	if r.Workdir != "" && !k.isWorkdir(r.Workdir) {
		return refused("workdir %q is not the one of this account's gate", r.Workdir).At("workdir", r.Workdir, k.Workdir)
	}
	switch verb {
	case VerbQuery:
		return k.vetQuery(r.Argv)
	case VerbInstalled:
		for _, place := range []string{r.Venv, r.Program} {
			if place != "" && !k.ofEngine(place) {
				return refused("%q belongs to no engine of this account's gate", place).At("venv", place)
			}
		}
	case VerbExamine:
		return k.vetExamine(raw)
	case VerbDataset:
		if r.Tokenizer == nil {
			return nil
		}
		for _, python := range r.Tokenizer.Pythons {
			if !k.ofEngine(python) {
				return refused("%q belongs to no engine of this account's gate", python).At("tokenizer.pythons", python)
			}
		}
		return k.vetPath(r.Tokenizer.Model)
	}
	return nil
}

// vetExamine lets the gate's own folders be looked at.
func (k *Keeper) vetExamine(raw []byte) error {
	var r ExamineRequest
	if err := json.Unmarshal(raw, &r); err != nil {
		return fault.Wrap(fault.InvalidInput, err, "the request cannot be read")
	}
	if !k.is(r.LeaseDir, k.LeaseDir) {
		return refused("lease_dir %q is not the one of this account's gate", r.LeaseDir).At("lease_dir", r.LeaseDir, k.LeaseDir)
	}
	for name, e := range r.Engines {
		if place := e.Venv + e.Command; place != "" && !k.ofEngine(place) {
			return refused("%q belongs to no engine of this account's gate", place).At("engines."+name, place)
		}
	}
	return nil
}

// isWorkdir says whether a request's workdir is the gate's.
func (k *Keeper) isWorkdir(given string) bool { return k.is(given, k.Workdir) }

// is says whether a path of a request is a folder of the gate's.
func (k *Keeper) is(given, folder string) bool {
	abs, err := expand(given, k.Home)
	return err == nil && abs == folder
}

// ofEngine says whether a path lies in the folder of an engine.
func (k *Keeper) ofEngine(path string) bool {
	return slices.ContainsFunc(k.Engines, func(e framework.Engine) bool { return below(path, e.Venv+e.Command) })
}

// below says whether a path without detours lies below a folder, or is it.
func below(path, folder string) bool {
	return folder != "" && filepath.IsAbs(path) && filepath.Clean(path) == path && (path == folder || strings.HasPrefix(path, folder+"/"))
}

// vetQuery lets an engine be asked for its help and its version, by the adapter's own words.
func (k *Keeper) vetQuery(argv []string) error {
	for _, e := range k.Engines {
		fw, err := framework.Of(e.Type)
		if err != nil {
			return err
		}
		allowed := [][]string{fw.VersionCommand(e)}
		for _, command := range []string{"serve", "bench"} {
			if help, err := fw.HelpCommand(e, command); err == nil {
				allowed = append(allowed, help)
			}
		}
		if slices.ContainsFunc(allowed, func(a []string) bool { return slices.Equal(a, argv) }) {
			return nil
		}
	}
	return refused("%q asks no engine of this account's gate for its help or version", argv).At("argv", fmt.Sprint(argv))
}

func (k *Keeper) vetPlan(p Plan) error {
	switch {
	case !k.isWorkdir(p.Workdir):
		return refused("workdir %q is not the one of this account's gate", p.Workdir).At("workdir", p.Workdir, k.Workdir)
	case !k.is(p.LeaseDir, k.LeaseDir):
		return refused("lease_dir %q is not the one of this account's gate", p.LeaseDir).At("lease_dir", p.LeaseDir, k.LeaseDir)
	}
	if len(p.Tests) > 0 && !k.Overlays {
		return refused("the plan runs tests of a source tree, and this account's gate takes none: a tree is any code of whoever has the key").At("tests", p.Tests[0].ID)
	}
	for _, l := range p.Launches {
		if l.Overlay != nil && !k.Overlays {
			return refused("launch %q brings a source tree, and this account's gate takes none: a tree is any code of whoever has the key", l.ID).At("launches.overlay", l.Overlay.Tree)
		}
		if err := k.vetLaunch(l, p.Device); err != nil {
			return err
		}
	}
	return nil
}

// vetLaunch lets an engine be launched as its adapter launches it: its program and subcommand, no flag that loads code,
// no path but a listed model's, no variable but the adapter's and the listed ones.
func (k *Keeper) vetLaunch(l Launch, device string) error {
	fw, err := framework.Of(l.Framework)
	if err != nil {
		return err
	}
	for _, e := range k.Engines {
		if e.Type != l.Framework {
			continue
		}
		const model = "/model"
		own, err := fw.Launch(framework.Spec{Engine: e, ModelPath: model, ServedName: "m", Device: device})
		if err != nil {
			return err
		}
		end := slices.IndexFunc(own.Argv, func(a string) bool { return a == model || strings.HasPrefix(a, "--") })
		if end < 1 || len(l.Argv) <= end || !slices.Equal(own.Argv[:end], l.Argv[:end]) {
			continue
		}
		if err := k.vetArguments(fw, l.Argv[end:]); err != nil {
			return err
		}
		profiled, err := fw.Launch(framework.Spec{Engine: e, ModelPath: model, ServedName: "m", Device: device, Capture: true, Steps: 1})
		if err != nil {
			return err
		}
		return k.vetEnv(own.Env, profiled.Env, l.Env)
	}
	return refused("launch %q starts %q, which is no engine of this account's gate", l.ID, fault.Foreign(strings.Join(l.Argv[:min(3, len(l.Argv))], " "), 200)).At("launches.argv", "")
}

// decimal is a value that names nothing.
var decimal = regexp.MustCompile(`^-?[0-9.]+$`)

func (k *Keeper) vetArguments(fw framework.Framework, args []string) error {
	flag := ""
	for i, arg := range args {
		value := arg
		if name, given, ok := strings.Cut(arg, "="); strings.HasPrefix(arg, "-") {
			flag, value = strings.TrimLeft(name, "-"), ""
			if ok {
				value = given
			} else if i+1 < len(args) && !strings.HasPrefix(args[i+1], "-") {
				value = args[i+1]
			}
			if err := k.vetFlag(fw, flag, value); err != nil {
				return err
			}
			if !ok {
				continue // its value comes next
			}
		}
		if flag == "served-model-name" {
			continue // a name of ours that engines do not open
		}
		if err := k.vetPath(value); err != nil {
			return err
		}
	}
	return nil
}

// vetFlag refuses what loads code: a flag that the adapter knows for it, or whose name says so and whose value is no number.
func (k *Keeper) vetFlag(fw framework.Framework, name, value string) error {
	listed := fw.Class(framework.Flag{Name: name, Kind: framework.KindBool}) == framework.ClassForbidden
	byName := fw.Class(framework.Flag{Name: name, Kind: framework.KindString}) == framework.ClassForbidden
	switch {
	case listed, byName && value != "" && !decimal.MatchString(value):
		return refused("--%s loads code or opens files", name).At("launches.argv", name)
	case strings.ReplaceAll(name, "_", "-") == "trust-remote-code" && !k.Trust:
		return refused("--%s runs code of the checkpoint, and this account's gate does not allow it", name).At("launches.argv", name)
	}
	return nil
}

// ownFolder is a folder that the worker fills in, and what lies below it.
var ownFolder = regexp.MustCompile(`^\{(run_dir|output_dir|cache_dir)\}(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$`)

// vetPath refuses a value that names a file outside of the folders of models.
func (k *Keeper) vetPath(value string) error {
	if !strings.ContainsAny(value, `/~\`) || ownFolder.MatchString(value) {
		return nil
	}
	if slices.ContainsFunc(k.Models, func(folder string) bool { return below(value, folder) }) {
		return nil
	}
	return refused("%q lies below no folder of models of this account's gate", fault.Foreign(value, 200)).At("launches.argv", value, k.Models...)
}

// steps is which steps of a profiler are captured.
var steps = regexp.MustCompile(`^[0-9]+(-[0-9]+)?$`)

func (k *Keeper) vetEnv(own, profiled, given map[string]string) error {
	always := []string{"OMP_NUM_THREADS", "MKL_NUM_THREADS"}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		v := given[name]
		mine, plain := own[name]
		if plain && mine == v {
			continue
		}
		if x, ok := profiled[name]; ok && !plain && (x == v || steps.MatchString(x) && steps.MatchString(v)) {
			continue
		}
		if slices.Contains(always, name) && decimal.MatchString(given[name]) || slices.Contains(k.Env, name) {
			continue
		}
		return refused("this account's gate lets no plan set %s", name).At("launches.env", name, append(always, k.Env...)...)
	}
	return nil
}

// NewKeeper reads what the owner of an account wrote: engines as TYPE=FOLDER, a virtual environment or a folder of programs.
func NewKeeper(k Keeper, engines []string) (*Keeper, error) {
	for _, text := range engines {
		kind, folder, _ := strings.Cut(text, "=")
		if _, err := framework.Of(contract.Framework(kind)); err != nil || !filepath.IsAbs(folder) || filepath.Clean(folder) != folder {
			return nil, fault.New(fault.InvalidInput, "engine %q is no TYPE=FOLDER with an absolute folder", text).At("engine", text).Hint("write --engine sglang=/opt/venvs/sglang")
		}
		for _, e := range []framework.Engine{{Venv: folder}, {Command: folder}} {
			e.Entry, e.Type = kind, contract.Framework(kind)
			k.Engines = append(k.Engines, e)
		}
	}
	if k.Sign != nil && k.Overlays {
		return nil, fault.New(fault.InvalidInput, "a gate that takes source trees signs no receipts: code of a tree runs in this account and can read its key").At("gate", "--receipt-key with --overlays").
			Hint("leave one of them out; before --overlays, move the key where this account cannot read it, and give the host another one afterwards")
	}
	for _, folder := range append([]string{k.Workdir, k.LeaseDir}, k.Models...) {
		if !filepath.IsAbs(folder) || filepath.Clean(folder) != folder {
			return nil, fault.New(fault.InvalidInput, "%q is not an absolute folder", folder).At("gate", folder).Hint("write absolute folders without detours")
		}
	}
	return &k, nil
}
