package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/policy"
	"github.com/sotaloop/sotaloop/internal/redact"
	"github.com/sotaloop/sotaloop/internal/report"
	"github.com/sotaloop/sotaloop/transcripts"
)

// product is the composed product of one home.
type product struct {
	home     home
	loop     *loop.Loop
	redact   *redact.Redactor
	recorder *transcripts.Recorder
	log      *slog.Logger
	close    func()

	inventory func() (*hosts.Inventory, error)
}

// composeAt is compose for the home in dir, "" being the user's own.
func composeAt(ctx context.Context, dir, workerDir string, stderr io.Writer) (*product, error) {
	h, err := findHome(dir)
	if err != nil {
		return nil, err
	}
	return compose(ctx, h, workerDir, stderr)
}

// compose wires the rooms together. Nothing is read from hosts, and no file but the policy, before the first call.
func compose(ctx context.Context, h home, workerDir string, stderr io.Writer) (*product, error) {
	red := redact.New(redact.Secrets(os.Environ()))
	log, closeLog := openLog(h, red, stderr)
	if _, err := h.policy(); err != nil {
		return nil, err
	}
	p := &product{home: h, redact: red, log: log, recorder: transcripts.New(filepath.Join(h.state, "transcripts"), red)}
	p.inventory = h.inventory
	shown, err := witnessOf(h)
	if err != nil {
		return nil, err
	}
	p.loop = loop.New(ctx, loop.Options{
		Home:             h.state,
		UserHome:         h.user,
		Inventory:        p.inventory,
		Dial:             p.dial,
		Binary:           workerBinary(workerDir),
		Approvers:        h.approvers,
		Revoked:          h.revoked,
		AgentReachable:   func(fingerprint string) string { return h.reachable(ctx, fingerprint) },
		Policy:           h.policy,
		Roots:            func() policy.Trust { return h.roots().Judge(policy.Self()) },
		ApproversExposed: h.approversExposed,
		Redact:           red,
		Log:              log,
		Version:          version,
		ApproveCommand:   approveCommand(h),
		Transcript:       p.transcript,
		Report:           report.Render,
		Seal:             sealer(h.file("seal_key")),
		Witness:          shown,
	})
	p.close = func() {
		p.loop.Close()
		_ = p.recorder.Close()
		closeLog()
	}
	return p, nil
}

// approveCommand is what a person types; a home of its own is named in it.
func approveCommand(h home) string {
	if os.Getenv("SOTALOOP_HOME") != "" {
		return "SOTALOOP_HOME=" + h.state + " sotaloop approve %s %s"
	}
	return "sotaloop approve %s %s"
}

// dial connects to a host of the inventory.
func (p *product) dial(ctx context.Context, name string, e hosts.HostEntry) (hosts.Conn, error) {
	config, known := p.home.sshFiles()
	return hosts.Dial(ctx, name, e, hosts.DialOptions{
		SSHConfig: config, KnownHosts: known, HomeDir: p.home.user, AgentSocket: os.Getenv("SSH_AUTH_SOCK"), Log: p.log,
	})
}

// transcript writes a campaign's exchanges up to now.
func (p *product) transcript(campaign string, w io.Writer) error {
	file, warnings, err := transcripts.Extract(filepath.Join(p.home.state, "transcripts"), campaign, time.Now())
	for _, m := range warnings {
		p.log.Warn("transcript", "campaign", campaign, "problem", m)
	}
	if err != nil {
		return err
	}
	_, err = w.Write(file)
	return err
}

// maxLog is the size at which the log file is turned over when a process starts.
const maxLog = 8 << 20

// openLog logs warnings to stderr and everything, redacted, to logs/sotaloop.log.
func openLog(h home, red *redact.Redactor, stderr io.Writer) (*slog.Logger, func()) {
	console := slog.NewTextHandler(red.Writer(stderr), &slog.HandlerOptions{Level: slog.LevelWarn})
	dir := filepath.Join(h.state, "logs")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return slog.New(console), func() {}
	}
	name := filepath.Join(dir, "sotaloop.log")
	if info, err := os.Stat(name); err == nil && info.Size() > maxLog {
		_ = os.Rename(name, name+".1")
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return slog.New(console), func() {}
	}
	file := slog.NewJSONHandler(red.Writer(f), &slog.HandlerOptions{Level: slog.LevelDebug})
	return slog.New(slog.NewMultiHandler(console, file)), func() { _ = f.Close() }
}
