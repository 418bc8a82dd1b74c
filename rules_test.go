package sotaloop_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/rules"
)

// families say what the first word of a rule's id stands for.
var families = []struct{ prefix, doc string }{
	{"fair", "Both sides of a comparison get the same chance."},
	{"flow", "Steps come in the order in which each can rest on the one before."},
	{"evid", "A patch answers something that was measured."},
	{"patch", "What a patch may touch, and who decides."},
	{"host", "Only what the campaign started is ever touched."},
	{"claim", "What a report may say."},
}

// seedRules is how many rules the seed numbers.
const seedRules = 110

func TestDocsRules(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# Rules\n\nGenerated from `internal/rules` by `make docs`; do not edit.\n\n" +
		"A rule is checked at the moments named beside it, inside the campaign's state machine, where no tool can go around it; one whose\n" +
		"facts only another room sees is enforced there. A refusal names the rule, the offending field with the value it had and the\n" +
		"values it may have, how to go on, and the tool that is allowed next. It is recorded in the ledger.\n")
	listed := 0
	for _, family := range families {
		var rows []string
		for _, r := range rules.All {
			if strings.HasPrefix(r.ID, family.prefix+".") {
				rows = append(rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", r.ID, r.Doc, checkedAt(r), numbers(r.Seed)))
			}
		}
		listed += len(rows)
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| Rule | What it demands | Checked at | Seed |\n|---|---|---|---|\n%s", family.prefix, family.doc, strings.Join(rows, ""))
	}
	require.Len(t, rules.All, listed, "every rule belongs to a family")
	b.WriteString("\n## Not a server's to enforce\n\n| Seed | What it asks for | Why it is no rule here | Where it shows |\n|---|---|---|---|\n" + dispositions(rules.NotOurs))
	b.WriteString("\n## A note, not a refusal\n\n| Seed | What it asks for | Why it refuses nothing | Where it shows |\n|---|---|---|---|\n" + dispositions(rules.Notes))
	b.WriteString("\n## The seed's numbers\n\nEvery rule of the seed, by its number there.\n\n| Seed | Here |\n|---|---|\n" + appendix())
	generated(t, "docs/RULES.md", "", "", b.String())
}

// checkedAt is a rule's moments, then the rooms that enforce it.
func checkedAt(r rules.Rule) string {
	var at []string
	for _, m := range r.Moments {
		at = append(at, string(m))
	}
	for _, room := range r.Rooms {
		at = append(at, "`"+room+"`")
	}
	return strings.Join(at, ", ")
}

func numbers(seed []int) string {
	var out []string
	for _, n := range seed {
		out = append(out, strconv.Itoa(n))
	}
	return strings.Join(out, ", ")
}

func dispositions(list []rules.Disposition) string {
	var b strings.Builder
	for _, d := range list {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", numbers(d.Seed), d.What, d.Why, d.Where)
	}
	return b.String()
}

// places are where each number of the seed is.
func places() map[int][]string {
	out := map[int][]string{}
	for _, r := range rules.All {
		for _, n := range r.Seed {
			out[n] = append(out[n], "`"+r.ID+"`")
		}
	}
	for what, list := range map[string][]rules.Disposition{"not a server's to enforce": rules.NotOurs, "a note": rules.Notes} {
		for _, d := range list {
			for _, n := range d.Seed {
				out[n] = append(out[n], what)
			}
		}
	}
	return out
}

func appendix() string {
	var b strings.Builder
	all := places()
	for n := 1; n <= seedRules; n++ {
		fmt.Fprintf(&b, "| %d | %s |\n", n, strings.Join(all[n], ", "))
	}
	return b.String()
}

func TestEveryNumberOfTheSeedHasAPlace(t *testing.T) {
	t.Parallel()
	all := places()
	for n := 1; n <= seedRules; n++ {
		require.NotEmpty(t, all[n], "rule %d of the seed is neither a rule, nor a note, nor said to be nobody's", n)
		for _, place := range all[n] {
			require.True(t, strings.HasPrefix(place, "`") || len(all[n]) == 1, "rule %d is both enforced and not: %v", n, all[n])
		}
	}
	require.Len(t, all, seedRules, "a number that the seed does not have")
	for _, list := range [][]rules.Disposition{rules.NotOurs, rules.Notes} {
		for _, d := range list {
			for _, text := range []string{d.What, d.Why, d.Where} {
				require.NotEmpty(t, text, d.Seed)
				require.NotContains(t, text, "|")
			}
		}
	}
}

