//go:build linux

package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/server"
)

// hostVerbs are the steps of processes, of people, and of the host.
func hostVerbs() map[string]func(*actor, string) {
	return map[string]func(*actor, string){
		"serve": (*actor).serve, "stop": (*actor).stop, "happens": (*actor).happened, "kill": (*actor).kill,
		"approve": (*actor).approve, "reject": (*actor).reject, "cli": (*actor).cli, "host": (*actor).sim, "race": (*actor).race, "git": (*actor).git, "commit": (*actor).commit, "impostor": (*actor).impostor, "bystander": (*actor).bystander,
	}
}

// serve NAME goes on with a server of that name, which is started where it does not run yet.
func (p *actor) serve(name string) {
	p.t.Helper()
	if a, ok := p.servers[name]; ok {
		p.agent = a
		return
	}
	proc := p.w.serve()
	a := &agent{t: p.t, w: p.w, client: proc.stdio(server.Era2026)}
	p.servers[name], p.agent, p.processes = a, a, append(p.processes, proc)
}

// stop ends every server; the next call starts one.
func (p *actor) stop(string) {
	p.t.Helper()
	for _, proc := range p.processes {
		proc.stop()
	}
	p.servers, p.agent, p.processes = map[string]*agent{}, nil, nil
}

func (p *actor) happened(event string) {
	p.t.Helper()
	p.w.happens(p.expand(event))
}

// approve is the engineer at a terminal.
func (p *actor) approve(proposal string) {
	p.t.Helper()
	p.touched = true
	p.w.approve(fmt.Sprint(p.vars["campaign"]), p.expand(proposal))
}

// reject PROPOSAL REASON is the engineer's no.
func (p *actor) reject(text string) {
	p.t.Helper()
	p.touched = true
	w := p.words(text)
	require.Len(p.t, w, 2, text)
	out, code := p.w.cli("reject", fmt.Sprint(p.vars["campaign"]), w[0], "--reason", w[1], "--home", p.w.home)
	require.Zero(p.t, code, out)
}

// cli runs a command for people: an attacker's has to fail as expected, an honest one succeeds.
func (p *actor) cli(text string) {
	p.t.Helper()
	p.touched = true
	out, code := p.w.cli(p.words(text)...)
	p.last = answer{"output": out, "exit": code}
	if !p.attacker {
		require.Zero(p.t, code, "AN HONEST RUN WAS REFUSED: %s", out)
		return
	}
	require.NotZero(p.t, code, "THE CHEAT WORKED: %s", out)
	for _, word := range p.expected() {
		require.Contains(p.t, out, word)
	}
	p.refusals++
}

// sim changes the simulated host's settings, given as an object laid over them.
func (p *actor) sim(text string) {
	p.t.Helper()
	require.True(p.t, p.s.alone, "a scenario that changes the host is alone on it")
	p.touched = true
	c, err := p.r.w.host.Config()
	require.NoError(p.t, err)
	require.NoError(p.t, json.Unmarshal([]byte(p.expand(text)), &c))
	require.NoError(p.t, p.r.w.host.SetConfig(c))
}

// kill WORD ends the host's process whose command line holds the words, by its id, from outside.
func (p *actor) kill(word string) {
	p.t.Helper()
	require.True(p.t, p.s.alone, "a scenario that ends processes is alone on the host")
	p.touched = true
	host := world{t: p.t, home: p.w.layout.Root}
	require.Eventually(p.t, func() bool {
		found := host.processes(p.expand(word))
		for _, s := range found {
			s.end()
		}
		return len(found) > 0
	}, waitFor, tick)
}

// commit MESSAGE PATH TEXT commits a file in the target's checkout.
func (p *actor) commit(text string) {
	p.t.Helper()
	w := p.words(text)
	require.Len(p.t, w, 3, text)
	require.NoError(p.t, os.WriteFile(p.path(filepath.Join(p.w.checkout, w[1])), []byte(w[2]), 0o600))
	p.runGit("add", "-f", "--", w[1])
	p.runGit("-c", "user.name=agent", "-c", "user.email=agent@localhost", "commit", "-q", "-m", w[0])
}

