package loop

import (
	"bytes"
	"context"

	"github.com/sotaloop/sotaloop/internal/jobs"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/rules"
	"github.com/sotaloop/sotaloop/internal/trace"
)

// ReportInput is everything a report is made of; its numbers come from the ledger.
type ReportInput struct {
	Campaign string
	RunDir   string
	State    *State
	Tables   map[string]*trace.Analysis // by trace
	Read     func(ledger.Artifact) ([]byte, error)
	Claim    string
	Version  string
	Levels   []string // what the evidence is labelled with
}

// WriteReport renders final_report.md and its companions and records them.
func (l *Loop) WriteReport(ctx context.Context, campaignID string) (Report, error) {
	c, st, err := l.open(campaignID)
	if err != nil {
		return Report{}, err
	}
	if v := rules.Check(rules.AtReport, &rules.Facts{Contract: st.Contract, Rows: len(st.Points), Reason: st.lastFailure()}); v != nil {
		return Report{}, c.refuse(ctx, "write_report", v)
	}
	if err := c.mayWrite(st, "write_report"); err != nil {
		return Report{}, err
	}
	if st, err = c.countFamily(ctx, st); err != nil {
		return Report{}, err
	}
	if err := c.project(); err != nil {
		return Report{}, err
	}
	in := ReportInput{Campaign: c.id, RunDir: c.ledger.Dir(), State: st, Tables: map[string]*trace.Analysis{}, Read: c.ledger.ReadAll, Claim: st.claim(), Version: l.opt.Version, Levels: st.levels()}
	for _, t := range st.Traces {
		if _, ok := st.Analyses[t.ID]; !ok {
			if err := c.analyzeQuietly(ctx, t.ID); err != nil {
				return Report{}, err
			}
		}
	}
	if in.State, err = c.state(); err != nil {
		return Report{}, err
	}
	for id := range in.State.Analyses {
		if in.Tables[id], err = c.analysis(in.State, id); err != nil {
			return Report{}, err
		}
	}
	files, err := l.opt.Report(in)
	if err != nil {
		return Report{}, err
	}
	rec := ReportWritten{Verdict: st.Verdict(), Claim: in.Claim}
	for _, name := range sortedKeys(files) {
		art, err := c.ledger.Put(name, bytes.NewReader([]byte(l.opt.Redact.String(string(files[name])))))
		if err != nil {
			return Report{}, err
		}
		switch name {
		case "final_report.md":
			rec.Report = art
		case "manifest.txt":
			rec.Manifest = art
		}
	}
	var talk bytes.Buffer
	if l.opt.Transcript != nil {
		if err := l.opt.Transcript(c.id, &talk); err != nil {
			return Report{}, err
		}
	}
	if rec.Transcript, err = c.ledger.Put("transcript.jsonl", &talk); err != nil {
		return Report{}, err
	}
	if err := c.put(ctx, kindReport, rec); err != nil {
		return Report{}, err
	}
	return c.closeReport(ctx, rec)
}

// lastFailure is why the newest failed job failed, "" where none did.
func (s *State) lastFailure() string {
	reason := ""
	for _, j := range s.Jobs {
		if j.End != nil && j.End.State == "failed" {
			reason = parseError(j.End.Error).Message
		}
	}
	return reason
}

// closeReport seals what was written, shows it to the witness and bundles it.
func (c *campaign) closeReport(ctx context.Context, rec ReportWritten) (Report, error) {
	sealed, err := c.seal(ctx)
	if err != nil {
		return Report{}, err
	}
	notes := c.showNow(ctx)
	bundle, bundleErr := c.bundle()
	st, err := c.state()
	if err != nil {
		return Report{}, err
	}
	out := Report{Answer: Answer{State: StateDone, Next: st.Allowed(), Evidence: []string{stored(rec.Report), stored(sealed.Statement)}, Warnings: append(st.marks(), notes...)},
		Report: c.ledger.Path("final_report.md"), Bundle: bundle, Verdict: rec.Verdict, Claim: rec.Claim}
	if bundleErr != nil {
		c.loop.opt.Log.Warn("bundle", "campaign", c.id, "err", bundleErr)
		out.Warnings = append(out.Warnings, "the report is sealed and no bundle could be written: "+bundleErr.Error()+"; make it with `sotaloop bundle`")
	}
	return out, nil
}

// analyzeQuietly makes a trace's tables for the report.
func (c *campaign) analyzeQuietly(ctx context.Context, id string) error {
	return c.analyze(ctx, id, jobs.Discard())
}

// levels labels the evidence: what a reader may rely on.
func (s *State) levels() []string {
	out := []string{"consistent (whoever can write this directory could have made another)", s.witnessLevel(), s.HostLevel()}
	if roots := s.Contract.TrustRoots; roots != "" {
		out = append(out, "trust roots "+roots+" when the campaign opened")
	}
	if changed := s.changedHost(); changed != "" {
		out = append(out, changed)
	}
	for _, p := range s.Proposals {
		if l := p.level(); l.Level != "" {
			out = append(out, "approval of "+p.ID+" "+l.String())
		}
	}
	return out
}
