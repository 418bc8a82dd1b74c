// Package sotaloop_test holds what is true of the whole house: which package may import which, where third-party code
// lives, who may run programs, how long things may get, and that generated documentation is fresh.
package sotaloop_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/sotaloop/sotaloop"

// layers is the house from the ground up: a package imports packages of lower layers only, none of its own. Move a
// package when that makes the house plainer, and say why in docs/ARCHITECTURE.md. A room may have its place before it is
// built.
var layers = [][]string{
	{"internal/fault", "internal/redact", "internal/stats", "internal/chain", "internal/wildcard", "skills"}, // words and arithmetic that know nothing of us
	{"internal/contract", "internal/ledger", "internal/jobs", "internal/trace", "internal/yamlfile", "gitops", "transcripts", "internal/bundle"},
	{"internal/framework", "internal/bench", "internal/dataset", "internal/genuine", "internal/policy", "hosts", "internal/seal", "internal/witness"}, // one edge each: a framework's text, a load, its rows, an installation, a machine; what a report ends in
	{"internal/rules", "internal/worker", "internal/cookbook", "internal/discover"},                                                                   // what is allowed; what runs on a host; where a search may begin; what a host has
	{"internal/compare", "internal/doctor"}, // rows to verdicts; what a campaign would miss
	{"internal/search"},                     // verdict-free choice of the next candidate
	{"internal/loop"},                       // the campaign
	{"internal/report"},                     // reads the loop's state, never the reverse
	{"internal/verify"},                     // renders and recomputes all of the above, offline
	{"tools"},                               // what an agent can ask for
	{"server", "internal/dashboard", "internal/sim"}, // what the world speaks to
	{"cmd/sotaloop"}, // composition
}

// testSupport are packages that only tests import; like tests they are exempt from the layers.
var testSupport = []string{"hosts/hoststest"}

// home is where third-party code may be imported, and why there.
type home struct {
	pkg   string // import path prefix
	rooms []string
	why   string
}

// homes lists every third-party import of the product. Tests may import anything that go.mod has.
var homes = []home{
	{"github.com/mark3labs/mcp-go", []string{"server"}, "only server speaks MCP; tools are typed functions without a protocol"},
	{"github.com/invopop/jsonschema", []string{"server"}, "only server renders schemas"},
	{"github.com/go-git/go-git/v5", []string{"gitops"}, "only gitops touches git"},
	{"github.com/go-git/go-billy/v5", []string{"gitops"}, "go-git's file systems"},
	{"github.com/sourcegraph/go-diff", []string{"gitops"}, "only gitops reads diffs"},
	{"golang.org/x/text", []string{"gitops"}, "paths of a patch that collide by case or Unicode form"},
	{"golang.org/x/crypto/ssh", []string{"hosts", "hosts/hoststest", "gitops", "internal/sim", "cmd/sotaloop"},
		"SSH itself in hosts, its signatures in gitops, the simulated server in sim; cmd picks the approver's key"},
	{"github.com/skeema/knownhosts", []string{"hosts", "hosts/hoststest"}, "host keys"},
	{"github.com/goccy/go-yaml", []string{"hosts", "internal/policy", "internal/yamlfile", "internal/sim"}, "files that people write, and engine configuration on the simulated host"},
	{"github.com/klauspost/compress", []string{"internal/trace", "internal/bench", "internal/bundle"}, "traces, raw records and bundles are large enough to need a fast compressor"},
	{"github.com/secure-systems-lab/go-securesystemslib", []string{"gitops"}, "DSSE envelopes as every tool for supply chains reads them"},
	{"golang.org/x/sys", []string{"hosts", "hosts/hoststest", "internal/bench", "internal/chain", "internal/sim", "internal/worker"},
		"locks, signals, clocks and process groups, where the kernel is the subject"},
	{"golang.org/x/term", []string{"cmd/sotaloop"}, "only the commands for people see a terminal"},
	{"github.com/stretchr/testify", []string{"hosts/hoststest"}, "tests"},
}

// runners may start programs: everything else is a function of its inputs and needs no fake.
var runners = []string{"hosts", "hosts/hoststest", "internal/worker", "internal/sim", "cmd/sotaloop"}

