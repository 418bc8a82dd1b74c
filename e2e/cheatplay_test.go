//go:build linux

package e2e_test

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

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
)

// scenario is one file of testdata/cheats; its README describes the format.
type scenario struct {
	name, family string
	from         string
	alone        bool // it runs or changes something on the host
	attack       string
	expect       expectation
	honest       string
	afresh       bool // the honest actor starts in a home that the attacker never saw
	files        map[string]string
}

// expectation is what every refusal of the attack has to say.
type expectation struct {
	rule, code, field, next string
	words                   []string
}

func readScenario(t *testing.T, file string) scenario {
	t.Helper()
	arc, err := txtar.ParseFile(file)
	require.NoError(t, err)
	s := scenario{name: strings.TrimSuffix(filepath.Base(file), ".txtar"), files: map[string]string{}}
	for line := range strings.Lines(string(arc.Comment)) {
		if family, ok := strings.CutPrefix(line, "# family:"); ok {
			s.family = strings.TrimSpace(family)
		}
	}
	require.NotEmpty(t, s.family, "%s: the first comment names the family", file)
	for _, f := range arc.Files {
		text := string(f.Data)
		switch name, rest, _ := strings.Cut(f.Name, " "); name {
		case "from":
			words := strings.Fields(text)
			require.NotEmpty(t, words, file)
			s.from, s.alone = words[0], slices.Contains(words[1:], "alone")
		case "attack":
			s.attack = text
		case "expect":
			s.expect = readExpectation(t, text)
		case "honest":
			s.honest, s.afresh = text, rest == "afresh"
		default:
			s.files[f.Name] = text
		}
	}
	for what, text := range map[string]string{"from": s.from, "attack": s.attack, "honest": s.honest} {
		require.NotEmpty(t, strings.TrimSpace(text), "%s has no section %q", file, what)
	}
	require.False(t, s.expect.rule == "" && s.expect.code == "" && len(s.expect.words) == 0, "%s expects nothing", file)
	return s
}

func readExpectation(t *testing.T, text string) (e expectation) {
	t.Helper()
	for _, line := range steps(text) {
		word, rest, _ := strings.Cut(line, " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "rule":
			e.rule = rest
		case "code":
			e.code = rest
		case "field":
			e.field = rest
		case "next":
			e.next = rest
		case "says":
			e.words = append(e.words, rest)
		default:
			t.Fatalf("unknown expectation %q", line)
		}
	}
	return e
}

// steps gives a script's lines without comments; an indented line goes on with the one before.
func steps(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case (line[0] == ' ' || line[0] == '\t') && len(out) > 0:
			out[len(out)-1] += "\n" + line
		default:
			out = append(out, line)
		}
	}
	return out
}

// actor plays a script: the attacker, or the honest agent that does the same work fairly.
type actor struct {
	t         *testing.T
	r         *recorded
	s         scenario
	w         *world
	vars      map[string]any
	attacker  bool
	servers   map[string]*agent
	agent     *agent
	processes []*process
	last      answer
	stranger  *exec.Cmd
	job       string
	step      string // that is played
	refusals  int    // that came as expected
	touched   bool   // it did more than ask
}

// enter gives an actor a home in the scenario's phase.
func (r *recorded) enter(t *testing.T, s scenario) *actor {
	t.Helper()
	w, ph := r.world(t, s.from)
	if s.alone {
		r.rewind(t, ph)
	}
	p := &actor{t: t, r: r, s: s, w: w, vars: maps.Clone(ph.Vars), servers: map[string]*agent{}}
	t.Cleanup(func() {
		if p.step != "" {
			t.Logf("in the step: %s", p.step)
		}
	})
	for name, text := range s.files {
		p.vars["file:"+name] = text
	}
	p.vars["home"], p.vars["host"], p.vars["checkout"], p.vars["config"] = w.home, w.layout.Root, w.checkout, filepath.Join(w.home, "config")
	for entry, args := range cheatSpaces() {
		p.vars["space."+entry] = args
	}
	p.vars["first"] = p.vars["campaign"]
	p.vars["letters"], p.vars["capitals"] = "QwErTyUiOpAsDfGhJkLzXcVbNm12345678", "IOSFODNN7QWERTYU" // of made-up keys
	if text, ok := p.vars["bundle"].(string); ok {
		p.vars["bundle"] = strings.Replace(text, "${home}", w.home, 1)
	}
	p.vars["run"] = filepath.Join(w.home, "runs", fmt.Sprint(p.vars["campaign"]))
	return p
}

// play runs a script.
func (p *actor) play(script string) {
	p.t.Helper()
	for _, line := range steps(script) {
		verb, rest, _ := strings.Cut(line, " ")
		do, ok := verbs()[verb]
		if !ok {
			do, ok = hostVerbs()[verb]
		}
		require.True(p.t, ok, "unknown verb in %q", line)
		p.step = line
		do(p, strings.TrimSpace(rest))
	}
	p.step = ""
}

