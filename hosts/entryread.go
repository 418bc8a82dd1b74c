package hosts

import (
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/sotaloop/sotaloop/internal/yamlfile"
)

// walker reads hosts.yaml.
type walker struct{ *yamlfile.Walker }

// maxTraceMiB bounds trace_mib: a tebibyte.
const maxTraceMiB = 1 << 20

// host reads one entry under "hosts" into dst.
func (w *walker) host(dst map[string]HostEntry) func(name string, key, value ast.Node) {
	return func(name string, key, value ast.Node) {
		e := HostEntry{
			Device: DeviceCUDA, GPUs: []int{}, Workdir: "~/sotaloop", LeaseDir: "/var/lock/sotaloop",
			HFCache: "~/.cache/huggingface", Models: map[string]string{}, Env: map[string]string{}, Secrets: []string{},
			Engines: map[string]EngineEntry{},
		}
		before := w.Defects()
		w.Mapping(value, "host "+name, yamlfile.Fields{
			"ssh":         w.Text("ssh", &e.SSH, checkDestination),
			"local":       w.Boolean("local", &e.Local),
			"device":      w.Choice("device", &e.Device, DeviceCUDA, DeviceCPU),
			"gpus":        w.Indices("gpus", &e.GPUs, maxGPUIndex),
			"cores":       w.Indices("cores", &e.Cores, maxCoreIndex),
			"workdir":     w.Text("workdir", &e.Workdir, checkPath),
			"lease_dir":   w.Text("lease_dir", &e.LeaseDir, checkPath),
			"hf_cache":    w.Text("hf_cache", &e.HFCache, checkPath),
			"models":      w.Table("models", e.Models, checkText, checkPath),
			"env":         w.Table("env", e.Env, checkPublicVariable, checkText),
			"secrets":     w.Texts("secrets", &e.Secrets, checkVariable),
			"trace_mib":   w.Number("trace_mib", &e.TraceMiB, maxTraceMiB),
			"receipt_key": w.Text("receipt_key", &e.ReceiptKey, checkPublicKey),
			"engines":     w.Each("engines", checkName, w.engine(e.Engines)),
		})
		if w.Defects() == before {
			w.wholeHost(name, e, key)
		}
		dst[name] = e
	}
}

// wholeHost checks what no single key can tell.
func (w *walker) wholeHost(name string, e HostEntry, key ast.Node) {
	switch {
	case e.Local && e.SSH != "":
		w.Fail(key, "host %q has both %q and %q", name, "ssh", "local").Hint("keep one of them")
	case !e.Local && e.SSH == "":
		w.Fail(key, "host %q says neither %q nor %q", name, "ssh: ALIAS", "local: true").Hint("add one of them")
	case e.Device == DeviceCPU && len(e.GPUs) > 0:
		w.Fail(key, "host %q lists gpus but its device is %q", name, DeviceCPU).Hint("remove gpus, or set device: %s", DeviceCUDA)
	case e.Device == DeviceCUDA && len(e.Cores) > 0:
		w.Fail(key, "host %q lists cores but its device is %q", name, DeviceCUDA).Hint("name gpus instead, or set device: %s", DeviceCPU)
	}
	for _, secret := range e.Secrets {
		if _, both := e.Env[secret]; both {
			w.Fail(key, "%q of host %q is both a secret and in env", secret, name).Hint("remove it from env: a secret is listed by name only")
		}
	}
}

// engine reads one entry under "engines" into dst.
func (w *walker) engine(dst map[string]EngineEntry) func(name string, key, value ast.Node) {
	return func(name string, key, value ast.Node) {
		e := EngineEntry{TestRunner: []string{}, Env: map[string]string{}}
		before := w.Defects()
		w.Mapping(value, "engine "+name, yamlfile.Fields{
			"type":         w.Choice("engine type", &e.Type, engineTypes()...),
			"venv":         w.Text("venv", &e.Venv, checkPath),
			"image":        w.Text("image", &e.Image, checkImage),
			"command":      w.Text("command", &e.Command, checkPath),
			"checkout":     w.Text("checkout", &e.Checkout, checkPath),
			"package_root": w.Text("package_root", &e.PackageRoot, checkInside),
			"import_name":  w.Text("import_name", &e.ImportName, checkImport),
			"test_runner":  w.Texts("test_runner", &e.TestRunner, checkText),
			"env":          w.Table("env", e.Env, checkPublicVariable, checkText),
		})
		if w.Defects() == before {
			w.wholeEngine(name, e, key)
		}
		dst[name] = e
	}
}

// wholeEngine checks what no single key can tell.
func (w *walker) wholeEngine(name string, e EngineEntry, key ast.Node) {
	if e.Type == "" {
		w.Fail(key, "engine %q has no type", name).Suggest("", engineTypes())
	}
	places := slices.DeleteFunc([]string{e.Venv, e.Image, e.Command}, func(s string) bool { return s == "" })
	if len(places) != 1 {
		w.Fail(key, "engine %q needs exactly one of venv, image and command, not %d", name, len(places)).
			Suggest("", []string{"venv", "image", "command"})
	}
	if n := len(e.TestRunner); n > 0 && (n < 3 || e.TestRunner[0] != "python" || e.TestRunner[1] != "-m" || e.TestRunner[2] != "pytest") {
		w.Fail(key, "engine %q has test_runner %q, and tests of a patch are run by pytest of the engine's own environment", name, e.TestRunner).
			Hint("write test_runner: [python, -m, pytest], followed by options of pytest")
	}
	if e.PackageRoot != "" && e.Checkout == "" {
		w.Fail(key, "engine %q has a package_root but no checkout", name).Hint("add checkout: the git checkout that holds it")
	}
}
