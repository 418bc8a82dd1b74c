//go:build linux

package e2e_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"
)

// How long a scenario waits for something on the host, and how often it looks.
const (
	waitFor = time.Minute
	tick    = 20 * time.Millisecond
)

// TestCheats plays every scenario of testdata/cheats: the attacker has to be refused as the file says, and the honest twin
// has to pass. It prints what became of them, and writes that to the file that SOTALOOP_CHEATS names.
func TestCheats(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/cheats/*.txtar")
	require.NoError(t, err)
	needPrograms(t)
	tab := &table{families: map[string]*tally{}}
	t.Cleanup(func() { tab.print(t) })
	began := time.Now()
	r := record(t)
	t.Logf("recorded %d phases in %s", len(r.phases), time.Since(began).Round(time.Second))
	for _, alone := range []bool{false, true} { // what shares the host first: the others change it
		t.Run(map[bool]string{false: "shared", true: "alone"}[alone], func(t *testing.T) {
			for _, file := range files {
				s := readScenario(t, file)
				if s.alone != alone {
					continue
				}
				t.Run(s.name, func(t *testing.T) {
					if !alone {
						t.Parallel()
					}
					r.try(t, s, tab)
				})
			}
		})
	}
}

// try plays one scenario.
func (r *recorded) try(t *testing.T, s scenario, tab *table) {
	t.Helper()
	tab.listed(s)
	if s.alone {
		before, err := r.w.host.Config()
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, r.w.host.SetConfig(before)) })
	}
	p := r.enter(t, s)
	p.attacker = true
	before := kinds(t, fmt.Sprint(p.vars["run"]))
	p.play(s.attack)
	require.Positive(t, p.refusals, "the attack is never judged")
	p.pin(before)
	tab.refused(s, p.refusals)
	honest := p
	if s.afresh {
		p.stop("")
		honest = r.enter(t, s)
	}
	honest.attacker = false
	tab.entered(s)
	honest.play(s.honest)
	tab.passed(s)
}

// tally counts a family's scenarios: attacks and how many were refused in how many ways, honest twins and how many passed.
type tally struct{ attacks, refused, ways, honest, passed int }

type table struct {
	mu       sync.Mutex
	families map[string]*tally
}

func (x *table) at(s scenario, do func(*tally)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.families[s.family] == nil {
		x.families[s.family] = &tally{}
	}
	do(x.families[s.family])
}

func (x *table) listed(s scenario) { x.at(s, func(n *tally) { n.attacks++ }) }

func (x *table) refused(s scenario, ways int) {
	x.at(s, func(n *tally) { n.refused, n.ways = n.refused+1, n.ways+ways })
}

func (x *table) entered(s scenario) { x.at(s, func(n *tally) { n.honest++ }) }

func (x *table) passed(s scenario) { x.at(s, func(n *tally) { n.passed++ }) }

// print shows the table and fails where a cheat came through or an honest run did not.
func (x *table) print(t *testing.T) {
	t.Helper()
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "family\tattacks\trefused\tways tried\thonest runs\tfalse refusals")
	var all tally
	for _, name := range slices.Sorted(maps.Keys(x.families)) {
		n := x.families[name]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", name, n.attacks, n.refused, n.ways, n.honest, n.honest-n.passed)
		all = tally{all.attacks + n.attacks, all.refused + n.refused, all.ways + n.ways, all.honest + n.honest, all.passed + n.passed}
	}
	fmt.Fprintf(w, "ALL\t%d\t%d\t%d\t%d\t%d\n", all.attacks, all.refused, all.ways, all.honest, all.honest-all.passed)
	require.NoError(t, w.Flush())
	t.Logf("cheat suite\n%s", text.String())
	if file := os.Getenv("SOTALOOP_CHEATS"); file != "" {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text.String()), 0o600))
	}
	if t.Failed() {
		return
	}
	require.Equal(t, all.attacks, all.refused, "attacks that were not refused")
	require.Equal(t, all.honest, all.passed, "honest runs that were refused")
}
