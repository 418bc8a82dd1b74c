//go:build conformance

package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

// set is what one run of the suite asks for.
type set struct {
	name     string
	release  string   // the package's name in package.json
	args     []string // which scenarios
	required string   // file of the requirements, "" where the release has none
}

// sets are the last release for 2025-11-25 with everything in it, and the requirements of both revisions as they were
// frozen, with what is run and not scored.
var sets = []set{
	{name: "2025-11-25 release", release: "conformance-2025", args: []string{"--suite", "all"}},
	{name: "2025-11-25 requirements", release: "conformance-2026", args: []string{"--requirements", "2025-11-25"}, required: "requirements/2025-11-25.yaml"},
	{name: "2026-07-28 requirements", release: "conformance-2026", args: []string{"--requirements", "2026-07-28"}, required: "requirements/2026-07-28.yaml"},
}

// suite is an installed conformance suite.
type suite struct{ node, modules string }

// newSuite finds what make conformance installed, and a Node that runs it.
func newSuite(t *testing.T, dir string) suite {
	t.Helper()
	s := suite{modules: filepath.Join(dir, "node_modules")}
	require.DirExists(t, s.modules)
	shipped, err := filepath.Glob(filepath.Join(s.modules, "node-*", "bin", "node"))
	require.NoError(t, err)
	for _, node := range append(shipped, "node") {
		out, err := exec.CommandContext(t.Context(), node, "--version").Output()
		major, _, _ := strings.Cut(strings.TrimPrefix(string(out), "v"), ".")
		if n, _ := strconv.Atoi(major); err == nil && n >= 22 {
			s.node = node
			return s
		}
	}
	t.Fatal("the suite needs Node 22 or later, and there is none for this platform among its packages or on the path")
	return s
}

// result is what one run found.
type result struct {
	scenarios map[string]map[string]string // by scenario and check: the worst status
	why       map[string]string            // of a failed "scenario:check"
	unscored  map[string]string            // scenarios that the requirements do not count, and why
}

var summary = regexp.MustCompile(`(?m)^[✓✗] ([a-z0-9-]+): (\d+) passed, (\d+) failed`)

// written is when a scenario's folder was written.
var written = regexp.MustCompile(`-\d{4}-\d\d-\d\dT.*$`)

// ranks orders statuses from good to bad.
var ranks = map[string]int{"INFO": 0, "SKIPPED": 0, "SUCCESS": 1, "WARNING": 2, "FAILURE": 3}

// run runs a set against url.
func (s suite) run(t *testing.T, set set, url string) result {
	t.Helper()
	dir := t.TempDir()
	args := slices.Concat([]string{filepath.Join(s.modules, set.release, "dist", "index.js"), "server", "--url", url, "-o", dir}, set.args)
	text, err := s.output(t, filepath.Join(dir, "output.txt"), args)
	got := result{scenarios: map[string]map[string]string{}, why: map[string]string{}, unscored: map[string]string{}}
	for _, m := range summary.FindAllStringSubmatch(text, -1) {
		got.scenarios[m[1]] = map[string]string{}
	}
	require.NotEmpty(t, got.scenarios, "%v\n%s", err, text)
	files, err := filepath.Glob(filepath.Join(dir, "server-*", "checks.json"))
	require.NoError(t, err)
	require.Len(t, files, len(got.scenarios), "each scenario left its checks")
	for _, file := range files {
		name := written.ReplaceAllString(strings.TrimPrefix(filepath.Base(filepath.Dir(file)), "server-"), "")
		got.read(t, name, file)
	}
	if set.required != "" {
		got.unscored = unscored(t, filepath.Join(s.modules, set.release, set.required))
	}
	return got
}

// output runs Node and gives what it printed. Into a file: what is left in a pipe when Node exits is lost. Its exit status
// says what the suite thinks of failures; that is ours to judge.
func (s suite) output(t *testing.T, file string, args []string) (string, error) {
	t.Helper()
	f, err := os.Create(file)
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), s.node, args...)
	c.Stdout, c.Stderr = f, f
	failed := c.Run()
	require.NoError(t, f.Close())
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text), failed
}

