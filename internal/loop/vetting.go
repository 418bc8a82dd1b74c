package loop

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Bounds of what a human is asked to read before signing.
const (
	maxWords    = 4000    // bytes of rationale, and of elsewhere
	maxCited    = 40      // rows
	maxTests    = 40      // test ids
	maxGiven    = 1 << 18 // bytes of a diff
	answerWords = 12000   // bytes of a diff in an answer
)

// legible refuses what a person could not read before signing it.
func legible(r ProposeRequest) error {
	if strings.TrimSpace(r.Rationale) == "" {
		return fault.New(fault.InvalidInput, "rationale is empty").At("rationale", "").Hint("say what the patch does and why it answers the cited rows: a human reads it before signing")
	}
	for _, x := range []struct {
		field     string
		size, max int
	}{{"rationale", len(r.Rationale), maxWords}, {"elsewhere", len(r.Elsewhere), maxWords}, {"rows", len(r.Rows), maxCited}, {"tests", len(r.Tests), maxTests},
		{"diff", len(r.Diff), maxGiven}, {"location", len(r.Location), 500}} {
		if x.size > x.max {
			return fault.New(fault.InvalidInput, "%s has %d, at most %d fit", x.field, x.size, x.max).At(x.field, strconv.Itoa(x.size), fmt.Sprintf("at most %d", x.max)).
				Hint("give less: a human reads all of it before signing")
		}
	}
	return nil
}

// unique drops repetitions and keeps the order.
func unique(ids []string) []string {
	out := []string{}
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// otherWords says in what a repeated proposal of the same diff differs from the recorded one, which stands.
func otherWords(p *ProposalState, r ProposeRequest) []string {
	var fields []string
	for _, x := range []struct {
		field string
		same  bool
	}{
		{"predicted_gain", p.Predicted == r.PredictedGain}, {"rows", slices.Equal(p.Rows, r.Rows)}, {"stage", p.Stage == r.Stage}, {"location", p.Location == r.Location},
		{"symptom", p.Symptom == r.Symptom}, {"rationale", p.Rationale == r.Rationale}, {"elsewhere", p.Elsewhere == r.Elsewhere}, {"tests", slices.Equal(p.Tests, append([]string{}, r.Tests...))},
	} {
		if !x.same {
			fields = append(fields, x.field)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("this diff is %s already; what was recorded with it stands (predicted gain %v), and %s of this call were not used", p.ID, round(p.Predicted), strings.Join(fields, ", "))}
}

// besidePackage lists files that a diff adds in the folder that holds the package: that folder is searched first when the
// package's own tests run, so a module there takes the place of any other.
func besidePackage(p *gitops.Proposed, packageRoot string) []string {
	var out []string
	holder := path.Dir(strings.TrimSuffix(packageRoot, "/"))
	for _, f := range p.Files {
		below, inside := strings.CutPrefix(f.Path, holder+"/")
		if holder == "." {
			below, inside = f.Path, strings.HasSuffix(f.Path, ".py") && !strings.Contains(f.Path, "/")
		}
		if inside && f.OldBlob == "" && !strings.HasPrefix(f.Path, strings.TrimSuffix(packageRoot, "/")+"/") && strings.HasSuffix(below, ".py") {
			out = append(out, f.Path)
		}
	}
	return out
}
