package worker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// gatedMark is in the environment of what the gate runs and waits for, so that it may be ended again.
const gatedMark = "SOTALOOP_GATED=1"

// exitRefused is how the gate ends where it refuses.
const exitRefused = 77

// Keep carries out one command line of sotaloop's transport (SSH_ORIGINAL_COMMAND) and gives its exit code. What is not
// let in is refused on stderr, or in the worker's own words where a verb was asked for.
func (k *Keeper) Keep(ctx context.Context, o HostOptions, line string, stderr io.Writer) int {
	f, err := hosts.ParseForced(line)
	if err != nil {
		fmt.Fprintf(stderr, "sotaloop worker gate: %v: this key serves sotaloop's server alone\n", err)
		return exitRefused
	}
	g := &gated{k: k, o: o, f: f, stderr: stderr}
	if g.self, g.digest, err = ownProgram(); err == nil {
		err = g.carryOut(ctx)
	}
	var exited *exec.ExitError
	switch {
	case errors.As(err, &exited):
		return max(1, exited.ExitCode())
	case err != nil:
		if f.Kind != hosts.ForcedStart { // there it would say that something was started
			g.hello()
		}
		fmt.Fprintf(stderr, "sotaloop worker gate: %v\n", err)
		return exitRefused
	}
	return 0
}

// gated is one command line under the gate.
type gated struct {
	k            *Keeper
	o            HostOptions
	f            hosts.Forced
	stderr       io.Writer
	self, digest string
	said         bool
}

