package hosts

import (
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// host reads one entry under "hosts" into dst.
func (w *walker) host(dst map[string]HostEntry) func(name string, key, value ast.Node) {
	return func(name string, key, value ast.Node) {
		e := HostEntry{
			Device: DeviceCUDA, GPUs: []int{}, Workdir: "~/sotaloop", LeaseDir: "/var/lock/sotaloop",
			HFCache: "~/.cache/huggingface", Models: map[string]string{}, Env: map[string]string{}, Secrets: []string{},
			Engines: map[string]EngineEntry{},
		}
		before := len(w.defects)
		w.mapping(value, "host "+name, fields{
			"ssh":       w.text("ssh", &e.SSH, checkDestination),
			"local":     w.boolean("local", &e.Local),
			"device":    w.choice("device", &e.Device, DeviceCUDA, DeviceCPU),
			"gpus":      w.indices("gpus", &e.GPUs, maxGPUIndex),
			"cores":     w.indices("cores", &e.Cores, maxCoreIndex),
			"workdir":   w.text("workdir", &e.Workdir, checkPath),
			"lease_dir": w.text("lease_dir", &e.LeaseDir, checkPath),
			"hf_cache":  w.text("hf_cache", &e.HFCache, checkPath),
			"models":    w.table("models", e.Models, checkText, checkPath),
			"env":       w.table("env", e.Env, checkPublicVariable, checkText),
			"secrets":   w.texts("secrets", &e.Secrets, checkVariable),
			"trace_mib": w.number("trace_mib", &e.TraceMiB, maxTraceMiB),
			"engines":   w.each("engines", checkName, w.engine(e.Engines)),
		})
		if len(w.defects) == before {
			w.wholeHost(name, e, key)
		}
		dst[name] = e
	}
}

// wholeHost checks what no single key can tell.
func (w *walker) wholeHost(name string, e HostEntry, key ast.Node) {
	switch {
	case e.Local && e.SSH != "":
		w.fail(key, "host %q has both %q and %q", name, "ssh", "local").Hint("keep one of them")
	case !e.Local && e.SSH == "":
		w.fail(key, "host %q says neither %q nor %q", name, "ssh: ALIAS", "local: true").Hint("add one of them")
	case e.Device == DeviceCPU && len(e.GPUs) > 0:
		w.fail(key, "host %q lists gpus but its device is %q", name, DeviceCPU).Hint("remove gpus, or set device: %s", DeviceCUDA)
	case e.Device == DeviceCUDA && len(e.Cores) > 0:
		w.fail(key, "host %q lists cores but its device is %q", name, DeviceCUDA).Hint("name gpus instead, or set device: %s", DeviceCPU)
	}
	for _, secret := range e.Secrets {
		if _, both := e.Env[secret]; both {
			w.fail(key, "%q of host %q is both a secret and in env", secret, name).Hint("remove it from env: a secret is listed by name only")
		}
	}
}

// engine reads one entry under "engines" into dst.
func (w *walker) engine(dst map[string]EngineEntry) func(name string, key, value ast.Node) {
	return func(name string, key, value ast.Node) {
		e := EngineEntry{TestRunner: []string{}, Env: map[string]string{}}
		before := len(w.defects)
		w.mapping(value, "engine "+name, fields{
			"type":         w.choice("engine type", &e.Type, engineTypes()...),
			"venv":         w.text("venv", &e.Venv, checkPath),
			"image":        w.text("image", &e.Image, checkImage),
			"command":      w.text("command", &e.Command, checkPath),
			"checkout":     w.text("checkout", &e.Checkout, checkPath),
			"package_root": w.text("package_root", &e.PackageRoot, checkInside),
			"import_name":  w.text("import_name", &e.ImportName, checkImport),
			"test_runner":  w.texts("test_runner", &e.TestRunner, checkText),
			"env":          w.table("env", e.Env, checkPublicVariable, checkText),
		})
		if len(w.defects) == before {
			w.wholeEngine(name, e, key)
		}
		dst[name] = e
	}
}

// wholeEngine checks what no single key can tell.
func (w *walker) wholeEngine(name string, e EngineEntry, key ast.Node) {
	if e.Type == "" {
		w.fail(key, "engine %q has no type", name).suggest("", engineTypes())
	}
	places := slices.DeleteFunc([]string{e.Venv, e.Image, e.Command}, func(s string) bool { return s == "" })
	if len(places) != 1 {
		w.fail(key, "engine %q needs exactly one of venv, image and command, not %d", name, len(places)).
			suggest("", []string{"venv", "image", "command"})
	}
	if e.PackageRoot != "" && e.Checkout == "" {
		w.fail(key, "engine %q has a package_root but no checkout", name).Hint("add checkout: the git checkout that holds it")
	}
}