// forbidden are selectors that have owners: import path and name, who may use them, and why.
var forbidden = []struct {
	pkg   string
	names []string
	rooms []string
	why   string
}{
	{"os/exec", []string{"Command", "CommandContext"}, runners, "only hosts, worker, sim and cmd run programs"},
	{"os", []string{"StartProcess"}, runners, "only hosts, worker, sim and cmd run programs"},
	{"syscall", []string{"Exec", "ForkExec", "StartProcess"}, runners, "only hosts, worker, sim and cmd run programs"},
	{"golang.org/x/sys/unix", []string{"Exec"}, runners, "only hosts, worker, sim and cmd run programs"},
	{"os", []string{"Getenv", "LookupEnv", "Environ", "ExpandEnv"}, []string{"cmd/sotaloop"}, "only cmd reads the environment; take the value as an option"},
	{"fmt", []string{"Print", "Printf", "Println"}, []string{"cmd/sotaloop"}, "standard output is the protocol's; write to a given io.Writer"},
}

// drawers are names that say nothing: whatever has no name yet ends up in them.
var drawers = []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "base", "shared"}

const (
	maxFileLines = 600
	maxFuncLines = 80
)

// source is one parsed Go file.
type source struct {
	path string // slash-separated, relative to the root
	room string // its folder
	test bool
	file *ast.File
	fset *token.FileSet
}

// notOurs says of a folder that nothing in it is kept by git, or written by us.
func notOurs(name string) bool {
	return slices.Contains([]string{".git", ".cache", ".bin", "bin", "dist"}, name) || filepath.Base(name) == "node_modules"
}

// parsed is every Go file of the tree, for every platform: build tags are not looked at.
var parsed = sync.OnceValues(func() ([]source, error) {
	var all []source
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (notOurs(name) || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		slashed := filepath.ToSlash(name)
		all = append(all, source{path: slashed, room: path.Dir(slashed), test: strings.HasSuffix(name, "_test.go"), file: f, fset: fset})
		return nil
	})
	return all, err
})

func sources(t *testing.T) []source {
	t.Helper()
	all, err := parsed()
	require.NoError(t, err)
	require.Greater(t, len(all), 100, "the walk found the tree")
	return all
}

// imports gives the import paths of a file by the names they have in it.
func (s source) imports() map[string]string {
	names := map[string]string{}
	for _, spec := range s.file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = p
	}
	return names
}

func layerOf(room string) int {
	return slices.IndexFunc(layers, func(rooms []string) bool { return slices.Contains(rooms, room) })
}

func TestLayers(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test || slices.Contains(testSupport, s.room) {
			continue
		}
		own := layerOf(s.room)
		if own < 0 {
			t.Errorf("%s: package %s is in no layer: give it a place in layers", s.path, s.room)
			continue
		}
		for _, p := range s.imports() {
			room, ours := strings.CutPrefix(p, module+"/")
			if !ours {
				continue
			}
			if slices.Contains(testSupport, room) {
				t.Errorf("%s imports %s, which is for tests", s.path, room)
			} else if layerOf(room) >= own {
				t.Errorf("%s (layer %d) imports %s (layer %d): only lower layers may be imported", s.path, own+1, room, layerOf(room)+1)
			}
		}
	}
}

// TestLayersDocumented compares the table of docs/ARCHITECTURE.md with layers.
func TestLayersDocumented(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("docs/ARCHITECTURE.md")
	require.NoError(t, err)
	var want []string
	for i, rooms := range slices.Backward(layers) {
		want = append(want, "| "+strconv.Itoa(i+1)+" | `"+strings.Join(rooms, "` · `")+"` |")
	}
	require.Contains(t, string(raw), "| Layer | Packages |\n|---|---|\n"+strings.Join(want, "\n")+"\n\n")
}

