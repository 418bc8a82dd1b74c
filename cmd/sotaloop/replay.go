package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/server"
	"github.com/sotaloop/sotaloop/transcripts"
)

// gainBound is by how much a measured gain may differ between a recorded campaign and its replay: the simulated host's time
// is real time, and the machine's load is in it.
const gainBound = 0.25

// runReplay plays a simulated campaign's recorded calls against a fresh simulated host, through the real server.
func runReplay(ctx context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("transcript replay", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	dir := set.String("home", "", "empty folder for the replay; default: one of its own, removed at the end")
	paths, err := parseMixed(set, args)
	if err != nil || len(paths) != 1 {
		return fault.New(fault.InvalidInput, "transcript replay takes one run directory").Hint(transcriptUsage)
	}
	calls, err := replayable(paths[0])
	if err != nil {
		return err
	}
	home := *dir
	if home == "" {
		if home, err = os.MkdirTemp("", "sotaloop-replay-"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(home) }()
	}
	if home, err = demoHome(home); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	world, err := newDemoWorld(ctx, home)
	if err != nil {
		return err
	}
	defer world.host.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	client, err := server.DialStdio(ctx, []string{self, "serve", "--home", home}, []string{"SOTALOOP_HOME=" + home}, server.DialOptions{Era: server.Era2026, Name: "sotaloop-replay", Version: version})
	if err != nil {
		return err
	}
	defer client.Close()
	show := newStage(s.Out)
	show.title("replay of %d calls on a SIMULATED host", len(calls))
	r := &replayer{agent: &agent{client: client, show: show}, world: world, ids: map[string]string{}}
	for _, x := range calls {
		if err := r.play(ctx, x); err != nil {
			return err
		}
	}
	show.title("%d decisions: %d the same, %d open (inconclusive then or now), %d differ", r.same+r.open+len(r.differ), r.same, r.open, len(r.differ))
	if len(r.differ) > 0 {
		return fault.New(fault.Conflict, "the replay decided otherwise: %s", r.differ[0]).
			Hint("verdicts rest on times measured on this machine: repeat it on a quiet one; states and refusals must never differ")
	}
	return nil
}

// replayable reads the calls of a simulated campaign.
func replayable(dir string) ([]transcripts.Exchange, error) {
	entries, _, err := chain.Read(filepath.Join(dir, ledger.ChainFile), loop.Kinds)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "%s is no run directory whose ledger can be read", dir).Hint(transcriptUsage)
	}
	st, err := loop.Replay(entries)
	if err != nil || st.Contract == nil {
		return nil, fault.Wrap(fault.Corrupt, err, "the ledger of %s cannot be replayed", dir)
	}
	if !st.Contract.Host.Simulated {
		return nil, fault.New(fault.Denied, "%s was measured on a real host", st.Contract.Campaign).
			Hint("a replay would launch engines and spend GPU-hours without a person's leave; `sotaloop verify` computes everything again from the records")
	}
	for _, p := range st.Proposals {
		for _, a := range p.Approvals {
			if a.Decision != "approve" {
				return nil, fault.New(fault.InvalidInput, "%s was decided by a person as %q, which a replay does not play", p.ID, a.Decision)
			}
		}
	}
	records, err := readTalk(transcriptFile(dir))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(transcripts.Exchanges(records), func(x transcripts.Exchange) bool { return x.Tool == "" || !x.Done }), nil
}

// replayer sends recorded calls with ids of now for ids of then.
type replayer struct {
	*agent
	world  *demoWorld
	ids    map[string]string // recorded → now
	same   int
	open   int // one of the two was inconclusive
	differ []string
	job    string // of the last call, while it runs
	human  bool   // the job waits for a person
}

// play sends one call and compares what is decided. Polls are not decisions: a job is waited for as long as it takes now.
func (r *replayer) play(ctx context.Context, x transcripts.Exchange) error {
	then := fields(x.Result)
	if x.Tool == "wait_job" || x.Tool == "get_campaign" && plainText(fields(x.Args)["section"]) == "" {
		if r.human && plainText(then["state"]) == "done" {
			return r.decide(ctx)
		}
		return nil
	}
	if r.human && x.Tool == "apply_patch_branch" && !x.IsError {
		if err := r.decide(ctx); err != nil {
			return err
		}
	}
	if plainText(then["state"]) == "running" && !x.IsError && x.Tool != "propose_patch" {
		return r.start(ctx, x)
	}
	now, refusal, err := r.send(ctx, x)
	if err != nil {
		return err
	}
	r.learn("", then, map[string]any(now))
	r.compare(x, then, now, refusal)
	if now.text("state") == "waiting_for_human" {
		r.human, r.job = true, now.text("job")
	}
	return nil
}

// send makes the call, and waits for its job as long as it runs.
func (r *replayer) send(ctx context.Context, x transcripts.Exchange) (now, refusal answer, err error) {
	args, _ := r.mapped(fields(x.Args)).(map[string]any)
	for {
		now, refusal, err = r.try(ctx, x.Tool, maps.Clone(args))
		if err != nil || refusal != nil || now.text("state") != "running" {
			return now, refusal, err
		}
		if x.Tool == "propose_patch" { // its job ends with a person's decision
			r.human, r.job = true, now.text("job")
			return now, nil, nil
		}
		if _, err := r.wait(ctx, now.text("job")); err != nil {
			return nil, nil, err
		}
	}
}