// read takes one scenario's checks.
func (r result) read(t *testing.T, scenario, file string) {
	t.Helper()
	require.Contains(t, r.scenarios, scenario)
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var checks []struct {
		ID           string `json:"id"`
		Status       string `json:"status"`
		ErrorMessage string `json:"errorMessage"`
	}
	require.NoError(t, json.Unmarshal(raw, &checks))
	for _, c := range checks {
		rank, known := ranks[c.Status]
		require.True(t, known, "status %q of %s:%s", c.Status, scenario, c.ID)
		if before, seen := r.scenarios[scenario][c.ID]; !seen || rank > ranks[before] {
			r.scenarios[scenario][c.ID] = c.Status
		}
		if c.Status == "FAILURE" {
			r.why[scenario+":"+c.ID] = c.ErrorMessage
		}
	}
}

// unscored reads which scenarios a revision's requirements run without counting them.
func unscored(t *testing.T, file string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	var f struct {
		NotScored []struct{ Scenario, Reason string } `yaml:"not_scored"`
	}
	require.NoError(t, yaml.Unmarshal(raw, &f))
	out := map[string]string{}
	for _, s := range f.NotScored {
		out[s.Scenario] = s.Reason
	}
	return out
}

// expectation is a failure that is known: a scenario or "scenario:check", and why.
type expectation struct {
	Reason string
	Fails  []string
}

// expected reads the known failures of a server in a set.
func expected(t *testing.T, server, set string) map[string]string {
	t.Helper()
	raw, err := os.ReadFile("testdata/conformance/expected.yaml")
	require.NoError(t, err)
	var all map[string]map[string][]expectation
	require.NoError(t, yaml.UnmarshalWithOptions(raw, &all, yaml.Strict()))
	out := map[string]string{}
	for _, e := range all[server][set] {
		require.NotEmpty(t, strings.TrimSpace(e.Reason), "each expected failure has a reason")
		for _, name := range e.Fails {
			require.NotContains(t, out, name, "listed once")
			out[name] = e.Reason
		}
	}
	return out
}

// judge prints the run and fails the test where it differs from what is expected: a new failure, and an expected one that
// did not happen.
func (r result) judge(t *testing.T, server, set string) {
	t.Helper()
	want := expected(t, server, set)
	happened := map[string]bool{}
	var scored, extra tally
	lines := map[string][]string{}
	for _, scenario := range slices.Sorted(maps.Keys(r.scenarios)) {
		count := &scored
		if r.unscored[scenario] != "" {
			count = &extra
		}
		failed := false
		for _, check := range slices.Sorted(maps.Keys(r.scenarios[scenario])) {
			status, name := r.scenarios[scenario][check], scenario+":"+check
			count.check(status)
			if status != "FAILURE" {
				if status == "WARNING" {
					lines["warnings, which fail nothing"] = append(lines["warnings, which fail nothing"], name)
				}
				continue
			}
			failed = true
			reason, known := want[name], want[name] != ""
			if known {
				happened[name] = true
			} else if reason = want[scenario]; reason != "" {
				known, happened[scenario] = true, true
			}
			if !known {
				t.Errorf("%s, %s: %s failed, and it is not expected to: %s", server, set, name, r.why[name])
				continue
			}
			lines[reason] = append(lines[reason], name)
		}
		count.scenario(failed)
	}
	for name := range want {
		if !happened[name] {
			t.Errorf("%s, %s: %s is listed as an expected failure and did not fail: take it out", server, set, name)
		}
	}
	var text strings.Builder
	for _, reason := range slices.Sorted(maps.Keys(lines)) {
		fmt.Fprintf(&text, "\n  %s\n    %s", reason, strings.Join(lines[reason], "\n    "))
	}
	t.Logf("%s, %s: %s; not scored: %s%s", server, set, scored, extra, text.String())
}

// tally counts.
type tally struct{ passed, failed, checks, bad int }

func (c *tally) check(status string) {
	switch status {
	case "FAILURE":
		c.bad++
	case "SUCCESS", "WARNING":
		c.checks++
	}
}

func (c *tally) scenario(failed bool) {
	if failed {
		c.failed++
	} else {
		c.passed++
	}
}

func (c tally) String() string {
	return fmt.Sprintf("%d of %d scenarios pass (%d of %d checks)", c.passed, c.passed+c.failed, c.checks, c.checks+c.bad)
}
