package rules_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/rules"
)

// TestEveryRuleHasAnHonestTwinAndACheat demands facts of every rule at every moment at which it is checked.
func TestEveryRuleHasAnHonestTwinAndACheat(t *testing.T) {
	t.Parallel()
	all, used := pairs(), map[string]bool{}
	for _, r := range rules.All {
		for _, at := range r.Moments {
			found := false
			for key, p := range all {
				if id, _, _ := strings.Cut(key, "@"); id == r.ID && fits(at, p.honest()) {
					require.NotEmptyf(t, p.cheats, "rule %s is broken by nothing", key)
					found, used[key] = true, true
				}
			}
			require.Truef(t, found, "rule %s has no pair of facts at %s in pairs_test.go", r.ID, at)
		}
	}
	require.Len(t, all, len(used), "a pair names a rule that does not exist, or has the facts of none of its moments")
}

func TestRulesRefuseCheatsAndLetHonestWorkThrough(t *testing.T) {
	t.Parallel()
	for key, p := range pairs() {
		id, _, _ := strings.Cut(key, "@")
		r, ok := rules.Find(id)
		require.True(t, ok, id)
		tried := 0
		for _, at := range r.Moments {
			if !fits(at, p.honest()) {
				continue // facts of another moment of the same rule
			}
			tried++
			require.Nilf(t, rules.Check(at, p.honest()), "%s at %s: honest facts", id, at)
			for name, edit := range p.honestTwins {
				f := p.honest()
				edit(f)
				require.Nilf(t, rules.Check(at, f), "%s at %s: %s", id, at, name)
			}
			for name, edit := range p.cheats {
				f := p.honest()
				edit(f)
				v := rules.Check(at, f)
				require.NotNilf(t, v, "%s at %s: %s", id, at, name)
				require.Equalf(t, id, v.Rule, "%s at %s: %s: %s", id, at, name, v.What)
				useful(t, v)
				every := rules.Every(at, f)
				require.Equal(t, v, every[0], "what is checked first is said first")
			}
		}
		require.NotZerof(t, tried, "%s was checked at none of its moments", id)
	}
}

// fits says whether facts hold what a moment's rules read.
func fits(at rules.Moment, f *rules.Facts) bool {
	switch at {
	case rules.AtSearch:
		return f.Search != nil
	case rules.AtReport:
		return f.Rows > 0
	case rules.AtApply:
		return f.Approval != nil
	case rules.AtBenchmark, rules.AtCompare:
		return f.Blocks != nil && len(f.Verdicts) == 0 && f.Branch == ""
	case rules.AtProfile:
		return f.Blocks != nil && len(f.Verdicts) > 0
	case rules.AtRevalidate:
		return f.Blocks != nil && f.Branch != ""
	case rules.AtOpen:
		return f.Decide != nil
	case rules.AtCapture:
		return f.Capture != nil
	case rules.AtPropose:
		return f.Evidence != nil
	case rules.AtPolicy:
		return f.Policy != nil || f.Budgets != nil
	case rules.AtClaim:
		return f.Claim != nil
	case rules.AtCancel:
		return len(f.Words) > 0
	}
	return true
}

// useful demands of a refusal what an agent needs to go on: the field, a fix, and words in lower case without an end.
func useful(t *testing.T, v *rules.Violation) {
	t.Helper()
	require.NotEmpty(t, v.What, v.Rule)
	require.NotEmpty(t, v.Field, v.Rule)
	require.NotEmpty(t, v.Fix, v.Rule)
	require.NotRegexp(t, `[.!]$`, v.What, v.Rule)
	f := v.Fault()
	require.Equal(t, v.Rule, f.Rule)
	require.Contains(t, []fault.Code{fault.RuleViolation, fault.NeedsApproval}, f.Code)
	require.Equal(t, v.Rule == "patch.approved", f.Code == fault.NeedsApproval)
	for _, n := range f.Next {
		require.NotEmpty(t, n.Tool)
		require.NotEmpty(t, n.Why)
	}
}

func TestOneMomentsFactsReachEveryRuleOfIt(t *testing.T) {
	t.Parallel()
	// A contract's limit also binds a search: the same rule at two moments.
	f := atSearch()
	flag(rules.FlagUse{Name: "context-length", Role: "context", Values: []any{1999.0}})(f)
	v := rules.Check(rules.AtSearch, f)
	require.NotNil(t, v)
	require.Equal(t, "fair.sequence-limit", v.Rule)
	require.Equal(t, "1999", v.Got)

	// And profiles of candidates that failed are refused like blocks of them.
	f = atProfile()
	f.Blocks.Candidates[0].Status = "oom"
	require.Equal(t, "fair.known-candidate", rules.Check(rules.AtProfile, f).Rule)
}

func TestTheFirstBrokenRuleIsNamed(t *testing.T) {
	t.Parallel()
	f := atPropose()
	f.Evidence.Rows = nil
	f.Patch.Gain = 0
	require.Equal(t, "evid.row-known", rules.Check(rules.AtPropose, f).Rule, "evidence before the patch")
}

func TestRulesReadWell(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, r := range rules.All {
		require.Regexp(t, `^(fair|evid|patch|host|claim|flow)\.[a-z]+(-[a-z]+)*$`, r.ID)
		require.False(t, seen[r.ID], "%s twice", r.ID)
		seen[r.ID] = true
		require.True(t, strings.HasSuffix(r.Doc, "."), r.ID)
		require.NotContains(t, r.Doc, "\n", r.ID)
		require.True(t, len(r.Moments) > 0 || len(r.Rooms) > 0, r.ID)
		require.Equal(t, len(r.Moments) > 0, r.Check != nil, r.ID)
	}
	_, ok := rules.Find("fair.unheard-of")
	require.False(t, ok)
}

func TestChecksDoNotChangeTheFacts(t *testing.T) {
	t.Parallel()
	f := atPropose()
	require.Nil(t, rules.Check(rules.AtPropose, f))
	require.Equal(t, atPropose(), f)
	c := terms()
	require.Equal(t, []contract.Side{{Entry: "sglang", Framework: contract.SGLang}, {Entry: "vllm", Framework: contract.VLLM}}, c.Sides())
}