// ruleID is how a rule is named, in code and in prose.
var ruleID = regexp.MustCompile(`^(fair|evid|patch|host|claim|flow)\.[a-z]+(-[a-z]+)*$`)

// madeUp are ids that tests invent.
var madeUp = []string{"fair.unheard-of", "patch.sneaked"}

// literals calls back with every string literal of the Go source that looks like a rule's id and is none of a ledger's kinds.
func literals(t *testing.T, found func(s source, at token.Position, id string)) {
	t.Helper()
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			_, kind := loop.Kinds[text]
			if err == nil && ruleID.MatchString(text) && !kind {
				found(s, s.fset.Position(lit.Pos()), text)
			}
			return true
		})
	}
}

func TestRuleIDsInTheSourceExist(t *testing.T) {
	t.Parallel()
	n := 0
	literals(t, func(s source, at token.Position, id string) {
		n++
		if _, ok := rules.Find(id); !ok && (!s.test || !slices.Contains(madeUp, id)) {
			t.Errorf("%s names rule %q, which rules.All does not have", at, id)
		}
	})
	require.Greater(t, n, 100, "ids were found")
}

// TestDocsRuleIDs finds rule ids in prose that no rule has.
func TestDocsRuleIDs(t *testing.T) {
	t.Parallel()
	n := 0
	prose := func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".md" {
			return err
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, quoted := range strings.Split(string(raw), "`") {
			if _, kind := loop.Kinds[quoted]; ruleID.MatchString(quoted) && !kind {
				n++
				if _, known := rules.Find(quoted); !known {
					t.Errorf("%s names rule %q, which does not exist", name, quoted)
				}
			}
		}
		return nil
	}
	for _, root := range []string{"README.md", "CONTRIBUTING.md", "AGENTS.md", "CHANGELOG.md", "docs", "skills"} {
		require.NoError(t, filepath.WalkDir(root, prose))
	}
	require.Greater(t, n, len(rules.All), "docs/RULES.md alone names all of them")
}

// TestRulesAreCheckedWhereTheySay reads the loop's source: each moment of a rule is one at which rules.Check or
// rules.Every is called.
func TestRulesAreCheckedWhereTheySay(t *testing.T) {
	t.Parallel()
	called := map[string]bool{}
	for _, s := range sources(t) {
		if s.test || s.room != "internal/loop" {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 || !isSelector(call.Fun, "rules", "Check", "Every") {
				return true
			}
			if at, ok := call.Args[0].(*ast.SelectorExpr); ok {
				called[at.Sel.Name] = true
			}
			return true
		})
	}
	for _, r := range rules.All {
		for _, m := range r.Moments {
			require.True(t, called["At"+strings.ToUpper(string(m[:1]))+string(m[1:])], "rule %s says that it is checked at %s, and internal/loop never checks then", r.ID, m)
		}
	}
	require.Len(t, called, len(rules.Moments()), "every moment has rules")
}

func isSelector(e ast.Expr, pkg string, names ...string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name == pkg && slices.Contains(names, sel.Sel.Name)
}

// TestRoomsEnforceTheirRules: a room that a rule names refuses by its id, and a test of that room or of the whole product
// meets the refusal; for a rule without a check over facts, tests of both a cheat and its honest twin are named here.
func TestRoomsEnforceTheirRules(t *testing.T) {
	t.Parallel()
	says := map[string]map[string]bool{} // room → ids in its source
	literals(t, func(s source, _ token.Position, id string) {
		if !s.test {
			if says[s.room] == nil {
				says[s.room] = map[string]bool{}
			}
			says[s.room][id] = true
		}
	})
	tests := testFunctions(t)
	for _, r := range rules.All {
		for _, room := range r.Rooms {
			require.True(t, says[room][r.ID], "%s is said to be enforced by %s, which does not name it", r.ID, room)
		}
		twins, named := roomTests[r.ID]
		require.Equal(t, r.Check == nil, named, "%s: tests of a cheat and its twin are named for rules that only a room enforces, and for all of those", r.ID)
		for _, name := range twins {
			if named {
				require.True(t, tests[name], "%s names test %s, which does not exist", r.ID, name)
			}
		}
	}
	require.Len(t, roomTests, len(slices.DeleteFunc(slices.Clone(rules.All), func(r rules.Rule) bool { return r.Check != nil })), "a rule that no room enforces")
}

