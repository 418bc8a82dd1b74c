package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// sourceTree is a Python package as a simulated interpreter finds it: the files that were read, their digests, and
// where each function begins.
type sourceTree struct {
	dir    string                    // of the package
	loaded map[string]loadedModule   // by module name
	lines  map[string]map[string]int // file below the package → Class.function → line of its def
	text   map[string]string         // file below the package → contents
}

type loadedModule struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
}

// findPackage is the import system's search: PYTHONPATH first, then site-packages.
func (p *persona) findPackage(name string) (string, bool) {
	places := filepath.SplitList(p.env["PYTHONPATH"])
	if v := p.venv(); v != "" {
		places = append(places, filepath.Join(v, "lib", "python3.12", "site-packages"))
	}
	for _, dir := range places {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(filepath.Join(path, "__init__.py")); err == nil {
			return path, true
		}
	}
	return "", false
}

// loadSource reads files of a package, as importing them would.
func loadSource(dir string, files []string) (*sourceTree, error) {
	t := &sourceTree{dir: dir, loaded: map[string]loadedModule{}, lines: map[string]map[string]int{}, text: map[string]string{}}
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f))
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, raised("ModuleNotFoundError", "No module named '%s'", moduleName(dir, f))
		}
		if line := unbalanced(string(b)); line > 0 {
			return nil, &launchError{status: 1, lines: []string{fmt.Sprintf("  File \"%s\", line %d", path, line), "SyntaxError: invalid syntax"}}
		}
		sum := sha256.Sum256(b)
		t.loaded[moduleName(dir, f)] = loadedModule{File: path, SHA256: hex.EncodeToString(sum[:])}
		t.lines[f] = functionLines(string(b))
		t.text[f] = string(b)
	}
	return t, nil
}

// moduleName is sglang.srt.layers.x for srt/layers/x.py in a folder named sglang.
func moduleName(dir, file string) string {
	name := filepath.Base(dir) + "/" + strings.TrimSuffix(file, ".py")
	return strings.ReplaceAll(strings.TrimSuffix(name, "/__init__"), "/", ".")
}

// functionLines maps Class.function (or function) to the line of its def, which is what a profiler's frame names.
func functionLines(text string) map[string]int {
	def := regexp.MustCompile(`^(\s*)(class|def|async def)\s+(\w+)`)
	out := map[string]int{}
	class := ""
	for i, line := range strings.Split(text, "\n") {
		m := def.FindStringSubmatch(line)
		switch {
		case m == nil:
		case m[2] == "class":
			class = m[3]
		case m[1] == "":
			class = ""
			out[m[3]] = i + 1
		default:
			out[class+"."+m[3]] = i + 1
		}
	}
	return out
}

// unbalanced is the line of the first bracket or string that does not pair, 0 for none. It stands for the interpreter's
// own check and catches what a broken patch usually leaves.
func unbalanced(text string) int {
	closes := map[byte]byte{')': '(', ']': '[', '}': '{'}
	var stack []byte
	var lines []int
	line := 1
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\n':
			line++
		case '#':
			for i+1 < len(text) && text[i+1] != '\n' {
				i++
			}
		case '"', '\'':
			end, ok := stringEnd(text, i)
			if !ok {
				return line
			}
			line += strings.Count(text[i:end], "\n")
			i = end - 1
		case '(', '[', '{':
			stack, lines = append(stack, c), append(lines, line)
		case ')', ']', '}':
			if len(stack) == 0 || stack[len(stack)-1] != closes[c] {
				return line
			}
			stack, lines = stack[:len(stack)-1], lines[:len(lines)-1]
		}
	}
	if len(lines) > 0 {
		return lines[0]
	}
	return 0
}

// stringEnd is the index after the Python string that begins at i; only a triple-quoted one may hold line ends.
func stringEnd(text string, i int) (int, bool) {
	quote := text[i : i+1]
	if strings.HasPrefix(text[i:], strings.Repeat(quote, 3)) {
		quote = strings.Repeat(quote, 3)
	}
	for i += len(quote); i < len(text); i++ {
		switch {
		case text[i] == '\\':
			i++
		case text[i] == '\n' && len(quote) == 1:
			return 0, false
		case strings.HasPrefix(text[i:], quote):
			return i + len(quote), true
		}
	}
	return 0, false
}

// boolean reads a module constant NAME = True or False.
func (t *sourceTree) boolean(file, name string) (bool, error) {
	m := regexp.MustCompile(`(?m)^`+name+`\s*(?::\s*bool\s*)?=\s*(\w+)`).FindAllStringSubmatch(t.text[file], -1)
	if len(m) == 0 {
		return false, raised("ImportError", "cannot import name '%s' from '%s'", name, moduleName(t.dir, file))
	}
	switch v := m[len(m)-1][1]; v { // the last assignment holds
	case "True", "False":
		return v == "True", nil
	default:
		return false, raised("NameError", "name '%s' is not defined", v)
	}
}

// frame is a profiler's name of a function of this tree: path(line): function.
func (t *sourceTree) frame(file, function string) string {
	line := t.lines[file][function]
	name := function[strings.LastIndexByte(function, '.')+1:]
	return filepath.Base(t.dir) + "/" + file + "(" + strconv.Itoa(line) + "): " + name
}
