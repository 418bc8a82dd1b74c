package loop

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/jobs"
	"github.com/sotaloop/sotaloop/internal/trace"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// Tables an analysis can be asked for.
var traceTables = []string{"kernel", "overlap", "fuse", "idle", "layers", "ranks", "diff"}

type analysisArgs struct {
	Trace    string   `json:"trace"`
	Against  string   `json:"against,omitempty"`
	Mappings []string `json:"mappings"`        // what gives source locations now: a later mapping trace makes new tables
	Ranks    []string `json:"ranks,omitempty"` // traces of the other ranks, where they are compared
}

// traces are what has to be analysed.
func (a analysisArgs) traces() []string {
	list := []string{a.Trace}
	for _, id := range append([]string{a.Against}, a.Ranks...) {
		if id != "" && !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

// AnalyzeTrace gives one table of a trace, or its diff against another.
func (l *Loop) AnalyzeTrace(ctx context.Context, r AnalyzeRequest) (Analysis, error) {
	c, st, err := l.open(r.Campaign)
	if err != nil {
		return Analysis{}, err
	}
	if r.Table == "" {
		r.Table = "kernel"
		if r.Against != "" {
			r.Table = "diff"
		}
	}
	if !slices.Contains(traceTables, r.Table) {
		return Analysis{}, fault.New(fault.InvalidInput, "unknown table %q", r.Table).At("table", r.Table, traceTables...)
	}
	for _, id := range []string{r.Trace, r.Against} {
		if id == "" && id != r.Trace {
			continue
		}
		if _, ok := st.Trace(id); !ok {
			return Analysis{}, fault.New(fault.NotFound, "no trace %q in this campaign", id).At("trace", id, traceIDs(st)...).
				Hint("capture_profile makes traces").Then("capture_profile", "captures prefill and decode apart")
		}
	}
	if r.Table == "diff" && r.Against == "" {
		return Analysis{}, fault.New(fault.InvalidInput, "a diff needs against").At("against", "", traceIDs(st)...)
	}
	args := analysisArgs{Trace: r.Trace, Against: r.Against, Mappings: []string{}}
	if r.Table == "ranks" {
		args.Ranks = ranksOf(st, r.Trace)
	}
	for _, id := range []string{r.Trace, r.Against} {
		if t, ok := st.Trace(id); ok {
			args.Mappings = append(args.Mappings, mappingFor(st, t).ID)
		}
	}
	j, err := c.ensureJob(ctx, "analyze_trace", args)
	if err != nil {
		return Analysis{}, err
	}
	if j.End == nil { // most traces take less than a second
		l.jobs.Wait(ctx, c.key(j.Job), shortWait, 0)
		if st, err = c.state(); err != nil {
			return Analysis{}, err
		}
		j = st.Job(j.Job)
	}
	answer, err := c.jobAnswer(j)
	if err != nil || answer.State == StateRunning {
		return Analysis{Answer: answer, Stages: []map[string]any{}, Rows: []map[string]any{}}, err
	}
	return c.tablePage(r, answer)
}

// ranksOf lists the traces that one capture of a stage wrote, a rank each.
func ranksOf(st *State, id string) []string {
	var out []string
	t, _ := st.Trace(id)
	for _, x := range st.Traces {
		if x.Launch == t.Launch && x.Stage == t.Stage && x.Patch == t.Patch {
			out = append(out, x.ID)
		}
	}
	return out
}

func traceIDs(st *State) []string {
	out := []string{}
	for _, t := range st.Traces {
		out = append(out, t.ID)
	}
	return out
}

// runAnalysis is the job: tables of each trace that has none yet.
func (c *campaign) runAnalysis(ctx context.Context, j JobStarted, p *jobs.Progress) error {
	args, err := decodeArgs[analysisArgs](j)
	if err != nil {
		return err
	}
	list := args.traces()
	for i, id := range list {
		p.Set(float64(i)/float64(len(list)), "analysing "+id)
		if err := c.analyze(ctx, id, p); err != nil {
			return err
		}
	}
	return nil
}

// analyze stores the tables of one trace with every row in them.
func (c *campaign) analyze(ctx context.Context, id string, p *jobs.Progress) error {
	st, err := c.state()
	if err != nil {
		return err
	}
	t, ok := st.Trace(id)
	if !ok {
		return fault.New(fault.NotFound, "no trace %q", id)
	}
	mapping := mappingFor(st, t)
	if a, ok := st.Analyses[id]; ok && a.Mapping == mapping.ID {
		return nil
	}
	read := func(done, total int64) { p.Set(float64(done)/float64(max(total, 1)), "") }
	var a *trace.Analysis
	if t.File.OnHost || mapping.File.OnHost {
		p.Set(0, fmt.Sprintf("analysing %s (%d MiB) on its host", id, t.File.Size>>20))
		a, err = c.analyzeOnHost(ctx, st, t, mapping, read)
	} else {
		for _, x := range []TraceCaptured{t, mapping} {
			if x.ID == "" {
				continue
			}
			if err := c.ledger.Verify(x.File.Artifact); err != nil {
				return err
			}
		}
		a, err = tablesOf(ctx, st, t, mapping, os.DirFS(c.ledger.Dir()), read)
	}
	if err != nil {
		return err
	}
	tables, err := c.ledger.PutJSON("analysis/"+id+".json", a)
	if err != nil {
		return err
	}
	var md bytes.Buffer
	if err := trace.WriteMarkdown(&md, a); err != nil {
		return err
	}
	markdown, err := c.ledger.Put("analysis/"+id+".md", &md)
	if err != nil {
		return err
	}
	return c.put(ctx, kindAnalysis, TraceAnalyzed{Trace: id, Mapping: mapping.ID, Tables: tables, Markdown: markdown})
}

// tablesOf analyses a trace with the one that maps it to source, if any; files is the run directory, so that no path of
// this machine gets into the tables.
func tablesOf(ctx context.Context, st *State, t, mapping TraceCaptured, files fs.FS, progress func(done, total int64)) (*trace.Analysis, error) {
	maps := []string{}
	if mapping.ID != "" {
		maps = append(maps, mapping.File.Name)
	}
	return trace.Analyze(ctx, []string{t.File.Name}, trace.Options{
		Files: files, Labels: map[string]string{t.File.Name: t.Stage}, Mapping: maps, Server: serverOf(st, t), Progress: progress,
	})
}

// serverOf is what decides a fuse pattern's gates.
func serverOf(st *State, t TraceCaptured) trace.Server {
	return trace.Server{Model: st.Contract.Model.ID, TP: tensorParallel(st, t.Candidate)}
}

// analyzeOnHost makes the tables where the trace lies.
func (c *campaign) analyzeOnHost(ctx context.Context, st *State, t, mapping TraceCaptured, progress func(done, total int64)) (*trace.Analysis, error) {
	h, _, err := c.loop.host(st.Contract.Host.Name)
	if err != nil {
		return nil, err
	}
	client, _, err := h.worker(ctx)
	if err != nil {
		return nil, err
	}
	r := worker.AnalysisRequest{Trace: worker.TraceOnHost{RunID: t.Run, Name: t.HostFile}, SHA256: t.File.SHA256, Stage: t.Stage, Server: serverOf(st, t)}
	if mapping.ID != "" {
		r.Mapping = &worker.TraceOnHost{RunID: mapping.Run, Name: mapping.HostFile}
	}
	a, err := client.Analyze(ctx, r, progress)
	if err != nil {
		return nil, err
	}
	a.Rename(t.HostFile, t.File.Name)
	return a, nil
}

// mappingFor is the newest graphs-off trace of what a formal trace shows; none for a mapping trace itself.
func mappingFor(st *State, t TraceCaptured) TraceCaptured {
	var found TraceCaptured
	for _, x := range st.Traces {
		if x.Mapping && !t.Mapping && x.Candidate == t.Candidate && x.Scenario == t.Scenario && x.Stage == t.Stage && x.Patch == t.Patch {
			found = x
		}
	}
	return found
}

// tensorParallel reads a candidate's layout for the fuse patterns' gates; 1 where nothing is said.
func tensorParallel(st *State, candidate string) int {
	cand, _ := st.Candidate(candidate)
	for name, v := range cand.Flags {
		if n, ok := v.(float64); ok && slices.Contains([]string{"tp", "tp-size", "tensor-parallel-size", "tp_size"}, name) {
			return int(n)
		}
	}
	return 1
}

// analysis reads a trace's stored tables.
func (c *campaign) analysis(st *State, id string) (*trace.Analysis, error) {
	return storedTables(st, id, c.ledger.ReadAll)
}

func storedTables(st *State, id string, read ReadArtifact) (*trace.Analysis, error) {
	rec, ok := st.Analyses[id]
	if !ok {
		return nil, fault.New(fault.NotFound, "trace %q is not analysed yet", id).Then("analyze_trace", "makes its tables")
	}
	raw, err := read(rec.Tables)
	if err != nil {
		return nil, err
	}
	var a trace.Analysis
	if err := json.Unmarshal(raw, &a); err != nil {
		return nil, fmt.Errorf("read tables of %s: %w", id, err)
	}
	return &a, nil
}

// tablePage answers one page of a table.
func (c *campaign) tablePage(r AnalyzeRequest, answer Answer) (Analysis, error) {
	st, err := c.state()
	if err != nil {
		return Analysis{}, err
	}
	a, err := c.analysis(st, r.Trace)
	if err != nil {
		return Analysis{}, err
	}
	out := Analysis{Answer: answer, Trace: r.Trace, Table: r.Table, Stage: r.Stage, Stages: stageSums(a, r.Stage), Rows: []map[string]any{}}
	var rows []map[string]any
	switch r.Table {
	case "ranks":
		if rows, err = c.rankRows(st, r); err != nil {
			return Analysis{}, err
		}
		if len(rows) == 0 {
			out.Warnings = append(out.Warnings, r.Trace+" is the only rank that was captured")
		}
	case "diff":
		b, err := c.analysis(st, r.Against)
		if err != nil {
			return Analysis{}, err
		}
		if err := trace.Comparable(a, b); err != nil {
			return Analysis{}, err
		}
		rows = diffRows(trace.Diff(a, b), r.Stage)
		out.Warnings = append(out.Warnings, fmt.Sprintf("before is %s, after is %s: delta_us < 0 means that %s spends less", r.Trace, r.Against, r.Against))
	default:
		rows = tableRows(a, r)
	}
	from, err := cursorAt(r.Cursor, len(rows))
	if err != nil {
		return Analysis{}, err
	}
	out.Total = len(rows)
	page, next := pageOf(rows, from, pageRows, tableBytes)
	out.Rows = append(out.Rows, page...)
	if next > 0 {
		out.Cursor = strconv.Itoa(next)
	}
	if r.Table == "kernel" && !r.Detail && next == 0 {
		if small := smallRows(a, r.Stage); small > 0 {
			out.Warnings = append(out.Warnings, fmt.Sprintf("%d rows below %.0f %% of their stage are not shown: detail shows them", small, 100*answerShare))
		}
	}
	for _, row := range out.Rows {
		if id, ok := row["id"].(string); ok {
			out.Evidence = append(out.Evidence, id)
		}
	}
	if a.Incomplete {
		out.Warnings = append(out.Warnings, "the trace is incomplete: its tables are of what could be read")
	}
	out.Warnings = append(out.Warnings, stageNotes(a, r.Stage)...)
	out.Warnings = append(out.Warnings, a.Notes...)
	out.Warnings = append(out.Warnings, st.marks()...)
	return out, nil
}

// stageNotes says per stage how much is mapped to source and how much could not be placed.
func stageNotes(a *trace.Analysis, stage string) []string {
	var out []string
	for _, s := range a.Stages {
		if stage != "" && s.Stage != stage {
			continue
		}
		onCPU := s.Source == trace.SourceCPU
		whose, remedy := "GPU time", "capture again with mapping: true"
		if onCPU {
			whose, remedy = "operators' time", "this profiler recorded no Python stacks"
		}
		if s.Stage == trace.Unassigned && s.Share > 0.05 {
			out = append(out, fmt.Sprintf("%.0f %% of the %s belongs to no step", 100*s.Share, whose))
		}
		if s.Stage != trace.Unassigned && s.MappedShare < 0.7 {
			out = append(out, fmt.Sprintf("only %.0f %% of %s is mapped to source: %s", 100*s.MappedShare, s.Stage, remedy))
		}
		if onCPU && s.WallUS > 0 {
			out = append(out, fmt.Sprintf("%.0f %% of the wall time of %s lies outside operators, in Python and what it waits for: ceilings are of wall time", 100*s.OutsideUS/s.WallUS, s.Stage))
		}
	}
	return out
}

// foundRow is a cited row with the trace it is of.
type foundRow struct {
	id, stage string
	share     float64 // of its stage
	mapped    float64 // share of its stage's GPU time that is mapped to source
	onCPU     bool
	locations []trace.Location
	trace     TraceCaptured
	tables    TraceAnalyzed
}

// findRow looks a row id up in every analysed trace. The digest in the id names the trace file, so that a row of a
// replaced or foreign trace is not found.
func (c *campaign) findRow(st *State, id string) (foundRow, bool) {
	return citedRow(st, id, c.ledger.ReadAll)
}

func citedRow(st *State, id string, read ReadArtifact) (foundRow, bool) {
	for _, t := range st.Traces {
		rec, ok := st.Analyses[t.ID]
		if !ok || !strings.HasSuffix(id, "@"+t.File.SHA256[:16]) {
			continue
		}
		a, err := storedTables(st, t.ID, read)
		if err != nil {
			continue
		}
		for _, s := range a.Stages {
			if row, ok := rowIn(s, id); ok {
				row.trace, row.tables, row.stage, row.mapped, row.onCPU = t, rec, s.Stage, s.MappedShare, s.Source == trace.SourceCPU
				return row, true
			}
		}
	}
	return foundRow{}, false
}

// shareOf is a kernel row's share of its stage: of the GPU work, or on a CPU host of the steps' wall time, of which
// operators are only a part.
func shareOf(s trace.Stage, k trace.Kernel) float64 {
	if s.Source == trace.SourceCPU && s.WallUS > 0 {
		return k.TotalUS / s.WallUS
	}
	return k.Share
}

func rowIn(s trace.Stage, id string) (foundRow, bool) {
	for _, k := range s.Kernels {
		if k.ID == id {
			return foundRow{id: id, share: shareOf(s, k), locations: k.Locations}, true
		}
	}
	for _, o := range s.Overlap {
		if o.ID == id {
			return foundRow{id: id, share: o.ShareOfBusy * (1 - o.HiddenRatio), locations: o.Locations}, true
		}
	}
	for _, f := range s.Fuse {
		if f.ID == id {
			return foundRow{id: id, share: f.Share, locations: f.Locations}, true
		}
	}
	for _, x := range s.Idle.Causes {
		if x.ID == id {
			return foundRow{id: id, share: x.Share}, true
		}
	}
	return foundRow{}, false
}

// relative makes a location's path comparable with a checkout's: both end the same way.
func relative(path string) string { return filepath.ToSlash(strings.TrimPrefix(path, "./")) }