// testFunctions are the tests of the tree, as room.Name.
func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test && strings.HasPrefix(f.Name.Name, "Test") {
				out[s.room+"."+f.Name.Name] = true
			}
		}
	}
	return out
}

// roomTests name, for each rule that only rooms enforce, the test that breaks it and the one that its honest twin passes.
var roomTests = map[string][2]string{
	"flow.no-secret":          {"server.TestSecretsInArgumentsAreRefused", "server.TestHonestArgumentsPassTheDoor"},
	"fair.same-client":        {"internal/compare.TestUnequalFactsAreRefusedByName", "internal/compare.TestVerdictsOnForeignRows"},
	"fair.same-workload":      {"internal/compare.TestAnUndeservedWinIsRefused", "internal/compare.TestHonestForeignRowsRaiseNoDoubt"},
	"fair.same-sla":           {"internal/compare.TestAnUndeservedWinIsRefused", "internal/compare.TestHonestForeignRowsRaiseNoDoubt"},
	"fair.same-model":         {"internal/compare.TestAnUndeservedWinIsRefused", "internal/compare.TestHonestForeignRowsRaiseNoDoubt"},
	"fair.same-precision":     {"internal/compare.TestUnequalFactsAreRefusedByName", "internal/compare.TestDeclaredDifferencesAreShown"},
	"fair.same-hardware":      {"internal/compare.TestUnequalCPURowsAreRefused", "internal/compare.TestRowsOfACPUHostAreMarkedAndComparable"},
	"fair.same-cache":         {"internal/compare.TestUnequalFactsAreRefusedByName", "internal/compare.TestVerdictsOnForeignRows"},
	"fair.same-contract":      {"internal/compare.TestCampaignRowsAreHeldStrictly", "internal/compare.TestVerdictSaysWhatItRestsOn"},
	"fair.same-candidate":     {"internal/compare.TestAnUndeservedWinIsRefused", "internal/compare.TestHonestForeignRowsRaiseNoDoubt"},
	"fair.same-output-length": {"internal/compare.TestAnUndeservedWinIsRefused", "internal/compare.TestHonestForeignRowsRaiseNoDoubt"},
	"fair.interleaved":        {"internal/compare.TestSidesMeasuredOneAfterTheOtherAreNotCompared", "internal/compare.TestBlocksMayDifferButNotWithin"},
	"fair.launch-replicates":  {"internal/compare.TestBrokenBlocksAreRefusedByName", "internal/compare.TestHonestForeignRowsRaiseNoDoubt"},
	"fair.hold-out":           {"internal/compare.TestWhatCannotBeCompared", "internal/compare.TestASearchScoreIsNoResult"},
	"fair.quiet-host":         {"internal/compare.TestPointsThatCanNeitherWinNorLose", "internal/compare.TestVerdictSaysWhatItRestsOn"},
	"fair.sla-first":          {"internal/compare.TestTheFastestFailingRowNeverWins", "internal/compare.TestSLAComesFirst"},
	"fair.row-status":         {"internal/compare.TestBadLinesAreNamed", "internal/compare.TestRowsSurviveAFile"},
	"evid.not-measured":       {"internal/compare.TestBadLinesAreNamed", "internal/compare.TestAZeroThatCanBeMeasuredIsKept"},
	"patch.paths":             {"gitops.TestParseRefusesPaths", "gitops.TestParseAccepts"},
	"patch.same-build":        {"internal/worker.TestForgedProof", "internal/worker.TestOverlayIsLoadedAndProven"},
	"host.owned-only":         {"internal/worker.TestReapLeavesReusedPIDs", "internal/worker.TestReapKeepsToItsOwnFolder"},
	"host.lease":              {"internal/worker.TestTwoRunsOnOneDevice", "internal/worker.TestCoresAreLeased"},
	"host.gated":              {"internal/worker.TestGateJudgesPlans", "internal/worker.TestGateLetsACampaignThrough"},
	"host.changed":            {"hosts.TestHostKeys", "hosts.TestHostKeys"},
	"claim.reproducible":      {"internal/verify.TestForgedLedgersAreFoundByComputingAgain", "internal/verify.TestAnHonestCampaignVerifies"},
	"claim.levels":            {"internal/report.TestAHeadlineWithoutItsLevelsIsRefused", "internal/report.TestTheReportOfAFinishedCampaign"},
	"claim.report-complete":   {"internal/report.TestAReportWithoutAPartIsRefused", "internal/report.TestTheReportOfAFinishedCampaign"},
}