// git ARG… runs the system's git in the target's checkout.
func (p *actor) git(text string) {
	p.t.Helper()
	p.touched = true
	p.runGit(p.words(text)...)
}

func (p *actor) runGit(args ...string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "git", append([]string{"-C", p.w.checkout}, args...)...)
	cmd.Env = p.w.environ()
	out, err := cmd.CombinedOutput()
	require.NoError(p.t, err, "%s", out)
}

// impostor PROPOSAL puts a key of the attacker's into allowed_signers under the engineer's name, and approves with it.
func (p *actor) impostor(proposal string) {
	p.t.Helper()
	p.touched = true
	p.w.key = filepath.Join(p.w.home, "impostor_ed25519")
	p.w.writeKey()
	p.w.approve(fmt.Sprint(p.vars["campaign"]), p.expand(proposal))
}

// bystander NAME starts a process of somebody else's that is called like an engine; with "lives" in place of a name it has
// to run still.
func (p *actor) bystander(name string) {
	p.t.Helper()
	if name == "lives" {
		require.NoError(p.t, p.stranger.Process.Signal(syscall.Signal(0)), "A BYSTANDER WAS KILLED")
		p.refusals++
		return
	}
	p.stranger = exec.CommandContext(p.t.Context(), "sleep", "600")
	p.stranger.Args[0] = name
	require.NoError(p.t, p.stranger.Start())
	cmd := p.stranger
	p.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// race N TOOL ARGS makes the same call from N servers at once; they have to agree.
func (p *actor) race(text string) {
	p.t.Helper()
	p.touched = true
	count, call, _ := strings.Cut(text, " ")
	tool, args := p.tool(call)
	var agents []*agent
	for i := range map[string]int{"2": 2, "3": 3, "4": 4}[count] {
		p.serve(fmt.Sprint("racer ", i))
		p.about(tool)
		agents = append(agents, p.agent)
	}
	require.NotEmpty(p.t, agents, text)
	type said struct {
		out     answer
		refused bool
	}
	answers := make(chan said, len(agents))
	for _, a := range agents {
		go func() {
			out, refused := a.try(tool, args)
			answers <- said{out, refused}
		}()
	}
	for range agents {
		s := <-answers
		if p.attacker && p.s.expect.rule != "" {
			p.judge(tool, s.out, s.refused)
			continue
		}
		require.False(p.t, s.refused, "%s", s.out)
		p.answered(tool, s.out)
	}
}

var linkOf = regexp.MustCompile(`"seq":\d+,"time":"([^"]*)","prev":"[0-9a-f]{64}"`)

// rechain writes a ledger's lines as a whole chain with its head. Payloads stay the bytes they are.
func rechain(t *testing.T, run string, lines []string) {
	t.Helper()
	var out strings.Builder
	prev := strings.Repeat("0", 64)
	for i, l := range lines {
		require.Regexp(t, linkOf, l)
		at := linkOf.FindStringSubmatchIndex(l)
		l = l[:at[0]] + fmt.Sprintf(`"seq":%d,"time":%q,"prev":%q`, i+1, l[at[2]:at[3]], prev) + l[at[1]:]
		sum := sha256.Sum256([]byte(l))
		prev = hex.EncodeToString(sum[:])
		out.WriteString(l + "\n")
	}
	require.NoError(t, os.WriteFile(filepath.Join(run, "ledger.jsonl"), []byte(out.String()), 0o600))
	head := fmt.Sprintf(`{"kind":"sotaloop.head","v":1,"seq":%d,"hash":%q}`+"\n", len(lines), prev)
	require.NoError(t, os.WriteFile(filepath.Join(run, "head.json"), []byte(head), 0o600))
}