// verbs are the steps that ask and that touch files; hostVerbs those of processes, people and the host.
func verbs() map[string]func(*actor, string) {
	return map[string]func(*actor, string){
		"call": (*actor).call, "start": (*actor).start, "entries": (*actor).entries, "use": (*actor).use, "seen": (*actor).seen, "refused": (*actor).refused, "failing": (*actor).failing,
		"keep": (*actor).keep, "says": (*actor).says, "lacks": (*actor).lacks, "found": (*actor).found,
		"write": (*actor).write, "append": (*actor).appendTo, "edit": (*actor).edit, "delete": (*actor).delete, "link": (*actor).link, "mode": (*actor).mode,
		"forge": (*actor).forge, "enter": (*actor).enter, "ledger": (*actor).ledgerLine, "copy": (*actor).copyFile, "flip": (*actor).flip, "replace": (*actor).replace, "verify": (*actor).verify,
	}
}

// ask gives the agent of the current server, and starts the first one.
func (p *actor) ask() *agent {
	p.t.Helper()
	if p.agent == nil {
		p.serve("first")
	}
	return p.agent
}

// call must succeed. Its job is waited for, and the call made again for the result.
func (p *actor) call(text string) {
	p.t.Helper()
	tool, args := p.tool(text)
	p.touched = p.touched || tool != "get_campaign" && tool != "list_hosts"
	a := p.ask()
	p.about(tool)
	out := a.call(tool, args)
	if out.text("state") == "running" && tool != "propose_patch" && tool != "wait_job" && tool != "cancel_job" {
		a.until(out.text("job"), func(x answer) bool { return x.text("state") != "running" })
		out = a.call(tool, args)
	}
	p.answered(tool, out)
}

// start must succeed and is not waited for.
func (p *actor) start(text string) {
	p.t.Helper()
	tool, args := p.tool(text)
	p.touched = true
	p.about(tool)
	p.answered(tool, p.ask().call(tool, args))
}

// about makes the agent name its campaign in its calls, which opening one does not take.
func (p *actor) about(tool string) {
	p.t.Helper()
	a := p.ask()
	if a.campaign, a.runDir = fmt.Sprint(p.vars["campaign"]), fmt.Sprint(p.vars["run"]); tool == "open_campaign" {
		a.campaign = ""
	}
}

func (p *actor) answered(tool string, out answer) {
	p.last = out
	if j := out.text("job"); j != "" {
		p.job, p.vars["job"] = j, j
	}
	if tool == "open_campaign" && out.text("campaign") != "" {
		p.vars["campaign"], p.vars["run"] = out.text("campaign"), out.text("run_dir")
	}
}

// refused must be refused as the scenario expects.
func (p *actor) refused(text string) {
	p.t.Helper()
	require.True(p.t, p.attacker, "an honest actor is not refused")
	tool, args := p.tool(text)
	p.about(tool)
	out, refused := p.ask().try(tool, args)
	p.judge(tool, out, refused)
}

// failing starts a job that has to fail; the call after it says why.
func (p *actor) failing(text string) {
	p.t.Helper()
	tool, args := p.tool(text)
	p.touched = true
	a := p.ask()
	p.about(tool)
	out, refused := a.try(tool, args)
	if !refused {
		require.Equal(p.t, "running", out.text("state"), "%s: %s", tool, out)
		end := a.wait(out.text("job"))
		require.Equal(p.t, "failed", end.text("state"), "%s: %s", tool, end)
		out, refused = a.try(tool, args)
	}
	p.judge(tool, out, refused)
}

// judge compares a refusal with what is expected.
func (p *actor) judge(tool string, out answer, refused bool) {
	p.t.Helper()
	e := p.s.expect
	require.True(p.t, refused, "THE CHEAT WORKED: %s was not refused: %s", tool, out)
	p.ask().clear(out, p.expected()...)
	if e.rule != "" {
		require.Equal(p.t, e.rule, out.text("rule"), "%s", out)
	}
	if e.code != "" {
		require.Contains(p.t, strings.Split(e.code, "|"), out.text("code"), "%s", out)
	}
	if e.field != "" {
		require.Equal(p.t, e.field, out.text("field"), "%s", out)
	}
	if e.next != "" {
		var tools []string
		for _, n := range out.list("next") {
			tools = append(tools, n.text("tool"))
		}
		require.Contains(p.t, tools, e.next, "%s", out)
	}
	p.last = out
	p.refusals++
}

// keep stores a field of the last answer: keep NAME path.to.field, with numbers for places in lists.
func (p *actor) keep(text string) {
	p.t.Helper()
	name, path, _ := strings.Cut(text, " ")
	var at any = map[string]any(p.last)
	for key := range strings.SplitSeq(strings.TrimSpace(path), ".") {
		switch v := at.(type) {
		case map[string]any:
			at = v[key]
		case []any:
			n, err := strconv.Atoi(key)
			require.NoError(p.t, err)
			require.Less(p.t, n, len(v), "%s", p.last)
			at = v[n]
		}
	}
	require.NotNil(p.t, at, "no %q in %s", path, p.last)
	p.vars[name] = at
}

// says demands words of the last answer, lacks their absence.
func (p *actor) says(text string) {
	p.t.Helper()
	require.Contains(p.t, p.last.String(), p.expand(text))
}

