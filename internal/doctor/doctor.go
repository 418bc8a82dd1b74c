// Package doctor looks at what a campaign needs, on this machine and on the hosts, and says of everything that is wrong
// which command or line mends it. It changes nothing: what it puts on a host is the worker, which any campaign would.
//
// It does not own what is needed: the inventory, the policy and the worker know that. It never changes a clock, a power
// limit or a process.
package doctor

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/policy"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// Level is how bad a finding is.
type Level string

// The levels. Red keeps campaigns from running, Warn does not.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Red  Level = "red"
)

// Check is one line of the table.
type Check struct {
	Name  string   `json:"check"`
	Level Level    `json:"level"`
	Found string   `json:"found"`
	Fix   []string `json:"fix"` // commands to type or lines to change, best first; empty where all is well
}

// Section is what was found at one place.
type Section struct {
	Host     string  `json:"host"` // name in hosts.yaml, "" for this machine
	Where    string  `json:"where"`
	Checks   []Check `json:"checks"`
	ElapsedS float64 `json:"elapsed_s"`
}

// Report is everything that was found.
type Report struct {
	Kind     string    `json:"kind"`
	V        int       `json:"v"`
	Version  string    `json:"version"` // of this program
	Time     time.Time `json:"time"`
	Sections []Section `json:"sections"`
	Worst    Level     `json:"worst"`
	Next     []string  `json:"next"` // what to type now
	ElapsedS float64   `json:"elapsed_s"`
}

// ReportKind and ReportVersion name the format of a Report as JSON.
const (
	ReportKind    = "sotaloop.doctor"
	ReportVersion = 1
)

// Options are what a look needs from its surroundings.
type Options struct {
	Version  string
	Platform string // of this program: linux/amd64
	State    string // folder of campaigns, transcripts and logs
	UserHome string // what "~/" stands for here

	File      func(name string) string // path of a file that decides, wherever it lies
	Inventory func() (*hosts.Inventory, error)
	Policy    func() (policy.Policy, error)
	Trust     func() policy.Trust
	Signers   func() (*gitops.AllowedSigners, error)
	// InReach lists approvers' keys that need no touch and that this account can use.
	InReach func(ctx context.Context) ([]string, error)

	Binary worker.Binary
	SSH    hosts.DialOptions
	// Only is the one host to look at, "" for all.
	Only string
	// PerHost bounds the look at one host; hosts are looked at at the same time. Zero: DefaultPerHost.
	PerHost time.Duration
	// Load is how long the load on each host lasts. Zero: DefaultLoad.
	Load time.Duration
	// Doing is told what is being done; nil: nobody is.
	Doing func(host, what string)
}

// Defaults of Options.
const (
	DefaultPerHost = 2 * time.Minute
	DefaultLoad    = 3 * time.Second
)

// grace is how long a look that was told to end may take for it.
const grace = 10 * time.Second

// Examine looks at this machine and at the hosts. The error is about Options only: a host that is not in the inventory.
func Examine(ctx context.Context, o Options) (Report, error) {
	began := time.Now()
	r := Report{Kind: ReportKind, V: ReportVersion, Version: o.Version, Time: began.UTC(), Next: []string{}}
	if o.Doing == nil {
		o.Doing = func(string, string) {}
	}
	inv, broken := o.Inventory()
	names := []string{}
	if broken == nil {
		names = inv.Names()
	}
	if o.Only != "" && broken == nil {
		if _, err := inv.Host(o.Only); err != nil {
			return r, err
		}
		names = []string{o.Only}
	}
	here := &notes{}
	sections := make([]Section, 1+len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { sections[1+i] = o.visit(ctx, name, inv.Hosts[name]) })
	}
	o.local(ctx, here, inv, broken)
	sections[0] = Section{Where: "this machine", Checks: here.list(), ElapsedS: seconds(time.Since(began))}
	all.Wait()
	r.Sections, r.ElapsedS = sections, seconds(time.Since(began))
	r.Worst = worst(sections)
	r.Next = o.next(r, names, broken)
	return r, nil
}

// next is what a person types now.
func (o Options) next(r Report, names []string, broken error) []string {
	switch {
	case broken != nil || r.Worst == Red:
		return []string{"mend what is red, then: sotaloop doctor"}
	case len(names) == 0:
		return []string{addHost, "sotaloop demo (a whole campaign on a simulated host; no GPU needed)"}
	}
	return []string{fmt.Sprintf("ask your agent: \"Show me the plan for a campaign on %s first.\"", names[0])}
}

// addHost is how a host gets into the inventory.
const addHost = "sotaloop hosts add NAME --ssh ALIAS"

func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond)) / float64(time.Second)
}

func worst(sections []Section) Level {
	w := OK
	for _, s := range sections {
		for _, c := range s.Checks {
			if c.Level == Red || c.Level == Warn && w == OK {
				w = c.Level
			}
		}
	}
	return w
}

// visit looks at one host and comes back in time, whatever the host does.
func (o Options) visit(ctx context.Context, name string, e hosts.HostEntry) Section {
	began := time.Now()
	limit := o.PerHost
	if limit == 0 {
		limit = DefaultPerHost
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	v := &visit{o: o, name: name, entry: e, notes: &notes{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		v.look(ctx)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		select {
		case <-done:
		case <-time.After(grace):
			v.red("time", "the look did not end when it was told to; what is above was found before").fix("sotaloop doctor --host " + name)
		}
	}
	v.mendable("if it stays so, look at the host: "+v.here("uptime"), "sotaloop doctor --host "+name)
	where := "this machine, by hosts.yaml"
	if !e.Local {
		where = "ssh " + e.SSH
	}
	return Section{Host: name, Where: where, Checks: v.list(), ElapsedS: seconds(time.Since(began))}
}

// notes is a growing list of checks. It may be read while it grows.
type notes struct {
	mu     sync.Mutex
	checks []Check
}

// noted is a check that was just added and may get its remedies.
type noted struct {
	n  *notes
	at int
}

func (n *notes) add(level Level, name, format string, args ...any) noted {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.checks = append(n.checks, Check{Name: name, Level: level, Found: line(fmt.Sprintf(format, args...)), Fix: []string{}})
	return noted{n, len(n.checks) - 1}
}

func (n *notes) ok(name, format string, args ...any) noted { return n.add(OK, name, format, args...) }

func (n *notes) warn(name, format string, args ...any) noted {
	return n.add(Warn, name, format, args...)
}

func (n *notes) red(name, format string, args ...any) noted { return n.add(Red, name, format, args...) }

// fix says how to mend it.
func (x noted) fix(how ...string) noted {
	x.n.mu.Lock()
	defer x.n.mu.Unlock()
	for _, h := range how {
		x.n.checks[x.at].Fix = append(x.n.checks[x.at].Fix, line(h))
	}
	return x
}

// mendable gives what is red and does not say what to do this to do.
func (n *notes) mendable(how ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, c := range n.checks {
		if c.Level == Red && len(c.Fix) == 0 {
			n.checks[i].Fix = slices.Clone(how)
		}
	}
}

func (n *notes) list() []Check {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.checks == nil {
		return []Check{}
	}
	return slices.Clone(n.checks)
}

// counted is a reader's program that knows how much of it was sent.
type counted struct {
	io.ReadCloser
	sent *int64
}

// Read implements io.Reader.
func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	*c.sent += int64(n)
	return n, err
}
