package sim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// python is the interpreter beside the program that was called.
func (p *persona) python() string { return filepath.Join(filepath.Dir(p.link), "python") }

// owner is the framework type whose virtual environment this is.
func (p *persona) owner() (product, bool) {
	folder := filepath.Base(p.venv())
	for _, id := range EngineTypes() {
		if pr, _ := productOf(id); pr.folder == folder {
			return pr, true
		}
	}
	return product{}, false
}

// runPython plays the interpreter: `-m` of the few modules that are laid out, and the queries that tell what is installed.
func runPython(p *persona) int {
	args := p.args
	for len(args) > 0 && (args[0] == "-u" || args[0] == "-I" || args[0] == "-B" || args[0] == "-s" || args[0] == "-E") {
		args = args[1:]
	}
	switch {
	case len(args) == 0:
		return p.fail(2, "the simulated interpreter has no prompt; it answers `-m MODULE` and version queries")
	case args[0] == "--version" || args[0] == "-V":
		fmt.Fprintf(p.stdout, "Python %s\n", pythonVersion)
		return 0
	case args[0] == "-c" && len(args) > 1:
		return p.command(args[1])
	case args[0] == "-m" && len(args) > 1:
		return p.module(args[1], args[2:])
	case strings.HasPrefix(args[0], "-"):
		return p.fail(2, "the simulated interpreter does not know the option "+args[0])
	}
	return p.fail(2, "the simulated interpreter runs no scripts: "+args[0])
}

func (p *persona) fail(status int, text string) int {
	fmt.Fprintln(p.stderr, "python (simulated): "+text)
	return status
}

func (p *persona) module(name string, args []string) int {
	pr, ok := p.owner()
	switch {
	case name == childModule:
		return runChild(p, args)
	case name == "pytest":
		return runPytest(p, args)
	case !ok:
	case name == "sglang.launch_server" && pr.id == "sglang":
		return runSGLang(p, "launch_server.py", args)
	case name == "vllm.entrypoints.cli.main" && pr.id == "vllm":
		return runVLLM(p, args)
	case name == "vllm.entrypoints.openai.api_server" && pr.id == "vllm":
		return runVLLM(p, append([]string{"serve"}, args...))
	case name == "tokenspeed.cli" && pr.id == "tokenspeed":
		return runTokenSpeed(p, args)
	}
	fmt.Fprintf(p.stderr, "%s: No module named %s\n", p.link, name)
	return 1
}

// command answers the fixed set of `-c` programs: versions, commits, places, TokenSpeed's engine help. What a program
// asks for is recognised by what it calls; everything else is refused, never half executed.
func (p *persona) command(code string) int {
	version := regexp.MustCompile(`\bversion\(\s*['"]([\w.-]+)['"]\s*\)`)
	attribute := regexp.MustCompile(`^\s*import\s+(\w+)\s*;\s*print\(\s*(\w+)\.__(version|file)__\s*\)\s*$`)
	switch {
	case strings.Contains(code, "prepare_server_args") && strings.Contains(code, "--help"):
		return p.tokenSpeedEngineHelp()
	case strings.Contains(code, "Tokenizer.from_file(sys.argv[1])"):
		return p.countTokens(os.Stdin)
	case strings.Contains(code, "direct_url.json"):
		return p.provenance(code)
	case attribute.MatchString(code):
		m := attribute.FindStringSubmatch(code)
		return p.attribute(m[1], m[2], m[3])
	case version.MatchString(code):
		names := []string{}
		for _, m := range version.FindAllStringSubmatch(code, -1) {
			names = append(names, m[1])
		}
		return p.versions(names)
	case regexp.MustCompile(`^\s*import sys;\s*print\(sys\.(version|executable|prefix)\)\s*$`).MatchString(code):
		return p.sysQuery(code)
	}
	return p.fail(1, "this program is not one of the version queries that the simulation answers")
}

func (p *persona) sysQuery(code string) int {
	switch {
	case strings.Contains(code, "executable"):
		fmt.Fprintln(p.stdout, p.link)
	case strings.Contains(code, "prefix"):
		fmt.Fprintln(p.stdout, p.venv())
	default:
		fmt.Fprintln(p.stdout, pythonVersion+" (simulated)")
	}
	return 0
}

// distVersion is the version of an installed distribution: the engine, and what it would bring along.
func (p *persona) distVersion(dist string) (string, bool) {
	pr, ok := p.owner()
	if ok && strings.EqualFold(strings.ReplaceAll(dist, "-", "_"), pr.dist) {
		return pr.version, true
	}
	v, found := map[string]string{"torch": "2.11.0", "triton": "3.6.0", "transformers": "5.12.1", "flashinfer-python": "0.6.12"}[dist]
	if dist == "sglang-kernel" && pr.id == "sglang" {
		return "0.4.4", true
	}
	return v, ok && found
}

func (p *persona) versions(names []string) int {
	out := []string{}
	for _, n := range names {
		v, ok := p.distVersion(n)
		if !ok {
			fmt.Fprintf(p.stderr, "Traceback (most recent call last):\n  File \"<string>\", line 1, in <module>\nimportlib.metadata.PackageNotFoundError: No package metadata was found for %s\n", n)
			return 1
		}
		out = append(out, v)
	}
	fmt.Fprintln(p.stdout, strings.Join(out, "\n"))
	return 0
}

func (p *persona) attribute(imported, asked, what string) int {
	pr, ok := p.owner()
	if !ok || imported != asked || imported != pr.folder {
		fmt.Fprintf(p.stderr, "ModuleNotFoundError: No module named '%s'\n", imported)
		return 1
	}
	dir, found := p.findPackage(imported)
	switch {
	case !found:
		fmt.Fprintf(p.stderr, "ModuleNotFoundError: No module named '%s'\n", imported)
		return 1
	case what == "file":
		fmt.Fprintln(p.stdout, filepath.Join(dir, "__init__.py"))
	default:
		fmt.Fprintln(p.stdout, pr.version)
	}
	return 0
}

// provenance prints the version where the program asks for it, and direct_url.json or an empty line.
func (p *persona) provenance(code string) int {
	pr, ok := p.owner()
	if !ok {
		return p.fail(1, "no framework is installed here")
	}
	if strings.Contains(code, "version") {
		fmt.Fprintln(p.stdout, pr.version)
	}
	b, err := os.ReadFile(filepath.Join(p.venv(), "lib", "python3.12", "site-packages", pr.dist+"-"+pr.version+".dist-info", "direct_url.json"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return p.fail(1, err.Error())
	}
	fmt.Fprintln(p.stdout, strings.Join(strings.Fields(string(b)), " "))
	return 0
}