// found is says for an attack that is not refused but found out: the words are in the answer, and the cheat is known.
func (p *actor) found(text string) {
	p.t.Helper()
	p.says(text)
	p.refusals++
}

func (p *actor) lacks(text string) {
	p.t.Helper()
	require.NotContains(p.t, p.last.String(), p.expand(text))
}

// tool splits a call into its tool and its arguments, which are objects laid over one another; null takes a key away.
func (p *actor) tool(text string) (string, map[string]any) {
	p.t.Helper()
	tool, rest, _ := strings.Cut(text, " ")
	args := map[string]any{}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		var next map[string]any
		if strings.HasPrefix(rest, "${") {
			name, after, _ := strings.Cut(rest[2:], "}")
			v, ok := p.vars[name].(map[string]any)
			require.True(p.t, ok, "%q is no object", name)
			next, rest = v, after
		} else {
			d := json.NewDecoder(strings.NewReader(rest))
			require.NoError(p.t, d.Decode(&next), rest)
			rest = rest[d.InputOffset():]
			next, _ = p.filled(next).(map[string]any)
		}
		maps.Copy(args, next)
	}
	maps.DeleteFunc(args, func(_ string, v any) bool { return v == nil })
	return tool, args
}

// filled replaces placeholders in the strings of a value.
func (p *actor) filled(v any) any {
	switch x := v.(type) {
	case string:
		if name, ok := strings.CutPrefix(x, "${"); ok && strings.HasSuffix(name, "}") && strings.Count(x, "${") == 1 {
			return p.value(strings.TrimSuffix(name, "}"))
		}
		return p.expand(x)
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = p.filled(x[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, e := range x {
			out[p.expand(k)] = p.filled(e)
		}
		return out
	}
	return v
}

var placeholder = regexp.MustCompile(`\$\{[^}]+\}`)

// expand replaces ${name} in text.
func (p *actor) expand(text string) string {
	p.t.Helper()
	return placeholder.ReplaceAllStringFunc(text, func(m string) string { return fmt.Sprint(p.value(m[2 : len(m)-1])) })
}

// value is a variable, or with name.3 a place in a list.
func (p *actor) value(name string) any {
	p.t.Helper()
	if v, ok := p.vars[name]; ok {
		return v
	}
	if list, place, ok := strings.Cut(name, "."); ok {
		if items, is := p.vars[list].([]any); is {
			n, err := strconv.Atoi(place)
			require.NoError(p.t, err, name)
			require.Less(p.t, n, len(items), name)
			return items[n]
		}
	}
	require.Failf(p.t, "no value", "%q; there are %v", name, slices.Sorted(maps.Keys(p.vars)))
	return nil
}

// words splits a step into words; quoted ones follow Go's syntax. Placeholders are replaced in each.
func (p *actor) words(text string) []string {
	p.t.Helper()
	var out []string
	for rest := strings.TrimSpace(text); rest != ""; rest = strings.TrimSpace(rest) {
		word, after, _ := strings.Cut(rest, " ")
		if quoted, err := strconv.QuotedPrefix(rest); err == nil {
			word, err = strconv.Unquote(quoted)
			require.NoError(p.t, err, rest)
			after = rest[len(quoted):]
		}
		out, rest = append(out, p.expand(word)), after
	}
	return out
}

// entries KIND N demands so many lines of a kind in the ledger.
func (p *actor) entries(text string) {
	p.t.Helper()
	w := p.words(text)
	require.Len(p.t, w, 2, text)
	require.Equal(p.t, w[1], strconv.Itoa(kinds(p.t, fmt.Sprint(p.vars["run"]))[w[0]]), "lines of %s", w[0])
}

// use CAMPAIGN goes on with another campaign of the home.
func (p *actor) use(campaign string) {
	p.t.Helper()
	p.vars["campaign"] = p.expand(campaign)
	p.vars["run"] = filepath.Join(p.w.home, "runs", fmt.Sprint(p.vars["campaign"]))
}

// seen PATH WORDS: a file tells of what the attacker did. For an honest actor: of what it did.
func (p *actor) seen(text string) {
	p.t.Helper()
	file, words, _ := strings.Cut(text, " ")
	raw, err := os.ReadFile(p.path(file))
	require.NoError(p.t, err)
	require.Contains(p.t, string(raw), p.expand(words))
	p.refusals++
}

// pin is what a scenario that only asked may have left in the ledger: its refusals.
func (p *actor) pin(before map[string]int) {
	p.t.Helper()
	if p.touched || p.vars["campaign"] == "" {
		return
	}
	after := kinds(p.t, fmt.Sprint(p.vars["run"]))
	delete(before, "rule.refused")
	delete(after, "rule.refused")
	require.Equal(p.t, before, after, "a refused call left something in the ledger")
}

func kinds(t *testing.T, run string) map[string]int {
	t.Helper()
	out := map[string]int{}
	if _, err := os.Stat(run); err != nil {
		return out
	}
	for _, l := range readLines[line](t, filepath.Join(run, "ledger.jsonl")) {
		out[l.Kind]++
	}
	return out
}
