// Package loop is the campaign state machine. State is a replay of the campaign's ledger; every transition is checked
// by rules inside the ledger's lock, so that neither a tool nor a second server can go around it. Long work runs as
// durable jobs: a job is on disk before anything happens on a host, and any server process may finish it.
package loop

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/jobs"
	"github.com/sotaloop/sotaloop/internal/policy"
	"github.com/sotaloop/sotaloop/internal/redact"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// Options are what a Loop needs from its surroundings.
type Options struct {
	Home      string // holds runs, locks and transcripts
	UserHome  string // what "~/" stands for in checkouts of hosts.yaml
	RunsDir   string // default Home/runs
	Inventory func() (*hosts.Inventory, error)
	Dial      func(ctx context.Context, name string, e hosts.HostEntry) (hosts.Conn, error)
	Binary    WorkerBinary
	Approvers func() ([]byte, error) // allowed_signers; nil bytes = none
	// Policy reads the engineer's policy as it is now; nil is the default.
	Policy func() (policy.Policy, error)
	// Roots judges whether this server's account could change policy, approvers and hosts; nil: it could.
	Roots   func() policy.Trust
	Redact  *redact.Redactor
	Log     *slog.Logger
	Version string
	// ApproveCommand is what an engineer types to approve; %s are campaign and proposal.
	ApproveCommand string
	// Revoked is the list of keys that may approve no more; nil bytes = none.
	Revoked func() ([]byte, error)
	// AgentReachable says where this server's own account can use a key, "" where it was not found.
	AgentReachable func(fingerprint string) string
	// ApproversExposed says why this server's own account could change the approvers file, "" where it could not.
	ApproversExposed func() string
	// Transcript writes a campaign's exchanges up to now; it is asked by write_report.
	Transcript func(campaign string, w io.Writer) error
	// Seal signs a report's statement as a DSSE envelope and names the key; nil, or a nil envelope, leaves it unsigned.
	Seal func(ctx context.Context, payloadType string, statement []byte) (envelope []byte, key string, err error)
	// Witness shows a request to the configured witness and gives what it answered; nil: there is none.
	Witness func(ctx context.Context, request io.Reader) ([]byte, error)
	// Report renders the report's files; internal/report provides it.
	Report func(in ReportInput) (map[string][]byte, error)
}

// WorkerBinary is the Linux binary that hosts run, by their architecture in Go's words.
type WorkerBinary = worker.Binary

// Loop runs the campaigns of one home. Its methods may be called concurrently.
type Loop struct {
	opt   Options
	jobs  *jobs.Manager
	mu    sync.Mutex
	camps map[string]*campaign
	conns map[string]*hostConn
	seen  map[string]HostView // last known state of hosts
	shows sync.WaitGroup      // heads that are being shown to the witness
}

// New makes a loop whose jobs end with ctx. Nothing is read or dialled before the first call.
func New(ctx context.Context, opt Options) *Loop {
	if opt.RunsDir == "" {
		opt.RunsDir = filepath.Join(opt.Home, "runs")
	}
	return &Loop{opt: opt, jobs: jobs.New(ctx, opt.Log), camps: map[string]*campaign{}, conns: map[string]*hostConn{}, seen: map[string]HostView{}}
}

// Close waits for the jobs of this process after the loop's context has ended, and closes its connections.
func (l *Loop) Close() {
	l.jobs.Close()
	l.shows.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.camps {
		c.release()
	}
	for _, h := range l.conns {
		h.close()
	}
}

// campaignName is what a campaign id may look like.
var campaignName = regexp.MustCompile(`^[0-9]{8}_[a-z0-9][a-z0-9._-]*_(sota|tune|ab|look)_loop(_[0-9]+)?$`)

// locks is where locks and temporary files lie.
func (l *Loop) locks() string { return filepath.Join(l.opt.Home, "locks") }

// campaign finds a campaign by id.
func (l *Loop) campaign(id string) (*campaign, error) {
	if id == "" {
		return nil, fault.New(fault.InvalidInput, "campaign is missing").At("campaign", "", l.known()...).
			Hint("pass the id that open_campaign returned").Then("get_campaign", "without a campaign it lists them")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.camps[id]; ok {
		return c, nil
	}
	dir := filepath.Join(l.opt.RunsDir, id)
	if _, err := os.Stat(filepath.Join(dir, "ledger.jsonl")); !campaignName.MatchString(id) || err != nil {
		return nil, fault.New(fault.NotFound, "no campaign %q", id).At("campaign", id, l.known()...).
			Hint("use an id that get_campaign lists, or open one").Then("get_campaign", "lists the campaigns").Then("open_campaign", "opens one")
	}
	c, err := newCampaign(l, id, dir)
	if err != nil {
		return nil, err
	}
	l.camps[id] = c
	return c, nil
}

// known lists campaign ids, newest first, at most ten.
func (l *Loop) known() []string {
	names, _ := l.Campaigns()
	return names[:min(len(names), 10)]
}

// Campaigns lists the ids of the home's campaigns, newest first.
func (l *Loop) Campaigns() ([]string, error) {
	entries, err := os.ReadDir(l.opt.RunsDir)
	if os.IsNotExist(err) {
		return []string{}, nil
	}
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, e := range entries {
		if e.IsDir() && campaignName.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return compareText(b, a) })
	return names, nil
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Resume re-attaches to the open jobs of every campaign, and goes on taking over those whose server ended, until ctx
// ends. Call it after the first answer was given.
func (l *Loop) Resume(ctx context.Context) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		l.adopt(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// adopt starts the open jobs that nobody runs.
func (l *Loop) adopt(ctx context.Context) {
	names, err := l.Campaigns()
	if err != nil {
		l.opt.Log.Warn("list campaigns", "err", err)
		return
	}
	for _, name := range names {
		c, err := l.campaign(name)
		if err != nil {
			continue
		}
		if err := c.adopt(ctx); err != nil {
			l.opt.Log.Debug("adopt jobs", "campaign", name, "err", err)
		}
	}
}
