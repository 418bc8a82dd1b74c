package worker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/fault"
)

var importName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

// findSpec prints the folder of a package without importing it. It runs isolated (-I), so that neither the caller's
// PYTHONPATH nor the user's own packages decide; the finders of editable installs, which are .pth files, count.
const findSpec = `import importlib.util as u, sys
s = u.find_spec(sys.argv[1])
print(list(s.submodule_search_locations)[0] if s and s.submodule_search_locations else "")`

// locate finds an installed package: where the plan says, else the one folder of that name in the environment's
// site-packages (no program is run for it), else what the environment's interpreter answers, which knows editable
// installs.
func locate(ctx context.Context, o HostOptions, p Package) (string, error) {
	if !importName.MatchString(p.ImportName) {
		return "", fault.New(fault.InvalidInput, "%q is not the name of a Python package", p.ImportName).At("import_name", p.ImportName)
	}
	if p.Dir != "" {
		return expand(p.Dir, o.Home)
	}
	rel := filepath.FromSlash(strings.ReplaceAll(p.ImportName, ".", "/"))
	venv, program, err := p.places(o.Home)
	if err != nil {
		return "", err
	}
	if found, _ := filepath.Glob(filepath.Join(globQuote(venv), "lib", "python*", "site-packages", rel)); venv != "" && len(found) == 1 {
		if info, err := os.Stat(found[0]); err == nil && info.IsDir() {
			return found[0], nil
		}
	}
	python := interpreter(venv, program)
	if python == "" {
		return "", fault.New(fault.NotFound, "no package %q and no interpreter in %q", p.ImportName, venv+program).At("venv", venv)
	}
	a, err := runQuery(ctx, o, queryRequest{Argv: []string{python, "-I", "-c", findSpec, p.ImportName}, Timeout: time.Minute})
	if err != nil {
		return "", err
	}
	dir := strings.TrimSpace(a.Out)
	if a.Exit != 0 || !filepath.IsAbs(dir) {
		return "", fault.New(fault.NotFound, "%q knows no package %q: %s", python, p.ImportName, fault.Foreign(a.Err, 200)).At("import_name", p.ImportName)
	}
	return dir, nil
}

// places resolves the virtual environment and program; a program in VENV/bin tells its environment.
func (p Package) places(home string) (venv, program string, err error) {
	if p.Venv != "" {
		if venv, err = expand(p.Venv, home); err != nil {
			return "", "", err
		}
	}
	if p.Program != "" {
		if program, err = expand(p.Program, home); err != nil {
			return "", "", err
		}
		if venv == "" && filepath.Base(filepath.Dir(program)) == "bin" {
			venv = filepath.Dir(filepath.Dir(program))
		}
	}
	if venv == "" && program == "" {
		return "", "", fault.New(fault.InvalidInput, "package %q is to be found without venv or program", p.ImportName).At("venv", "")
	}
	return venv, program, nil
}

func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// interpreter finds the Python that runs program: the environment's, the program itself, or its first line's.
func interpreter(venv, program string) string {
	for _, name := range []string{"python", "python3"} {
		if path := filepath.Join(venv, "bin", name); venv != "" && isProgram(path) {
			return path
		}
	}
	if strings.HasPrefix(filepath.Base(program), "python") && isProgram(program) {
		return program
	}
	f, err := os.Open(program)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	line, _, _ := bufio.NewReaderSize(f, 512).ReadLine()
	shebang, ok := bytes.CutPrefix(line, []byte("#!"))
	words := strings.Fields(string(shebang))
	if !ok || len(words) == 0 || !strings.HasPrefix(filepath.Base(words[0]), "python") || !isProgram(words[0]) {
		return ""
	}
	return words[0]
}

// installed answers VerbInstalled.
func installed(ctx context.Context, o HostOptions) (any, error) {
	p, err := request[Package](o)
	if err != nil {
		return nil, err
	}
	dir, err := locate(ctx, o, p)
	if err != nil {
		return nil, err
	}
	answer := Installed{Dir: dir, Digests: map[string]string{}}
	for _, file := range p.Files {
		if !filepath.IsLocal(file) {
			return nil, fault.New(fault.InvalidInput, "%q is not a path inside the package", file).At("files", file)
		}
		digest, err := digestFile(filepath.Join(dir, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fault.Wrap(fault.Denied, err, "%q of the installed package cannot be read", file)
		}
		answer.Digests[file] = digest
	}
	return answer, nil
}