func TestThirdPartyHomes(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, s := range sources(t) {
		for _, p := range s.imports() {
			first, _, _ := strings.Cut(p, "/")
			if s.test || !strings.Contains(first, ".") || strings.HasPrefix(p, module) {
				continue
			}
			i := slices.IndexFunc(homes, func(h home) bool { return p == h.pkg || strings.HasPrefix(p, h.pkg+"/") })
			if i < 0 {
				t.Errorf("%s imports %s, which has no home: name one, with its reason, here and in docs/DEPENDENCIES.md", s.path, p)
				continue
			}
			used[homes[i].pkg+" in "+s.room] = true
			if !slices.Contains(homes[i].rooms, s.room) {
				t.Errorf("%s imports %s: %s", s.path, p, homes[i].why)
			}
		}
	}
	for _, h := range homes {
		for _, room := range h.rooms {
			if !used[h.pkg+" in "+room] {
				t.Errorf("homes allows %s in %s, which does not import it", h.pkg, room)
			}
		}
	}
}

func TestOwnedCalls(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		names := s.imports()
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			for _, f := range forbidden {
				if names[x.Name] == f.pkg && slices.Contains(f.names, sel.Sel.Name) && !slices.Contains(f.rooms, s.room) {
					t.Errorf("%s uses %s.%s: %s", s.fset.Position(sel.Pos()), f.pkg, sel.Sel.Name, f.why)
				}
			}
			return true
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		stem := strings.TrimSuffix(path.Base(s.path), ".go")
		if name := strings.TrimSuffix(s.file.Name.Name, "_test"); slices.Contains(drawers, name) || slices.Contains(drawers, path.Base(s.room)) {
			t.Errorf("%s: package %s is named after nothing: name what it holds", s.path, name)
		}
		if slices.Contains(drawers, stem) {
			t.Errorf("%s is named after nothing: name what it holds", s.path)
		}
	}
}

func TestNoInit(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: init runs before anybody can decide: build it where it is needed", s.fset.Position(f.Pos()))
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test {
			said[s.room] = said[s.room] || s.file.Doc != nil
		}
	}
	for room, ok := range said {
		if !ok {
			t.Errorf("package %s does not say what it is: write a package comment", room)
		}
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if n := s.fset.File(s.file.Pos()).LineCount(); n > maxFileLines {
			t.Errorf("%s has %d lines, at most %d: split it by what it knows", s.path, n, maxFileLines)
		}
		if s.test {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxFuncLines {
				t.Errorf("%s: %s has %d lines, at most %d", s.fset.Position(f.Pos()), f.Name.Name, n, maxFuncLines)
			}
		}
	}
}

// traces of one machine: folders that exist on a developer's computer only, and addresses of package registries, which
// every user configures for themselves. The words are put together here so that this file does not find itself.
var traces = regexp.MustCompile(strings.Join([]string{
	`(^|[\s"'=:(])/(` + "wo" + `rk|` + "fa" + `rm)/`,
	"/ho" + `me/[a-z][a-z0-9_-]*/`,
	"registry.npm" + "js.org", "proxy.gol" + "ang.org", "sum.gol" + "ang.org", "files.python" + "hosted.org",
}, "|"))

// hints are what a text must hold for traces to be worth looking for.
var hints = []string{"/wo" + "rk/", "/fa" + "rm/", "/ho" + "me/", "registry.npm" + "js", ".gol" + "ang.org", "files.python" + "hosted"}

// anybody are user names of examples.
var anybody = regexp.MustCompile("/ho" + `me/(me|you|user|agent|engineer|dev|ubuntu)/`)

func TestNoMachine(t *testing.T) {
	t.Parallel()
	require.Regexp(t, traces, "see /wo"+"rk/main", "the pattern finds what it is for")
	require.NoError(t, filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && notOurs(name):
			return filepath.SkipDir
		case !d.Type().IsRegular() || name == ".git": // in a linked working copy a file
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil || slices.Contains(text[:min(len(text), 8000)], 0) { // what holds zero bytes is no text
			return err
		}
		if !slices.ContainsFunc(hints, func(h string) bool { return bytes.Contains(text, []byte(h)) }) {
			return nil
		}
		for i, line := range strings.Split(string(text), "\n") {
			if found := traces.FindString(anybody.ReplaceAllString(line, "~/")); found != "" {
				t.Errorf("%s:%d names %q, which exists on one machine only", name, i+1, strings.TrimSpace(found))
			}
		}
		return nil
	}))
}
