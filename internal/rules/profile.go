package rules

import (
	"fmt"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

func profilerAPI(f *Facts) *Violation {
	if f.Capture.Endpoint {
		return nil
	}
	return &Violation{What: fmt.Sprintf("%q has no profiler endpoint in this build", f.Capture.Entry), Field: "candidate", Got: f.Capture.Entry,
		Fix:  "bring an existing trace to `sotaloop trace analyze`; evidence for a patch needs a build whose profiler can be started",
		Next: []fault.Next{{Tool: "write_report", Why: "end here without a patch"}}}
}

func separateStages(f *Facts) *Violation {
	for _, s := range f.Capture.Stages {
		prefill, decode := s.Stage == "prefill" && s.OutputLen == 1, s.Stage == "decode" && s.InputLen == 1
		if !prefill && !decode {
			return &Violation{What: fmt.Sprintf("a %s capture of %d → %d tokens holds both stages", s.Stage, s.InputLen, s.OutputLen), Field: "stage",
				Got: fmt.Sprintf("%d → %d", s.InputLen, s.OutputLen), Want: []string{"prefill: input → 1", "decode: 1 → output"}, Fix: "capture prefill and decode apart"}
		}
	}
	return nil
}

func profileLengths(f *Facts) *Violation {
	c := f.Capture
	for _, s := range c.Stages {
		got, want := s.InputLen, c.Scenario.InputLen
		if s.Stage == "decode" {
			got, want = min(s.OutputLen, c.Scenario.OutputLen), c.Scenario.OutputLen // enough steps may need more than a short answer
		}
		if got != want {
			return &Violation{What: fmt.Sprintf("a %s capture of %d → %d tokens is not of scenario %q", s.Stage, s.InputLen, s.OutputLen, c.Scenario.Name), Field: "scenario",
				Got: fmt.Sprint(got), Want: []string{fmt.Sprint(want)}, Fix: "capture at the scenario's lengths"}
		}
	}
	return nil
}

func sameScenario(f *Facts) *Violation {
	for _, r := range f.Evidence.Rows {
		if r.Target && r.Scenario != f.Evidence.Scenario {
			return &Violation{What: fmt.Sprintf("row %q was traced at the lengths of scenario %q, the symptom is in %q", r.ID, r.Scenario, f.Evidence.Scenario), Field: "rows",
				Got: r.Scenario, Want: []string{f.Evidence.Scenario}, Fix: "profile the target at the lengths of the scenario that it lost",
				Next: []fault.Next{{Tool: "capture_profile", Why: "captures the target in scenario " + f.Evidence.Scenario}}}
		}
	}
	return nil
}

func sameWindow(f *Facts) *Violation {
	for _, s := range f.Capture.Stages {
		if want, ok := f.Capture.Windows[s.Stage]; !ok || want.Warmup != s.Warmup || want.Steps != s.Steps {
			return &Violation{What: fmt.Sprintf("a %s capture of %d steps after %d is not every framework's", s.Stage, s.Steps, s.Warmup), Field: "stage",
				Got: fmt.Sprintf("%d after %d", s.Steps, s.Warmup), Want: []string{fmt.Sprintf("%d after %d", want.Steps, want.Warmup)}, Fix: "profile every framework in the same window"}
		}
	}
	return nil
}

func formalTrace(f *Facts) *Violation {
	for _, r := range f.Evidence.Rows {
		if r.Mapping {
			return &Violation{What: fmt.Sprintf("row %q is of a mapping trace, in which graphs were off", r.ID), Field: "rows", Got: r.ID,
				Fix:  "cite rows of the formal trace: analysed again, it has the mapping's source locations",
				Next: []fault.Next{{Tool: "analyze_trace", Why: "tables of the formal trace, mapped to source"}}}
		}
	}
	return nil
}

// listed joins names for a message.
func listed(names []string) string { return strings.Join(names[:min(len(names), 4)], ", ") }

// minMapped is the least share of a stage's GPU time that a single trace has to map to source.
const minMapped = 0.7

func mapped(f *Facts) *Violation {
	for _, r := range f.Evidence.Rows {
		if r.Target && !r.Mapping && !r.OnCPU && !r.Paired && r.Mapped < minMapped {
			return &Violation{What: fmt.Sprintf("only %.0f %% of the GPU time of %s is mapped to source in the trace of row %q", 100*r.Mapped, r.Stage, r.ID), Field: "rows",
				Got: fmt.Sprintf("%.2f", r.Mapped), Want: []string{"at least 0.70, or a mapping trace"},
				Fix:  "capture the same candidate and scenario with mapping: true, analyse the formal trace again, then cite its rows",
				Next: []fault.Next{{Tool: "capture_profile", Why: "with mapping: true, graphs off: where kernels come from"}, {Tool: "analyze_trace", Why: "the formal trace again, mapped"}}}
		}
	}
	return nil
}
