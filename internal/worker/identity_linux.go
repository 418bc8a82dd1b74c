package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/genuine"
)

const identitiesDir = "identities" // digests of installed files, by campaign and environment

// identify says what an engine is before it starts. Files are hashed once a campaign and again where they changed.
func (r *runner) identify(ctx context.Context, e *engine, program string) (*genuine.Identity, error) {
	prefix := filepath.Dir(program)
	if filepath.Base(prefix) == "bin" {
		prefix = filepath.Dir(prefix)
	}
	key := sha256.Sum256([]byte(r.plan.Campaign + "\n" + r.plan.ContractDigest + "\n" + prefix))
	o := genuine.Options{Prefix: prefix, Program: program, Memory: filepath.Join(r.plan.Workdir, identitiesDir, hex.EncodeToString(key[:8])+".json")}
	if r.plan.Simulated {
		return genuine.Simulated(o)
	}
	o.Names, o.Import = framework.Distributions(e.launch.Framework)
	r.doing(0, "%s: holding the installed files of %s against what was installed", e.launch.ID, prefix)
	return genuine.Inspect(ctx, o)
}

// checkIdentity looks again after a point: what changed in the meantime changed under the measurement.
func (r *runner) checkIdentity(ctx context.Context, e *engine) *EngineCheck {
	c := &EngineCheck{Identity: e.id.Kind, SHA256: e.id.Sum(), Modified: slices.Clone(e.id.Modified)}
	now, err := r.identify(context.WithoutCancel(ctx), e, e.argv[0])
	switch {
	case err != nil:
		c.Modified = append(c.Modified, "its files cannot be looked at again: "+cleanLine(err.Error(), maxReasonLine))
	case now.Sum() != c.SHA256:
		c.Modified = append(c.Modified, "its files changed while it was measured")
		c.Modified = append(c.Modified, now.Modified...)
	}
	if !e.isDead() {
		c.Modified = append(c.Modified, r.suspect(e)...)
	}
	slices.Sort(c.Modified)
	c.Modified = slices.Compact(c.Modified)
	return c
}

// suspect says what the engine's own process shows that neither its program nor the plan explains: another executable,
// variables of the loader or of Python that it was not given, file systems mounted over its packages.
func (r *runner) suspect(e *engine) []string {
	var out []string
	dir := "/proc/" + strconv.Itoa(e.proc.PID)
	exe, err := os.Readlink(dir + "/exe")
	want := e.id.Program.Real
	if e.id.Interpreter != nil {
		want = e.id.Interpreter.Real
	}
	if err == nil && exe != want {
		out = append(out, fmt.Sprintf("its process runs %s, its program is %s", cleanLine(exe, 200), want))
	}
	raw, _ := os.ReadFile(dir + "/environ")
	for entry := range strings.SplitSeq(string(raw), "\x00") {
		name, _, ok := strings.Cut(entry, "=")
		if ok && framework.IsLoader(name) && !e.gave(entry) {
			out = append(out, fmt.Sprintf("its process has %s, which it was not given", cleanLine(name, 100)))
		}
	}
	for _, m := range parseMounts(dir) {
		if strings.HasPrefix(m.place, e.id.Prefix+"/") {
			out = append(out, "a file system is mounted at "+cleanLine(m.place, 200))
		}
	}
	return out
}

// gave says whether an entry of the process's environment, or its end, is one of those that it was started with: a process
// that sets its title writes over the first.
func (e *engine) gave(entry string) bool {
	for name, value := range e.env {
		if strings.HasSuffix(name+"="+value, entry) {
			return true
		}
	}
	return false
}

// mount is one line of /proc/PID/mountinfo.
type mount struct{ place, kind, source string }

// parseMounts reads the file systems that a process sees.
func parseMounts(dir string) []mount {
	raw, _ := os.ReadFile(dir + "/mountinfo")
	var out []mount
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(string(raw)) {
		left, right, ok := strings.Cut(line, " - ")
		l, f := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 5 || len(f) < 2 {
			continue
		}
		out = append(out, mount{unescape.Replace(l[4]), f[0], unescape.Replace(f[1])})
	}
	return out
}

// mountsOf names the file systems that hold an engine's program, packages and model.
func mountsOf(e *engine) []string {
	all := parseMounts("/proc/" + strconv.Itoa(e.proc.PID))
	out := []string{}
	for _, path := range []string{e.id.Program.Real, e.id.Prefix} {
		best := mount{}
		for _, m := range all {
			if (path == m.place || strings.HasPrefix(path, strings.TrimSuffix(m.place, "/")+"/")) && len(m.place) >= len(best.place) {
				best = m
			}
		}
		text := cleanLine(fmt.Sprintf("%s %s %s", best.place, best.kind, best.source), 300)
		if best.place != "" && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}
