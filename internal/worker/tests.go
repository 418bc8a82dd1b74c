package worker

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/fault"
)

const (
	defaultTestTimeout = 10 * time.Minute
	maxTestTimeout     = time.Hour
	maxFailing         = 200 // node ids in an event
)

// testID is what tests are named by: no option, no expression.
var testID = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./-]*(::[A-Za-z0-9_.\[\]-]+)*$`)

// checkTests refuses test runs that are more than pytest over paths of the tree.
func (p *Plan) checkTests() error {
	var before []string
	for i := range p.Tests {
		t := &p.Tests[i]
		wrong := func(format string, args ...any) error {
			return fault.New(fault.InvalidInput, "test run %q: "+format, append([]any{t.ID}, args...)...).At("tests", t.ID)
		}
		for field, id := range map[string]string{"tests.id": t.ID, "tests.tar": t.Tar} {
			if err := checkID(field, id); err != nil {
				return err
			}
		}
		switch {
		case slices.Contains(before, t.ID):
			return wrong("it is planned twice")
		case t.Overlay == nil:
			return wrong("it has no overlay")
		case len(t.Tests) == 0 || t.Python == "":
			return wrong("it names no test, or no interpreter")
		case t.Unless != "" && !slices.Contains(before, t.Unless):
			return wrong("it waits for %q, which is not before it", t.Unless)
		case t.Timeout > maxTestTimeout:
			return wrong("%s is longer than %s", t.Timeout, maxTestTimeout)
		}
		for _, id := range t.Tests {
			if file, _, _ := strings.Cut(id, "::"); !testID.MatchString(id) || path.Clean(file) != file || strings.HasPrefix(file, "..") {
				return wrong("%q is no test of the tree", id)
			}
		}
		if err := t.Overlay.check(); err != nil {
			return err
		}
		setDefault(&t.Timeout, defaultTestTimeout)
		before = append(before, t.ID)
	}
	return nil
}

// argv is the command line of a test run: the interpreter, pytest, and tests. Those inside the package are the overlay's
// own files, so that the package is imported from there; the others lie in the tree's folder, which is the current one.
func (t *TestRun) argv(python, pkg string) []string {
	out := append([]string{python, "-m", "pytest", "-pno:cacheprovider", "-rfE"}, t.Options...)
	out = append(out, "--")
	for _, id := range t.Tests {
		if rel, inside := strings.CutPrefix(id, strings.TrimSuffix(t.PackageRoot, "/")+"/"); inside && t.PackageRoot != "" {
			id = path.Join(pkg, rel)
		}
		out = append(out, id)
	}
	return out
}

var (
	countPattern   = regexp.MustCompile(`\b(\d+) (passed|failed|skipped|errors?|xfailed|xpassed|deselected)\b`)
	failingPattern = regexp.MustCompile(`^(?:FAILED|ERROR) (\S.*)$`)
)

// readTests reads pytest's own words: its last line with counts, and the short summary's lines of what failed. Tests print
// there too, so that nothing counts which does not fit the exit code.
func (r *TestResult) readTests(log []byte, pkg string) {
	seen := map[string]bool{}
	for line := range strings.Lines(string(log)) {
		line = strings.TrimSpace(line)
		if counts := countPattern.FindAllStringSubmatch(line, -1); counts != nil {
			r.Summary, r.Passed, r.Failed, r.Skipped = cleanLine(strings.Trim(line, "= "), maxReasonLine), 0, 0, 0
			for _, c := range counts {
				n, _ := strconv.Atoi(c[1])
				switch c[2] {
				case "passed", "xpassed":
					r.Passed += n
				case "failed", "error", "errors":
					r.Failed += n
				case "skipped", "xfailed":
					r.Skipped += n
				}
			}
		}
		if m := failingPattern.FindStringSubmatch(line); m != nil {
			id, _, _ := strings.Cut(m[1], " - ")
			seen[cleanLine(strings.TrimPrefix(id, pkg+"/"), maxReasonLine)] = true
		}
	}
	r.Failing = []string{}
	for id := range seen {
		r.Failing = append(r.Failing, id)
	}
	slices.Sort(r.Failing)
	r.Failing = r.Failing[:min(maxFailing, len(r.Failing))]
	r.Counted = !r.TimedOut && (r.Exit == 0 && r.Failed == 0 && r.Passed > 0 || r.Exit == 1 && r.Failed > 0 && len(r.Failing) > 0)
}