func ownProgram() (path, digest string, err error) {
	path, err = os.Executable()
	if err != nil {
		return "", "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return path, hex.EncodeToString(sum.Sum(nil)), err
}

// program is where the server believes the worker to lie: it is this program, whatever lies there.
func (g *gated) program() string {
	return filepath.Join(g.k.Workdir, "bin", "sotaloop-"+g.digest[:16])
}

// hello begins the output as the transport's scripts do.
func (g *gated) hello() {
	if g.said || g.f.Mark == "" {
		return
	}
	g.said = true
	fmt.Fprintln(g.o.Out, g.f.Mark)
	fmt.Fprintf(g.stderr, "%s started %d\n", g.f.Mark, os.Getpid())
}

func (g *gated) carryOut(ctx context.Context) error {
	a := g.f.Args
	switch g.f.Kind {
	case hosts.ForcedDigest:
		return g.tellDigest(a[0], a[1])
	case hosts.ForcedReceive, hosts.ForcedDiscard, hosts.ForcedPlace:
		if err := g.mayWrite(a); err != nil {
			return err
		}
		return g.run(ctx, g.f.Argv, g.o.In)
	case hosts.ForcedSend:
		if err := g.mayRead(a[0]); err != nil {
			return err
		}
		return g.run(ctx, g.f.Argv, nil)
	case hosts.ForcedKill:
		return killGated(a[0], a[1])
	case hosts.ForcedStart:
		return g.start(ctx)
	}
	return g.verb(ctx)
}

// tellDigest answers for the worker's program with this one.
func (g *gated) tellDigest(folder, name string) error {
	if !g.k.isWorkdir(strings.TrimSuffix(folder, "/bin")) {
		return refused("%q is not in the workdir of this account's gate", folder).At("workdir", folder, g.k.Workdir)
	}
	g.hello()
	answer := "missing"
	if name == filepath.Base(g.program()) {
		answer = g.digest + "  -"
	}
	_, err := fmt.Fprintf(g.o.Out, "%s\n%s\n", filepath.Dir(g.program()), answer)
	return err
}

var (
	inboxPath   = regexp.MustCompile(`^runs/[A-Za-z0-9][A-Za-z0-9._:@+=,-]*/inbox/[A-Za-z0-9][A-Za-z0-9._:@+=,-]*$`)
	partPath    = regexp.MustCompile(`^datasets/[a-z]+/[0-9a-f]{64}/part-[0-9]{6}$`)
	sentPath    = regexp.MustCompile(`^(runs/[A-Za-z0-9][A-Za-z0-9._:@+=,-]*/.+|datasets/sha256-[0-9a-f]{64}[a-z.]*index[a-z.]*)$`)
	partialName = regexp.MustCompile(`^\.sotaloop-[A-Z2-7]{26}\.part$`)
)

// mayWrite lets files into inboxes of runs and into datasets on their way.
func (g *gated) mayWrite(a []string) error {
	rel, inside := strings.CutPrefix(a[0], g.k.Workdir+"/")
	switch {
	case inside && filepath.Dir(rel) == "bin":
		return refused("no program is taken here: this account runs sotaloop %.16s, which its owner installed; run a server of the same build", g.digest)
	case !inside || strings.Contains(rel, "..") || !inboxPath.MatchString(rel) && !partPath.MatchString(rel):
		return refused("%q is no inbox of a run", a[0]).At("dst", a[0])
	case !partialName.MatchString(a[1]) || len(a) > 2 && a[2] != "600":
		return refused("%q is no part of an upload", a[1]).At("dst", a[1])
	}
	return g.plain(rel)
}

// mayRead lets artifacts of runs out, and indexes of datasets, which hold no text.
func (g *gated) mayRead(path string) error {
	rel, inside := strings.CutPrefix(path, g.k.Workdir+"/")
	if !inside || filepath.Clean(path) != path || !sentPath.MatchString(rel) {
		return refused("%q is no artifact of a run", path).At("path", path)
	}
	return g.plain(rel)
}

// plain refuses paths that lead through a symbolic link: what runs here could have laid one.
func (g *gated) plain(rel string) error {
	at := g.k.Workdir
	for part := range strings.SplitSeq(rel, "/") {
		at = filepath.Join(at, part)
		if info, err := os.Lstat(at); err == nil && info.Mode().Type() == os.ModeSymlink {
			return refused("%q is a symbolic link", at).At("path", at)
		}
	}
	return nil
}

// verb carries out a verb of the worker, or asks nvidia-smi or uname.
func (g *gated) verb(ctx context.Context) error {
	a := g.f.Args
	if slices.Equal(a, hosts.MachineQuery()) {
		return g.run(ctx, g.f.Argv, nil)
	}
	if a[0] == "nvidia-smi" {
		if !slices.ContainsFunc(hosts.GPUQueries(), func(q []string) bool { return slices.Equal(q, a) }) {
			return refused("%q is no query of sotaloop's", a)
		}
		return g.run(ctx, g.f.Argv, nil)
	}
	if len(a) != 3 || a[0] != g.program() || a[1] != "worker" || a[2] == VerbRun || !slices.Contains(Verbs, a[2]) {
		return refused("%q is no verb of the worker", a).At("argv", fault.Foreign(strings.Join(a, " "), 200))
	}
	raw, err := io.ReadAll(io.LimitReader(g.o.In, maxAnswer+1))
	if err == nil && len(raw) > maxAnswer {
		err = errors.New("the request is too large")
	}
	if err != nil {
		return err
	}
	if err := g.k.vet(a[2], raw); err != nil {
		g.hello()
		return json.NewEncoder(g.o.Out).Encode(envelope{V: PlanVersion, Fault: toWire(err)})
	}
	if a[2] == VerbReceipt {
		g.hello()
		return answerTo(g.o.Out, func() (any, error) { return g.k.receipt(raw, g.digest) })
	}
	return g.run(ctx, g.asSelf(), bytes.NewReader(raw))
}

// asSelf puts this program into a command line in place of an uploaded one.
func (g *gated) asSelf() []string {
	argv := slices.Clone(g.f.Argv)
	argv[len(argv)-len(g.f.Args)] = g.self
	return argv
}

// start starts the worker of a prepared run.
func (g *gated) start(ctx context.Context) error {
	a := g.f.Args
	if len(a) != 5 || a[0] != g.program() || a[1] != "worker" || a[2] != VerbRun || a[3] != "--dir" {
		return refused("%q does not start a run", a).At("argv", fault.Foreign(strings.Join(a, " "), 200))
	}
	rel, inside := strings.CutPrefix(a[4], g.k.Workdir+"/"+runsDir+"/")
	if !inside || checkID("run_id", rel) != nil {
		return refused("%q is no run of this account's gate", a[4]).At("dir", a[4])
	}
	cmd := exec.CommandContext(ctx, g.asSelf()[0], g.asSelf()[1:]...)
	cmd.Stdout, cmd.Stderr = g.o.Out, g.stderr
	g.said = true
	return cmd.Run()
}

// run runs one of the transport's own scripts; no word of it is the caller's but what was judged.
func (g *gated) run(ctx context.Context, argv []string, stdin io.Reader) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(slices.Clone(g.k.Environ), gatedMark)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, g.o.Out, g.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	g.said = true
	return cmd.Run()
}

// killGated ends the process group of what a gate runs, and nothing else.
func killGated(pid, began string) error {
	n, err := strconv.Atoi(pid)
	if err != nil || n < 2 {
		return refused("%q is no process", pid)
	}
	if !environHas(n, gatedMark) {
		return nil // it has ended, or is not the gate's
	}
	stat, ok := readProcs()[n]
	if began != "" && (!ok || strconv.FormatUint(stat.start, 10) != began) {
		return nil
	}
	if err := unix.Kill(-n, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}
