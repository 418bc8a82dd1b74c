// Package discover looks at a host that no inventory describes yet and says what an entry for it would be: fixed scripts
// find out what is there, pure functions choose, and every choice has its reason. The host is only read. What it says is
// checked like anything that others wrote: a value that hosts.yaml would refuse is left out, and named.
//
// It does not decide: a person reads the entry, or the change to an entry, before it is written.
package discover

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Limits of a survey. Steps run at the same time; what a step found before its end counts.
const (
	Timeout      = 60 * time.Second // of a survey as a whole
	searchTime   = 40 * time.Second // of walks through file systems
	queryTime    = 20 * time.Second // of everything else
	maxOutput    = 1 << 20
	maxPrefixes  = 200
	maxImages    = 40
	maxProbed    = 100
	maxPartition = 20
)

// Found is what a survey saw. Every text in it is a host's.
type Found struct {
	Home, RealHome, User, OS, Version, Kernel, Machine string // RealHome: with links followed
	Cores                                              int
	MemoryMiB                                          int64

	Programs map[string]string // docker, podman, sinfo, … → path
	Variable map[string]string // of the login: HF_HOME and its kin
	Secrets  []string          // names of variables that are set
	Writable map[string]bool   // folders where leases could lie
	Disks    []disk
	GPUs     []hosts.GPU
	GPUError error // nil with no GPUs: there is no driver
	Dists    []dist
	Models   []model
	Caches   []cache
	Images   []image
	// Containers that run, and partitions of a scheduler, as lines for a person.
	Containers, Partitions []string
	// Denied says why a container engine that is there cannot be asked.
	Denied map[string]string
	// Cut names what was not searched to its end.
	Cut []string
}

// disk is a folder where a host may keep large things.
type disk struct {
	dir, kind, device, mount string
	freeMiB                  int64
	writable                 bool
}

// dist is an engine that is installed in an environment.
type dist struct {
	kind, prefix, site, version string
	url                         string // text of direct_url.json
	python                      bool   // the environment has an interpreter
	runs                        bool   // and the program that its adapter starts
	checkout, commit            string // of an editable install
}

// model is a folder with a checkpoint.
type model struct {
	dir    string
	files  int
	bytes  int64
	absent int // weights that the index names and that are not there
}

// cache is a Hugging Face cache: the folder above hub, and the models in it.
type cache struct {
	dir      string
	complete []string
	partial  int
}

// image is a container image that is named like an engine.
type image struct {
	engine, kind, name, digest, commit, size string
	tags                                     []string
}

// limits of steps.
type limits struct{ search, query time.Duration }

// survey is one look.
type survey struct {
	conn hosts.Conn
	limits
	mu sync.Mutex
	f  *Found
}

// Survey looks at a host within Timeout. An error means that nothing could be asked.
func Survey(ctx context.Context, conn hosts.Conn) (*Found, error) {
	return surveyWithin(ctx, conn, limits{search: searchTime, query: queryTime})
}

func surveyWithin(ctx context.Context, conn hosts.Conn, l limits) (*Found, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	s := &survey{conn: conn, limits: l, f: &Found{Programs: map[string]string{}, Variable: map[string]string{}, Writable: map[string]bool{}, Denied: map[string]string{}}}
	out, err := s.script(ctx, s.query, "", machineScript)
	if err != nil {
		return nil, err
	}
	s.machine(out)
	if s.f.Home == "" {
		return nil, fault.New(fault.NotFound, "the host did not tell the account's home folder").Hint("log in there by hand: it has to run a POSIX shell")
	}
	var all sync.WaitGroup
	for _, step := range []func(context.Context){s.disks, s.gpus, s.environments, s.models, s.images, s.partitions} {
		all.Go(func() { step(ctx) })
	}
	all.Wait()
	s.second(ctx)
	return s.f, ctx.Err()
}

// script runs a fixed script with arguments and gives its lines. What was printed before the time was up counts; what then
// names the search that was cut.
func (s *survey) script(ctx context.Context, limit time.Duration, what, text string, args ...string) ([][]string, error) {
	return s.run(ctx, limit, what, append([]string{"/bin/sh", "-c", text, "sh"}, args...))
}

func (s *survey) run(ctx context.Context, limit time.Duration, what string, argv []string) ([][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	res, err := s.conn.Run(ctx, hosts.Cmd{Argv: argv, MaxOutput: maxOutput})
	cut := res.Truncated || fault.CodeOf(err) == fault.Timeout && err != nil
	if err != nil && (what == "" || !cut) {
		return nil, err
	}
	if !res.IsSuccess() && !cut && len(res.Stdout) == 0 && len(res.Stderr) > 0 {
		return nil, fault.New(fault.Denied, "%s", fault.Foreign(string(res.Stderr), 300))
	}
	if cut {
		s.mu.Lock()
		s.f.Cut = append(s.f.Cut, what)
		s.mu.Unlock()
	}
	var rows [][]string
	for line := range strings.Lines(string(res.Stdout)) {
		if whole, ok := strings.CutSuffix(line, "\n"); ok { // the last one may be half
			rows = append(rows, strings.Split(whole, "\t"))
		}
	}
	return rows, nil
}

// add changes what was found.
func (s *survey) add(change func(*Found)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.f)
}
