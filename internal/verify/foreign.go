package verify

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// rowsFile is the projection of every row.
const rowsFile = "benchmark/candidates.jsonl"

var (
	planFile   = regexp.MustCompile(`^benchmark/plans/[0-9a-f]{20}\.json$`)
	sealFile   = regexp.MustCompile(`^seal/([0-9]{1,9})-statement(\.dsse)?\.json$`)
	editorFile = regexp.MustCompile(`(^|/)(\.DS_Store|[^/]*\.swp)$`)
)

// foreign refuses files that nothing explains. A reader's notes are let be; so is what a writer that died left behind
// before its entry was written.
func (v *verifier) foreign() (string, error) {
	own, left := 0, 0
	err := fs.WalkDir(v.files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return plain(err)
		}
		switch {
		case d.IsDir() && name == "notes":
			v.res.note("notes/ is a reader's own and was not looked at")
			return fs.SkipDir
		case d.IsDir():
			return nil
		case editorFile.MatchString(name):
			v.res.note("%s is an editor's or file manager's and was not looked at", name)
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%q is no plain file", name)
		case v.named[name] != nil, isOwn(name), v.about != nil && name == loop.BundleIndex:
			own++
			return nil
		case v.leftBehind(name):
			left++
			return nil
		}
		return fmt.Errorf("%q is named by no ledger entry", name)
	})
	if err != nil {
		return "", err
	}
	if left > 0 {
		v.res.note("%d files were stored by steps that have not ended; no entry names them yet", left)
	}
	return fmt.Sprintf("%d files, each of the ledger", own), nil
}

// isOwn says whether a name is of the ledger itself or of a projection, which have checks of their own.
func isOwn(name string) bool {
	return name == ledger.ChainFile || name == ledger.HeadFile || name == contractFile || name == rowsFile
}

// leftBehind says whether a step that has not ended explains a file: artifacts are stored before the entry that names
// them.
func (v *verifier) leftBehind(name string) bool {
	for id := range v.openLaunches() {
		if strings.HasPrefix(name, "benchmark/records/"+id+".") || name == "benchmark/logs/"+id+".log" || strings.HasPrefix(name, "profiles/"+id+"/") {
			return true
		}
	}
	for _, t := range v.state.Traces {
		if _, done := v.state.Analyses[t.ID]; !done && (name == "analysis/"+t.ID+".json" || name == "analysis/"+t.ID+".md") {
			return true
		}
	}
	for _, s := range v.state.Contract.Sides() {
		if _, done := v.state.Help[s.Entry]; !done && strings.HasPrefix(name, "help/"+s.Entry+"_") {
			return true
		}
	}
	for _, p := range v.state.Proposals {
		if p.Reval == nil && name == "patches/"+p.ID+".tests.log" {
			return true
		}
	}
	next := fmt.Sprintf("patches/patch-%d", len(v.state.Proposals)+1)
	if name == next+".diff" || name == next+".given.diff" {
		return true
	}
	if len(v.state.Reports) == 0 && (name == reportFile || name == manifestFile || name == transcriptFile) {
		return true
	}
	if lines := sealFile.FindStringSubmatch(name); lines != nil { // a server died, or lost a race, between statement and entry
		n, err := strconv.Atoi(lines[1])
		return err == nil && n <= len(v.entries) && (len(v.state.Seals) == 0 || n > v.state.Seals[len(v.state.Seals)-1].Lines)
	}
	return planFile.MatchString(name) && v.openJob()
}

// openLaunches are planned launches that have no end.
func (v *verifier) openLaunches() map[string]bool {
	out := map[string]bool{}
	for _, p := range v.plans {
		for _, l := range p.plan.Launches {
			out[l.ID] = true
		}
	}
	for _, l := range v.state.Launches {
		delete(out, l.Launch)
	}
	return out
}

// openJob says whether a job has not ended, or ended before all of it was done.
func (v *verifier) openJob() bool {
	for _, j := range v.state.Jobs {
		if j.End == nil || j.End.State != "done" {
			return true
		}
	}
	return false
}

var errNoRecords = errors.New("has no records")
