package worker

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
)

const failCanceled = framework.FailCanceled

// The stages a capture can be of.
const (
	stagePrefill = "prefill"
	stageDecode  = "decode"
)

// The defaults of a plan's durations.
const (
	defaultLaunchDeadline = time.Hour
	defaultStallAfter     = 10 * time.Minute
	defaultStopGrace      = 30 * time.Second
	defaultProofWait      = 10 * time.Second
	defaultTraceSettle    = 2 * time.Second
	defaultTraceWait      = 15 * time.Minute // traces with stacks take minutes to write
)

var treePattern = regexp.MustCompile(`^[0-9a-zA-Z]{1,64}$`)

var topLevelName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// complete fills in defaults, resolves "~/" and refuses a plan that cannot be carried out as it stands.
func (p *Plan) complete(home string) error {
	if p.Kind != PlanKind || p.V > PlanVersion {
		return fault.New(fault.InvalidInput, "plan kind %q version %d is not %s/%d or older", p.Kind, p.V, PlanKind, PlanVersion).
			At("kind", fmt.Sprintf("%s/%d", p.Kind, p.V), fmt.Sprintf("%s/%d", PlanKind, PlanVersion))
	}
	if p.Device != deviceCPU && p.Device != deviceCUDA {
		return fault.New(fault.InvalidInput, "unknown device %q", p.Device).At("device", p.Device, deviceCUDA, deviceCPU)
	}
	if p.Device == deviceCUDA && len(p.GPUs) == 0 {
		return fault.New(fault.InvalidInput, "a plan for device %q names no gpus", p.Device).At("gpus", "")
	}
	if p.Device == deviceCUDA && len(p.Cores) > 0 {
		return fault.New(fault.InvalidInput, "a plan for device %q names cores", p.Device).At("cores", fmt.Sprint(p.Cores))
	}
	if err := checkID("run_id", p.RunID); err != nil {
		return err
	}
	for _, place := range []*string{&p.Workdir, &p.LeaseDir} {
		abs, err := expand(*place, home)
		if err != nil {
			return err
		}
		*place = abs
	}
	setDefault(&p.LaunchDeadline, defaultLaunchDeadline)
	setDefault(&p.StallAfter, defaultStallAfter)
	setDefault(&p.StopGrace, defaultStopGrace)
	setDefault(&p.ProofWait, defaultProofWait)
	setDefault(&p.TraceWait, defaultTraceWait)
	setDefault(&p.TraceSettle, defaultTraceSettle)
	if err := p.checkTests(); err != nil {
		return err
	}
	return p.checkLaunches()
}

func setDefault(d *time.Duration, to time.Duration) {
	if *d <= 0 {
		*d = to
	}
}

func (p *Plan) checkLaunches() error {
	seen := map[string]bool{}
	for i := range p.Launches {
		l := &p.Launches[i]
		if err := checkID("launches.id", l.ID); err != nil {
			return err
		}
		if seen[l.ID] {
			return fault.New(fault.InvalidInput, "launch %q is planned twice", l.ID).At("launches.id", l.ID)
		}
		seen[l.ID] = true
		if err := l.check(); err != nil {
			return err
		}
	}
	return nil
}

func (l *Launch) check() error {
	if len(l.Argv) == 0 || l.Argv[0] == "" {
		return fault.New(fault.InvalidInput, "launch %q has no program", l.ID).At("launches.argv", "")
	}
	if l.Protocol.ReadyPath == "" {
		return fault.New(fault.InvalidInput, "launch %q does not say how it is found ready", l.ID).At("launches.protocol.ready_path", "")
	}
	if !slices.Contains(bench.Paths(), l.Endpoint) {
		return fault.New(fault.InvalidInput, "launch %q: unknown endpoint %q", l.ID, l.Endpoint).At("launches.endpoint", l.Endpoint, bench.Paths()...)
	}
	ids := map[string]bool{}
	for _, id := range l.ids() {
		if err := checkID("launches.points.id", id); err != nil {
			return err
		}
		if ids[id] {
			return fault.New(fault.InvalidInput, "launch %q plans point or capture %q twice", l.ID, id).At("launches.points.id", id)
		}
		ids[id] = true
	}
	if err := l.checkGates(); err != nil {
		return err
	}
	for _, p := range l.Points {
		if p.Rate == nil {
			continue
		}
		if err := p.Rate.Validate(); err != nil {
			return err
		}
	}
	for _, c := range l.Captures {
		if c.Stage != stagePrefill && c.Stage != stageDecode {
			return fault.New(fault.InvalidInput, "capture %q: unknown stage %q", c.ID, c.Stage).
				At("launches.captures.stage", c.Stage, stagePrefill, stageDecode)
		}
	}
	return l.checkOverlay()
}

func (l *Launch) ids() []string {
	var ids []string
	for _, p := range l.Points {
		ids = append(ids, p.ID)
	}
	for _, c := range l.Captures {
		ids = append(ids, c.ID)
	}
	return ids
}

func (l *Launch) checkOverlay() error {
	if l.Overlay == nil {
		return nil
	}
	return l.Overlay.check()
}

func (o *Overlay) check() error {
	if !treePattern.MatchString(o.Tree) {
		return fault.New(fault.InvalidInput, "overlay tree %q is not the id of a git tree", o.Tree).At("launches.overlay.tree", o.Tree)
	}
	if err := checkID("launches.overlay.tar", o.Tar); err != nil {
		return err
	}
	if !topLevelName.MatchString(o.ImportName) {
		return fault.New(fault.InvalidInput, "overlay package %q is not a top-level Python package", o.ImportName).At("launches.overlay.import_name", o.ImportName)
	}
	for _, file := range slices.Concat(slices.Collect(maps.Keys(o.Base)), slices.Collect(maps.Keys(o.Want))) {
		if !filepath.IsLocal(file) || filepath.Clean(file) != file {
			return fault.New(fault.InvalidInput, "overlay file %q is not a plain path inside the package", file).At("launches.overlay.want", file)
		}
	}
	return nil
}

// inbox names the files that must be uploaded before the start, each once.
func (p *Plan) inbox() []string {
	var names []string
	for _, t := range p.Tests {
		for _, name := range []string{t.Overlay.Tar, t.Tar} {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	for _, l := range p.Launches {
		if l.Overlay != nil && !slices.Contains(names, l.Overlay.Tar) {
			names = append(names, l.Overlay.Tar)
		}
	}
	return names
}

// steps counts what a plan has to do, for the fraction that is done.
func (p *Plan) steps() int {
	n := len(p.Tests)
	for _, l := range p.Launches {
		n += 1 + len(l.Points) + len(l.Captures)
	}
	return max(1, n)
}
