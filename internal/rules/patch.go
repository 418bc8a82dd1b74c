package rules

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Names that a patch may not touch: whoever changes the ruler measures nothing. A file or folder is of the harness where
// its stem is one of harness or begins with it and "_", or holds one of harnessWords between underscores; settings are
// the files by which test runners and builds are told what to do; compiled is what no diff of text should bring.
var (
	harness      = []string{"bench_serving", "bench_one_batch", "bench_offline", "benchmark", "benchmarks", "auto_benchmark", "profiler", "datasets", "conftest"}
	harnessWords = []string{"profiler", "profiling", "profile", "nvtx"}
	settings     = []string{"pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini", "setup.cfg", "setup.py", "pyproject.toml", "noxfile.py", "makefile", ".coveragerc"}
	compiled     = []string{".so", ".pyc", ".pyo", ".pyd", ".dylib", ".dll", ".o", ".a", ".cubin", ".fatbin", ".whl", ".egg"}
)

// ofHarness says why a path part is not a patch's to touch, empty where it is.
func ofHarness(part string) string {
	part = strings.ToLower(part)
	stem, ext := strings.TrimSuffix(part, path.Ext(part)), path.Ext(part)
	for _, h := range harness {
		if stem == h || strings.HasPrefix(stem, h+"_") {
			return "is part of the measuring harness"
		}
	}
	for word := range strings.SplitSeq(stem, "_") {
		if slices.Contains(harnessWords, word) {
			return "is part of the measuring harness"
		}
	}
	switch {
	case slices.Contains(settings, part):
		return "tells test runners or builds what to do"
	case slices.Contains(compiled, ext) || part == "__pycache__":
		return "is compiled code"
	}
	return ""
}

func harnessUntouched(f *Facts) *Violation {
	for _, p := range f.Patch.Paths {
		for part := range strings.SplitSeq(p, "/") {
			if why := ofHarness(part); why != "" {
				return &Violation{What: fmt.Sprintf("%q %s", p, why), Field: "diff", Got: p,
					Fix: "leave benchmark clients, datasets, profiler and timing code, test and build settings alone; patch what is measured"}
			}
		}
	}
	if len(f.Patch.Beside) > 0 {
		return &Violation{What: fmt.Sprintf("%q would be imported before every other module of its name", f.Patch.Beside[0]), Field: "diff", Got: f.Patch.Beside[0],
			Fix: "add modules inside the target's package"}
	}
	if len(f.Patch.ChangedTests) > 0 {
		return &Violation{What: fmt.Sprintf("existing test %q is changed", f.Patch.ChangedTests[0]), Field: "diff", Got: f.Patch.ChangedTests[0],
			Fix: "add tests in new files; expectations that exist stay"}
	}
	return nil
}

// parameters are the files in which a target declares its launch parameters, and those that launch it.
var parameters = []string{"server_args.py", "launch_server.py", "arg_utils.py", "dockerfile"}

func paramOnly(f *Facts) *Violation {
	for _, p := range f.Patch.Paths {
		name := strings.ToLower(path.Base(p))
		if !slices.Contains(parameters, name) && !slices.Contains([]string{".sh", ".md", ".rst"}, path.Ext(name)) {
			return nil
		}
	}
	if len(f.Patch.Paths) == 0 {
		return nil
	}
	return &Violation{What: fmt.Sprintf("the diff changes launch parameters only: %s", listed(f.Patch.Paths)), Field: "diff", Got: listed(f.Patch.Paths),
		Fix:  "a better default is a better candidate: search it, for every side alike, in a new campaign",
		Next: []fault.Next{{Tool: "open_campaign", Why: "from: this campaign, with the value in the search's space"}}}
}

