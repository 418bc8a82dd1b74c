package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/genuine"
	"github.com/sotaloop/sotaloop/internal/worker"
)

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// examine asks the worker about folders, builds and secrets, and sends it bytes to see them arrive.
func (v *visit) examine(ctx context.Context, client *worker.Client, f *worker.Facts) {
	ctx, cancel := context.WithTimeout(ctx, examineTimeout)
	defer cancel()
	engines := map[string]framework.Engine{}
	for name, e := range v.entry.Engines {
		engines[name] = worker.EngineOf(name, e)
	}
	x, took, err := client.Examine(ctx, worker.ExamineRequest{LeaseDir: v.entry.LeaseDir, Engines: engines, Secrets: v.entry.Secrets})
	if err != nil {
		v.fault(Red, "transfer", err)
		return
	}
	v.ok("transfer", "1 MiB there and its digest back in %.2f s", took.Seconds())
	if x.Workdir != "" {
		v.red("workdir", "%s", fault.Foreign(x.Workdir, 200)).fix("change " + v.entryLine("workdir"))
	}
	if x.LeaseDir != "" {
		sudo := "sudo install -d -m 1777 " + word(v.entry.LeaseDir)
		v.red("lease_dir", "%s, so that no campaign could lease a device", fault.Foreign(x.LeaseDir, 200)).fix(v.here(sudo), "or change "+v.entryLine("lease_dir"))
	} else {
		v.ok("lease_dir", "%s can be used", v.entry.LeaseDir)
	}
	if len(v.entry.Engines) == 0 {
		v.warn("engines", "the entry names none, so that no campaign can run here").fix("sotaloop hosts add "+v.name+" (proposes what it finds)", "or add engines: by hand (README, Describing a host)")
	}
	for _, name := range sortedKeys(v.entry.Engines) {
		v.engine(name, v.entry.Engines[name], f, x.Builds[name])
	}
	var unset []string
	for _, name := range v.entry.Secrets {
		if !x.Secrets[name] {
			unset = append(unset, name)
		}
	}
	switch {
	case len(unset) > 0:
		v.warn("secrets", "%s: no such variable in a login without a terminal", strings.Join(unset, ", ")).fix("export it there where such logins read it: ~/.bashrc above its test for a terminal, ~/.zshenv, or /etc/environment")
	case len(v.entry.Secrets) > 0:
		v.ok("secrets", "%s set on the host; values stay there", strings.Join(v.entry.Secrets, ", "))
	}
}

// engine says which build an entry leads to.
func (v *visit) engine(name string, e hosts.EngineEntry, f *worker.Facts, b genuine.Build) {
	row := "engine " + name
	if gap := f.Engines[name]; gap != "" {
		field, value := "venv", e.Venv
		switch {
		case e.Image != "":
			field, value = "image", e.Image
		case e.Command != "":
			field, value = "command", e.Command
		}
		v.red(row, "%s: %s", value, fault.Foreign(gap, 200)).fix("correct "+v.entryLine("%s of engine %s", field, name), "or "+v.install(e))
		return
	}
	if e.Image != "" {
		v.warn(row, "%s %s: engines in images are not started yet", e.Type, e.Image).fix("name a virtual environment (venv) on the host instead")
		return
	}
	place := e.Venv + e.Command
	switch b.Kind {
	case genuine.KindEditable:
		at := "a folder that is in no git checkout"
		if b.Root != "" {
			at = fmt.Sprintf("%s at commit %.12s", fault.ForeignName(b.Root, 200), b.Commit)
		}
		v.ok(row, "%s %s, editable: %s", e.Type, fault.ForeignName(b.Version, 60), at)
	case genuine.KindWheel:
		commit := ""
		if b.Commit != "" {
			commit = fmt.Sprintf(", commit %.12s", fault.ForeignName(b.Commit, 60))
		}
		v.ok(row, "%s %s, wheel in %s%s", e.Type, fault.ForeignName(b.Version, 60), place, commit)
	default:
		x := v.warn(row, "no distribution of %s is installed in %s: its rows would be marked modified, and support no claim", e.Type, place)
		x.fix(v.install(e))
	}
}

// install is how an engine gets into a fresh virtual environment.
func (v *visit) install(e hosts.EngineEntry) string {
	venv := e.Venv
	if venv == "" {
		venv = "~/venvs/" + e.Type
	}
	names, _ := framework.Distributions(worker.EngineOf("", e).Type)
	return "install it: " + v.here(fmt.Sprintf("uv venv %s", word(venv))) + " and " + v.here(fmt.Sprintf("uv pip install --python %s %s", word(venv+"/bin/python"), names[0]))
}
