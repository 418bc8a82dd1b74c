package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
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
	if !*asJSON && isTerminal(s.Err) {
		opt.Doing = func(host, what string) { fmt.Fprintf(s.Err, "%s: %s …\n", host, what) }
	}
	report, err := doctor.Examine(ctx, opt)
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
	if columns, _, err := term.GetSize(int(w.(*os.File).Fd())); err == nil { //nolint:forcetypeassert // a terminal is a file
		style.Width = columns - 1
	}
	if os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" {
		codes := map[doctor.Level]string{doctor.OK: "32", doctor.Warn: "33", doctor.Red: "1;31"}
		style.Paint = func(level doctor.Level, word string) string { return "\x1b[" + codes[level] + "m" + word + "\x1b[0m" }
	}
	return style
}