func provenance(f *Facts) *Violation {
	if len(f.Patch.Unlicensed) > 0 {
		return &Violation{What: fmt.Sprintf("the diff takes a licence note away: %s", f.Patch.Unlicensed[0]), Field: "diff", Got: f.Patch.Unlicensed[0],
			Fix: "keep authors and licences where they are; move them with the code that they are about"}
	}
	if len(f.Patch.Borrowed) > 0 {
		return &Violation{What: fmt.Sprintf("code is said to come from elsewhere, and no licence is named: %s", f.Patch.Borrowed[0]), Field: "diff", Got: f.Patch.Borrowed[0],
			Want: []string{"a source and an SPDX-License-Identifier in the same file"}, Fix: "name source and licence beside the code that was taken"}
	}
	return nil
}

func patchLocation(f *Facts) *Violation {
	if f.Patch.TouchesCited || strings.TrimSpace(f.Patch.Elsewhere) != "" {
		return nil
	}
	return &Violation{What: "the diff does not touch the cited location's file", Field: "diff", Got: strings.Join(f.Patch.Paths, ", "), Want: []string{f.Evidence.Location},
		Fix: "change the cited place, or say in elsewhere which evidence shows that another place causes it"}
}

func predicted(f *Facts) *Violation {
	if g := f.Patch.Gain; g > 0 && g <= 10 {
		return nil
	}
	return &Violation{What: "a predicted gain is needed before the measurement", Field: "predicted_gain", Got: fmt.Sprint(f.Patch.Gain), Want: []string{"a ratio − 1, for example 0.05 for 5 %"},
		Fix: "say what the patch is worth on the contract's primary metric"}
}

// testID is a test's path or id below the repository: no option, no way out, no space.
var testID = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./-]*(::[A-Za-z0-9_.\[\]-]+)*$`)

func testIDs(f *Facts) *Violation {
	for _, t := range f.Patch.Tests {
		file, _, _ := strings.Cut(t, "::")
		if len(t) > 300 || !testID.MatchString(t) || path.Clean(file) != file || strings.HasPrefix(file, "..") {
			return &Violation{What: fmt.Sprintf("%q is no test id or path inside the repository", t), Field: "tests", Got: t, Want: []string{"test/test_x.py", "test/test_x.py::test_y"},
				Fix: "name tests only: options and commands are the engineer's, in hosts.yaml"}
		}
	}
	if len(f.Patch.MissingTests) > 0 {
		return &Violation{What: fmt.Sprintf("%q is no Python test file of the patched tree, and what is named is run", f.Patch.MissingTests[0]), Field: "tests", Got: f.Patch.MissingTests[0],
			Want: []string{"test/test_x.py", "test/test_x.py::test_y"}, Fix: "name test files of the checkout, or those that the diff adds; leave tests out where there are none"}
	}
	return nil
}

func oneProposal(f *Facts) *Violation {
	if len(f.Patch.OpenProposals) == 0 {
		return nil
	}
	return &Violation{What: fmt.Sprintf("%q is still open", f.Patch.OpenProposals[0]), Field: "campaign", Got: f.Patch.OpenProposals[0],
		Fix:  "one bottleneck a patch: finish the open proposal first",
		Next: []fault.Next{{Tool: "get_campaign", Why: "shows what the open proposal waits for"}}}
}

func approved(f *Facts) *Violation {
	a := f.Approval
	v := &Violation{Field: "proposal", Got: a.Proposal, Next: []fault.Next{{Tool: "wait_job", Why: "the proposal's job ends when the human has decided"}}}
	switch {
	case a.Decision == "reject":
		v.What, v.Fix, v.Next = fmt.Sprintf("%q was rejected: %s", a.Proposal, a.Reason), "answer the reason with another proposal", []fault.Next{{Tool: "propose_patch", Why: "a new proposal"}}
	case a.Problem != "":
		v.What, v.Fix = fmt.Sprintf("the approval of %q does not hold: %s", a.Proposal, a.Problem), "ask the engineer to run `"+a.Command+"` again"
	case a.Decision != "approve":
		v.What, v.Fix = fmt.Sprintf("%q waits for a human", a.Proposal), "ask the engineer to run `"+a.Command+"`; no tool approves"
	default:
		return nil
	}
	return v
}
