package doctor

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/policy"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// visit is the look at one host.
type visit struct {
	*notes
	o     Options
	name  string
	entry hosts.HostEntry
}

// Limits of single steps; the look as a whole has its own.
const (
	probeTimeout   = 40 * time.Second
	examineTimeout = 60 * time.Second
	selftestExtra  = 30 * time.Second
)

// look goes from the outside in: what a step needs and did not get ends the look or leaves the step out.
func (v *visit) look(ctx context.Context) {
	v.excluded()
	v.checkouts()
	v.o.Doing(v.name, "connecting")
	conn := v.connect(ctx)
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	v.o.Doing(v.name, "putting the worker there")
	client := v.worker(ctx, conn)
	var facts *worker.Facts
	if client != nil {
		v.o.Doing(v.name, "looking")
		facts = v.probe(ctx, client)
	}
	if v.entry.Device == hosts.DeviceCUDA {
		v.gpus(ctx, conn, facts)
	}
	if facts == nil {
		return
	}
	v.examine(ctx, client, facts)
	v.models(facts)
	v.o.Doing(v.name, "measuring the load client")
	v.selftest(ctx, client)
}

// here is a command to type for this host. It is one word for the shell here, which would otherwise put its own home for ~.
func (v *visit) here(command string) string {
	if v.entry.Local {
		return command
	}
	terminal := ""
	if strings.HasPrefix(command, "sudo ") { // which asks for a password
		terminal = "-t "
	}
	return "ssh " + terminal + word(v.entry.SSH) + " " + word(command)
}

// entryLine says what to change in hosts.yaml.
func (v *visit) entryLine(format string, args ...any) string {
	return fmt.Sprintf(format, args...) + " of host " + v.name + " in " + v.o.short(v.o.File(policy.HostsFile))
}

// excluded says that the policy keeps campaigns away.
func (v *visit) excluded() {
	p, err := v.o.Policy()
	if err != nil {
		return // said where this machine is looked at
	}
	f := policy.Force{Frozen: p, Now: p}
	if line := f.Excludes(policy.KeyHosts, v.name); line != nil {
		v.warn("policy", "no campaign may use this host: %s", line).fix("add it to hosts in " + v.o.short(v.o.File(policy.PolicyFile)))
	}
	for _, name := range slices.Sorted(maps.Keys(v.entry.Engines)) {
		if line := f.Excludes(policy.KeyEngines, name); line != nil {
			v.warn("policy", "no campaign may use the engine %s: %s", name, line).fix("add it to engines in " + v.o.short(v.o.File(policy.PolicyFile)))
		}
	}
}

// checkouts looks at the git checkouts on this machine from which engines can be patched.
func (v *visit) checkouts() {
	for _, name := range slices.Sorted(maps.Keys(v.entry.Engines)) {
		e := v.entry.Engines[name]
		if e.Checkout == "" {
			continue
		}
		dir := e.Checkout
		if rest, ok := strings.CutPrefix(dir, "~/"); ok {
			dir = filepath.Join(v.o.UserHome, filepath.FromSlash(rest))
		}
		row := "checkout " + name
		repo, err := gitops.Open(dir)
		if err != nil {
			v.fault(Red, row, err, "git clone the engine's source to "+e.Checkout+" on this machine, or correct "+v.entryLine("checkout of engine %s", name))
			continue
		}
		head, err := repo.Head()
		if err != nil {
			v.fault(Red, row, err)
			continue
		}
		v.ok(row, "%s on this machine at commit %.12s", e.Checkout, head.Commit)
	}
}

// connect reaches the host and tells by which key it proved who it is.
func (v *visit) connect(ctx context.Context) hosts.Conn {
	type accepted struct{ name, kind, fingerprint string }
	keys := make(chan accepted, 16)
	opt := v.o.SSH
	opt.KeyAccepted = func(name, kind, fingerprint string) {
		select {
		case keys <- accepted{name, kind, fingerprint}:
		default:
		}
	}
	began := time.Now()
	conn, err := hosts.Dial(ctx, v.name, v.entry, opt)
	took := time.Since(began)
	if err != nil {
		row := "ssh"
		if fault.CodeOf(err) == fault.HostKey {
			row = "host key"
		}
		v.fault(Red, row, err)
		return nil
	}
	if v.entry.Local {
		v.ok("transport", "local: no connection")
		return conn
	}
	r, err := hosts.ReadRoute(v.entry.SSH, opt)
	if err != nil {
		v.fault(Red, "ssh", err)
		_ = conn.Close()
		return nil
	}
	by := ""
	if len(r.Jumps) > 0 {
		by = " by " + strings.Join(r.Jumps, ", ")
	}
	v.ok("ssh", "%s@%s%s, connected in %.2f s", r.User, r.Address, by, took.Seconds())
	for n := len(keys); n > 0; n-- {
		if k := <-keys; n == 1 {
			v.ok("host key", "%s %s of %s is known", k.kind, k.fingerprint, k.name)
		}
	}
	return conn
}

// worker puts the worker onto the host, unless it is there, and gives its client.
func (v *visit) worker(ctx context.Context, conn hosts.Conn) *worker.Client {
	var sent int64
	bin := worker.Binary{Digest: v.o.Binary.Digest, Open: func(arch string) (io.ReadCloser, error) {
		f, err := v.o.Binary.Open(arch)
		if err != nil {
			return nil, err
		}
		return counted{f, &sent}, nil
	}}
	began := time.Now()
	at, err := bin.Install(ctx, conn, v.entry.Workdir)
	if err != nil {
		v.fault(Red, "worker", err)
		return nil
	}
	if sent > 0 {
		v.ok("worker", "uploaded to %s: %s in %.1f s", path.Dir(at), size(sent>>20), time.Since(began).Seconds())
	} else {
		v.ok("worker", "this build's is there already, in %s", path.Dir(at))
	}
	return worker.NewClient(conn, at, v.entry.Workdir)
}

