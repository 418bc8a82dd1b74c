package loop

import (
	"context"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// RowWarnings sums up what rows say of themselves, for tests.
func RowWarnings(rows []compare.Row) []string { return rowWarnings(rows) }

// Provenance reads what a diff says about where its code comes from, for tests.
func Provenance(diff string) (unlicensed, taken []string) { return provenance(diff) }

// PlanRun records a run as a job would, for tests.
func (l *Loop) PlanRun(ctx context.Context, campaign string, run RunPlanned) error {
	c, err := l.campaign(campaign)
	if err != nil {
		return err
	}
	return c.planRun(ctx, run)
}

// Suspects lists what an approver is shown of a diff, for tests.
func Suspects(diff string, c *contract.Contract) []gitops.Finding { return suspects(diff, c) }

// Told is one prompt's answer for CompareAnswers: tokens with their log-probabilities.
type Told struct {
	Text     string
	Tokens   []string
	Logprobs []float64
}

// CompareAnswers weighs launches of a patched build against those of the base, for tests.
func CompareAnswers(base, patched [][]Told) (Equality, string) {
	return compareAnswers(answersOf(base), answersOf(patched))
}

func answersOf(launches [][]Told) [][]answered {
	var out [][]answered
	for _, launch := range launches {
		var l []answered
		for i, a := range launch {
			x := answered{index: i, digest: a.Text}
			for n, token := range a.Tokens {
				x.tokens = append(x.tokens, bench.TokenLogprob{Token: token, Logprob: a.Logprobs[n]})
			}
			l = append(l, x)
		}
		out = append(out, l)
	}
	return out
}

// HowTestsWent says how a proposal's tests went, for tests.
func HowTestsWent(s *State, proposal string) (outcome, text string) {
	return s.testOutcome(s.Proposal(proposal))
}
