package sim

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// runPytest plays `python -m pytest PATHS`: it evaluates assertions about constants of modules (literal, `in`, `not in`,
// `==`, `is`, isinstance of bool), which is what the laid-out tests consist of. A test that needs a real interpreter is
// skipped and counted as skipped, never as passed; a run in which nothing passed exits with 1.
func runPytest(p *persona, args []string) int {
	files := []string{}
	for _, a := range args {
		if !strings.HasPrefix(a, "-") {
			files = append(files, testFiles(a)...)
		}
	}
	fmt.Fprintln(p.stdout, "============ test session starts (simulated interpreter) ============")
	passed, failed, skipped, summary := 0, 0, 0, ""
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return p.fail(4, "file or directory not found: "+f)
		}
		for _, t := range splitTests(string(b)) {
			verdict, why := t.run(p, string(b))
			switch verdict {
			case "PASSED":
				passed++
			case "FAILED":
				failed++
				summary += fmt.Sprintf("FAILED %s::%s%s\n", f, t.name, why)
			default:
				skipped++
			}
			fmt.Fprintf(p.stdout, "%s::%s %s%s\n", f, t.name, verdict, why)
		}
	}
	if slices.Contains(args, "-rfE") {
		fmt.Fprint(p.stdout, summary)
	}
	fmt.Fprintf(p.stdout, "============ %d passed, %d failed, %d skipped (simulated) ============\n", passed, failed, skipped)
	switch {
	case passed+failed+skipped == 0:
		return 5 // pytest: no tests collected
	case failed > 0 || passed == 0:
		return 1
	}
	return 0
}

// testFiles are a path's test files; a node id's function is ignored.
func testFiles(path string) []string {
	path, _, _ = strings.Cut(path, "::")
	if st, err := os.Stat(path); err != nil || !st.IsDir() {
		return []string{path}
	}
	out := []string{}
	_ = filepath.WalkDir(path, func(f string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasPrefix(filepath.Base(f), "test_") && strings.HasSuffix(f, ".py") {
			out = append(out, f)
		}
		return nil
	})
	slices.Sort(out)
	return out
}

// pyTest is one test function.
type pyTest struct {
	name string
	body []string
}

func splitTests(text string) []pyTest {
	out := []pyTest{}
	def := regexp.MustCompile(`^def (test_\w+)\(\):`)
	inside := false
	for line := range strings.SplitSeq(text, "\n") {
		if m := def.FindStringSubmatch(line); m != nil {
			out, inside = append(out, pyTest{name: m[1]}), true
			continue
		}
		if line != "" && line[0] != ' ' {
			inside = false
		}
		if s := strings.TrimSpace(line); inside && s != "" && !strings.HasPrefix(s, "#") {
			out[len(out)-1].body = append(out[len(out)-1].body, s)
		}
	}
	return out
}

// run evaluates a test; the second result explains what is not PASSED.
func (t pyTest) run(p *persona, file string) (verdict, why string) {
	for _, s := range t.body {
		expr, ok := strings.CutPrefix(s, "assert ")
		if !ok {
			return "SKIPPED", " (needs a real interpreter: " + s + ")"
		}
		holds, err := p.evaluate(expr, file)
		if err != nil {
			return "SKIPPED", " (needs a real interpreter: " + err.Error() + ")"
		}
		if !holds {
			return "FAILED", " - assert " + expr
		}
	}
	return "PASSED", ""
}

// evaluate decides one of the known forms of assertion.
func (p *persona) evaluate(expr, file string) (bool, error) {
	if m := regexp.MustCompile(`^isinstance\((\S+), bool\)$`).FindStringSubmatch(expr); m != nil {
		v, err := p.constant(m[1], file)
		return v == "True" || v == "False", err
	}
	m := regexp.MustCompile(`^(\S+) (in|not in|==|is) (\S+)$`).FindStringSubmatch(expr)
	if m == nil {
		return false, fmt.Errorf("%s", expr)
	}
	left, right := m[1], m[3]
	var err error
	if strings.Contains(right, ".") {
		if right, err = p.constant(right, file); err != nil {
			return false, err
		}
	}
	if strings.Contains(left, ".") && left[0] != '"' {
		if left, err = p.constant(left, file); err != nil {
			return false, err
		}
	}
	if m[2] == "==" || m[2] == "is" {
		return left == right, nil
	}
	items := splitList(strings.Trim(right, "()[]"))
	return slices.Contains(items, left) == (m[2] == "in"), nil
}

// constant reads module.NAME, the module being imported at the top of the test file.
func (p *persona) constant(ref, file string) (string, error) {
	module, name, _ := strings.Cut(ref, ".")
	m := regexp.MustCompile(`(?m)^from ([\w.]+) import ` + regexp.QuoteMeta(module) + `$`).FindStringSubmatch(file)
	if m == nil {
		return "", fmt.Errorf("%s is not imported", module)
	}
	pkg, rest, _ := strings.Cut(m[1], ".")
	dir, ok := p.findPackage(pkg)
	if !ok {
		return "", fmt.Errorf("no module named %s", pkg)
	}
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(strings.ReplaceAll(rest, ".", "/")), module+".py"))
	if err != nil {
		return "", fmt.Errorf("no module named %s.%s", m[1], module)
	}
	c := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `\s*(?::[^=]*)?=\s*(.+?)\s*$`).FindStringSubmatch(string(b))
	if c == nil {
		return "", fmt.Errorf("%s has no constant %s", module, name)
	}
	return c[1], nil
}