// What a host should have free, in MiB: engines write caches, points write records.
const (
	redDiskMiB  = 2 << 10
	warnDiskMiB = 20 << 10
)

// maxSkew is how far two clocks may be apart before it is said. No figure depends on it: durations are the host's own.
const maxSkew = 2 * time.Second

// probe asks the worker what the host is.
func (v *visit) probe(ctx context.Context, client *worker.Client) *worker.Facts {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	engines := map[string]framework.Engine{}
	for name, e := range v.entry.Engines {
		engines[name] = worker.EngineOf(name, e)
	}
	began := time.Now()
	f, err := client.Probe(ctx, worker.ProbeRequest{LeaseDir: v.entry.LeaseDir, Device: v.entry.Device, Engines: engines, Models: v.entry.Models, HFCache: v.entry.HFCache})
	took := time.Since(began)
	if err != nil {
		v.fault(Red, "machine", err)
		return nil
	}
	simulated := ""
	if f.Simulated {
		simulated = "; a simulated host: nothing of it says anything of hardware"
	}
	v.ok("machine", "%s, %s/%s, kernel %s, %s, %s%s", fault.ForeignName(f.Hostname, 64), fault.ForeignName(f.OS, 16), fault.ForeignName(f.Arch, 16),
		fault.ForeignName(f.Kernel, 64), plural(f.CPUs, "core"), size(f.MemoryMiB), simulated)
	v.disk(f)
	v.clock(f.Now.Sub(began.Add(took/2)), took/2)
	if v.entry.Device == hosts.DeviceCPU {
		v.cores(f)
	}
	return &f
}

func (v *visit) disk(f worker.Facts) {
	how := []string{v.here("du -xhd1 " + word(v.entry.Workdir)), "or change " + v.entryLine("workdir")}
	switch {
	case f.DiskFreeMiB < redDiskMiB:
		v.red("disk", "%s free at %s", size(f.DiskFreeMiB), v.entry.Workdir).fix(how...)
	case f.DiskFreeMiB < warnDiskMiB:
		v.warn("disk", "%s free at %s: caches and records of a campaign take up to 20 GiB", size(f.DiskFreeMiB), v.entry.Workdir).fix(how...)
	default:
		v.ok("disk", "%s free at %s", size(f.DiskFreeMiB), v.entry.Workdir)
	}
}

// clock tells how far the host's clock is from this machine's; what the connection took leaves it open by unsure.
func (v *visit) clock(skew, unsure time.Duration) {
	text := fmt.Sprintf("%+.2f s from this machine's (± %.2f s)", skew.Seconds(), unsure.Seconds())
	if skew.Abs() > maxSkew+unsure {
		v.warn("clock", "%s: records of one campaign would seem to be of different times", text).fix(v.here("sudo timedatectl set-ntp true"))
		return
	}
	v.ok("clock", "%s", text)
}

// models says which of the entry's models are there whole.
func (v *visit) models(f *worker.Facts) {
	for _, id := range slices.Sorted(maps.Keys(v.entry.Models)) {
		m, ok := f.Models[id]
		row := "model " + id
		switch {
		case !ok || m.Gap == "absent":
			v.red(row, "is not at %s", v.entry.Models[id]).fix(v.here("hf download "+word(id)+" --local-dir "+word(v.entry.Models[id])), "or correct "+v.entryLine("models"))
		case m.Gap != "":
			v.red(row, "at %s is %s: config.json or weights that its index names are missing", fault.ForeignName(m.Path, 200), fault.ForeignName(m.Gap, 40)).
				fix(v.here("hf download " + word(id) + " --local-dir " + word(v.entry.Models[id])))
		default:
			v.ok(row, "%s at %s", size(m.Bytes>>20), fault.ForeignName(m.Path, 200))
		}
	}
}

// selftest lets real bytes flow: the worker's own load client against its own mock, on the host's loopback.
func (v *visit) selftest(ctx context.Context, client *worker.Client) {
	const row = "load client"
	d := v.o.Load
	if d == 0 {
		d = DefaultLoad
	}
	ctx, cancel := context.WithTimeout(ctx, d+selftestExtra)
	defer cancel()
	began := time.Now()
	c, err := client.Selftest(ctx, d)
	took := time.Since(began)
	if err != nil {
		v.fault(Red, row, err)
		return
	}
	text := fmt.Sprintf("%s, %s in %.1f s on the host's loopback; its own error p99 %.2f ms TTFT, %.2f ms ITL",
		plural(c.Streams, "stream"), plural(c.Events, "event"), took.Seconds(), c.TTFTErrorMS.P99, c.ITLErrorMS.P99)
	switch {
	case c.EventsLost > 0 || c.Events == 0:
		v.red(row, "%s; %d events lost", text, c.EventsLost).fix("look for what filters the host's loopback: " + v.here("sudo nft list ruleset"))
	case c.ClientLimited:
		var why []string
		for _, reason := range c.Audit.Reasons[:min(3, len(c.Audit.Reasons))] {
			why = append(why, fault.Foreign(reason, 120))
		}
		v.warn(row, "%s; points would be client-limited now: %s", text, strings.Join(why, "; ")).fix("wait until the host is quiet: " + v.here("uptime"))
	default:
		v.ok(row, "%s", text)
	}
}