// start makes a call that only began a job then. Its result is compared where it was asked for.
func (r *replayer) start(ctx context.Context, x transcripts.Exchange) error {
	_, refusal, err := r.send(ctx, x)
	if err == nil && refusal != nil {
		r.differ = append(r.differ, fmt.Sprintf("%s began a job then, now %s refuses it", x.Tool, refusal.text("rule")))
		r.show.refused(x.Tool, refusal.text("rule"), refusal.text("message"))
	}
	return err
}

// decide signs the waiting proposal, as somebody did then.
func (r *replayer) decide(ctx context.Context) error {
	r.human = false
	out, err := r.call(ctx, "get_campaign", map[string]any{})
	if err != nil {
		return err
	}
	proposals := out.list("proposals")
	if len(proposals) == 0 {
		return fmt.Errorf("no proposal waits for a decision")
	}
	r.show.note("a person approved here; the replay signs with its own throwaway key")
	id := proposals[len(proposals)-1].text("proposal")
	if err := r.world.sign(ctx, &stage{w: io.Discard, began: r.show.began}, r.campaign, id); err != nil {
		return err
	}
	_, err = r.wait(ctx, r.job)
	return err
}

// mapped puts ids of now in the place of recorded ones.
func (r *replayer) mapped(v any) any {
	switch v := v.(type) {
	case string:
		if now, ok := r.ids[v]; ok {
			return now
		}
		return v
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = r.mapped(v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if k != "campaign" {
				out[k] = r.mapped(x)
			}
		}
		return out
	}
	return v
}

// named are the members of answers whose values name things that a later call cites.
var named = []string{"campaign", "id", "trace", "best", "proposal"}

// learn pairs the ids of two answers by where they stand; rows of tables by kernel and stage.
func (r *replayer) learn(key string, then, now any) {
	switch t := then.(type) {
	case string:
		n, ok := now.(string)
		if !ok || !slices.Contains(named, key) || t == "" {
			return
		}
		if key == "campaign" {
			r.campaign = n
		}
		r.ids[t] = n
	case map[string]any:
		n, _ := now.(map[string]any)
		for k, v := range t {
			r.learn(k, v, n[k])
		}
	case []any:
		n, _ := now.([]any)
		for i, v := range t {
			if at := matching(v, n, i); at >= 0 {
				r.learn("", v, n[at])
			}
		}
	}
}

// matching finds a list's element that is what the recorded one was: by its names, else by its place.
func matching(then any, now []any, i int) int {
	t, ok := then.(map[string]any)
	if ok && plainText(t["kernel"]) != "" {
		for _, what := range [][]string{{"kernel", "stage", "locations"}, {"kernel", "stage"}} {
			at := slices.IndexFunc(now, func(x any) bool {
				n, _ := x.(map[string]any)
				return sameMembers(t, n, what)
			})
			if at >= 0 {
				return at
			}
		}
	}
	if i < len(now) {
		return i
	}
	return -1
}

// sameMembers compares members of two rows; the marks around a host's text are ours and may have come later.
func sameMembers(a, b map[string]any, names []string) bool {
	bare := strings.NewReplacer("⟪", "", "⟫", "")
	for _, name := range names {
		if bare.Replace(fmt.Sprint(a[name])) != bare.Replace(fmt.Sprint(b[name])) {
			return false
		}
	}
	return true
}

// compare says whether the same was decided: refusal and its rule, state, words of verdicts, outputs, gains within bounds.
func (r *replayer) compare(x transcripts.Exchange, then map[string]any, now, refusal answer) {
	a, b := decision(x.IsError, then), decision(refusal != nil, map[string]any(now))
	if refusal != nil {
		b = decision(true, map[string]any(refusal))
	}
	if g, ok := then["measured"].(float64); ok && math.Abs(g-now.number("measured")) > gainBound {
		a, b = fmt.Sprintf("%s, measured %.3f", a, g), fmt.Sprintf("%s, measured %.3f", b, now.number("measured"))
	}
	switch {
	case a == b:
		r.same++
		r.show.note("%s  %s: %s", r.show.colour("32", "same"), x.Tool, clipLine(a, 90))
		return
	case open(a, b):
		r.open++
		r.show.note("%s  %s: then %s, now %s", r.show.colour("33", "open"), x.Tool, a, b)
		return
	}
	r.differ = append(r.differ, fmt.Sprintf("%s: then %s, now %s", x.Tool, a, b))
	r.show.note("%s  %s: then %s, now %s", r.show.colour("31", "DIFF"), x.Tool, a, b)
}

// open says whether two decisions differ only where one of them is inconclusive, which decides nothing.
func open(a, b string) bool {
	then, now := strings.Split(a, ", "), strings.Split(b, ", ")
	if len(then) != len(now) {
		return false
	}
	for i := range then {
		if then[i] != now[i] && !strings.HasSuffix(then[i], "inconclusive") && !strings.HasSuffix(now[i], "inconclusive") {
			return false
		}
	}
	return true
}

// decision is what an answer decides, in words.
func decision(refused bool, r map[string]any) string {
	if refused {
		why := plainText(r["rule"])
		if why == "" {
			why = plainText(r["code"])
		}
		return "refused by " + why
	}
	out := []string{plainText(r["state"])}
	for _, key := range []string{"verdict", "outputs_equal"} {
		if v := plainText(r[key]); v != "" {
			out = append(out, v)
		}
	}
	list, _ := r["verdicts"].([]any)
	for _, x := range list {
		v, _ := x.(map[string]any)
		out = append(out, strings.TrimSpace(plainText(v["family"])+" "+plainText(v["verdict"])))
	}
	return strings.Join(out, ", ")
}
