package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/doctor"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/policy"
)

const doctorUsage = `usage: sotaloop doctor [--host HOST] [--json] [--timeout 2m] [--home DIR] [--worker-dir DIR]

Looks at this machine and, at the same time, at every host of hosts.yaml, or at one. It changes nothing but that the worker
is put onto the hosts. Exit code: 0 where nothing is red (warnings do not count), 1 where something is, 2 for bad usage.`

// runDoctor prints what a campaign would miss, and what mends it.
func runDoctor(ctx context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("doctor", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	dir := set.String("home", "", "folder of configuration and state")
	workerDir := set.String("worker-dir", "", "folder with sotaloop-linux-ARCH for hosts")
	only := set.String("host", "", "look at this host only")
	limit := set.Duration("timeout", doctor.DefaultPerHost, "longest look at one host")
	asJSON := set.Bool("json", false, "print JSON")
	if err := set.Parse(args); err != nil || set.NArg() > 0 || *limit <= 0 {
		return fault.New(fault.InvalidInput, "doctor: cannot use %q", fmt.Sprint(args)).Hint("%s", doctorUsage)
	}
	h, err := findHome(*dir)
	if err != nil {
		return err
	}
	opt := h.doctor(*workerDir)
	opt.Only, opt.PerHost = *only, *limit
	moving := &movingLine{w: s.Err, steps: map[string]string{}}
	if !*asJSON && isTerminal(s.Err) {
		opt.Doing = moving.show
	}
	report, err := doctor.Examine(ctx, opt)
	moving.end()
	if err != nil {
		return err
	}
	if *asJSON {
		err = writeJSON(s.Out, report)
	} else {
		err = report.Text(s.Out, tableStyle(s.Out))
	}
	if err == nil && report.Worst == doctor.Red {
		return exitWith(1)
	}
	return err
}

// doctor is what a look at this home needs.
func (h home) doctor(workerDir string) doctor.Options {
	config, known := h.sshFiles()
	return doctor.Options{
		Version: version, Platform: runtime.GOOS + "/" + runtime.GOARCH, State: h.state, UserHome: h.user,
		File: h.file, Inventory: h.inventory, Policy: h.policy, Signers: h.allowedSigners, InReach: h.approversInReach,
		Trust:  func() policy.Trust { return h.roots().Judge(policy.Self()) },
		Binary: workerBinary(workerDir),
		SSH:    hosts.DialOptions{SSHConfig: config, KnownHosts: known, HomeDir: h.user, AgentSocket: os.Getenv("SSH_AUTH_SOCK"), KeepAlive: 5 * time.Second},
	}
}

// movingLine tells a person who waits what is being done on which host, on one line.
type movingLine struct {
	w     io.Writer
	mu    sync.Mutex
	steps map[string]string
	shown bool
}

// maxMoving is how long the line may be, so that it stays one.
const maxMoving = 76

func (l *movingLine) show(host, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.steps[host], l.shown = what, true
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(l.steps)) {
		texts = append(texts, name+": "+l.steps[name])
	}
	text := []rune(strings.Join(texts, " · "))
	fmt.Fprintf(l.w, "\r%s\x1b[K", string(text[:min(len(text), maxMoving)]))
}

// end takes the line away.
func (l *movingLine) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown {
		fmt.Fprint(l.w, "\r\x1b[K")
	}
}

// isTerminal says whether a person looks at a stream.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// tableStyle is colours and width where a person looks, plain text elsewhere.
func tableStyle(w io.Writer) doctor.Style {
	var style doctor.Style
	if !isTerminal(w) {
		return style
	}
	if columns, _, err := term.GetSize(int(w.(*os.File).Fd())); err == nil && columns > 1 { //nolint:forcetypeassert // a terminal is a file
		style.Width = columns - 1
	}
	if os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		codes := map[doctor.Level]string{doctor.OK: "32", doctor.Warn: "33", doctor.Red: "1;31"}
		style.Paint = func(level doctor.Level, word string) string { return "\x1b[" + codes[level] + "m" + word + "\x1b[0m" }
	}
	return style
}
