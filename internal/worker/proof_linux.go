package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/framework"
)

const maxProof = 4 << 20

// proof is what a process says of itself; see sitecustomize.py.
type proof struct {
	PID     int `json:"pid"`
	Modules map[string]struct {
		File   string `json:"file"`
		SHA256 string `json:"sha256"`
	} `json:"modules"`
}

// loaded reads the proofs of living members and gives, by file, the digest that was loaded. Files outside the overlay
// are given too, by their own path, since they say what was loaded instead.
func (o *overlayDir) loaded(dir string, members []procStat) map[string]string {
	got := map[string]string{}
	for _, s := range members {
		raw, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("proof-%d.json", s.pid)))
		if err != nil || len(raw) > maxProof {
			continue
		}
		var p proof
		if json.Unmarshal(raw, &p) != nil || p.PID != s.pid {
			continue
		}
		for _, m := range p.Modules {
			o.keep(got, o.relative(m.File), m.SHA256)
		}
	}
	return got
}

// keep notes what a process loaded; where two processes differ, the wrong one stays to be seen.
func (o *overlayDir) keep(got map[string]string, file, digest string) {
	if old, ok := got[file]; ok && old != o.spec.Want[file] {
		return
	}
	got[file] = digest
}

func (o *overlayDir) relative(file string) string {
	for _, dir := range []string{o.pkg(), resolved(o.pkg())} {
		if rel, ok := strings.CutPrefix(file, dir+"/"); ok {
			return rel
		}
	}
	return file
}

func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// missing names the first wanted module that no process has proven, and why.
func (o *overlayDir) missing(got map[string]string) string {
	for _, file := range slices.Sorted(maps.Keys(o.spec.Want)) {
		if !strings.HasSuffix(file, ".py") {
			continue
		}
		digest, ok := got[file]
		if !ok {
			for other := range got {
				if strings.HasSuffix(other, "/"+file) {
					return fmt.Sprintf("%s was loaded from %s, outside the overlay", file, cleanLine(other, 200))
				}
			}
			return fmt.Sprintf("no running process has loaded %s from the overlay", file)
		}
		if digest != o.spec.Want[file] {
			return fmt.Sprintf("a running process loaded %s with sha256 %.12s, want %.12s", file, cleanLine(digest, 64), o.spec.Want[file])
		}
	}
	return ""
}

// prove waits until living processes of ours have proven every wanted module.
func (r *runner) prove(ctx context.Context, e *engine) (map[string]string, *Failure) {
	for end := time.Now().Add(r.plan.ProofWait); ; {
		got := e.overlay.loaded(filepath.Join(e.dir, proofDir), r.family.look())
		lacks := e.overlay.missing(got)
		switch {
		case lacks == "":
			return got, nil
		case e.isDead():
			return got, r.deadFailure(e)
		case time.Now().After(end):
			return got, &Failure{Class: framework.FailOverlay, Reason: lacks, LogTail: r.hide(e, cleanText(readLog(e.log), maxLogTail))}
		}
		if err := pause(ctx, lookEvery); err != nil {
			return got, canceledBy(err.Error())
		}
	}
}
