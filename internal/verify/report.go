package verify

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/redact"
	"github.com/sotaloop/sotaloop/internal/report"
	"github.com/sotaloop/sotaloop/transcripts"
)

// Names of what write_report writes.
const (
	reportFile     = "final_report.md"
	manifestFile   = "manifest.txt"
	transcriptFile = "transcript.jsonl"
)

// mark is how a place begins whose secret was taken out. The secrets are of the machine that wrote the report, so such
// lines cannot be rendered again here.
const mark = "[redacted:"

// lastReport finds the newest report and its place.
func (v *verifier) lastReport() (loop.ReportWritten, int) {
	for i := len(v.decoded) - 1; i >= 0; i-- {
		if r, ok := v.decoded[i].(*loop.ReportWritten); ok {
			return *r, i
		}
	}
	return loop.ReportWritten{}, -1
}

// report renders the newest report again from the entries before it.
func (v *verifier) report() (string, error) {
	rec, at := v.lastReport()
	if at < 0 {
		return "none written yet", nil
	}
	if n := v.workAfter(at); n > 0 {
		v.res.note("%d entries were written after the report", n)
	}
	files := map[string][]byte{}
	for _, a := range []ledger.Artifact{rec.Report, rec.Manifest} {
		raw, err := v.read(a)
		if err != nil {
			return "", err
		}
		files[a.Name] = raw
	}
	seq, err := renderedAt(files[reportFile], at)
	if err != nil {
		return "", err
	}
	state, err := loop.Replay(v.entries[:seq])
	if err != nil {
		return "", err
	}
	for _, a := range state.Analyses {
		if n := v.named[a.Tables.Name]; n == nil || n.Artifact != a.Tables {
			v.res.note("the report is not rendered again: traces were analysed anew after it")
			return "compared by digest only, verdict " + rec.Verdict, nil
		}
	}
	in, err := state.ReportInput(manifestValue(files[manifestFile], "sotaloop"), v.read)
	if err != nil {
		return "", err
	}
	if rec.Verdict != state.Verdict() || rec.Claim != in.Claim {
		return "", fmt.Errorf("verdict %q and claim %q are recorded, the state gives %q and %q", rec.Verdict, rec.Claim, state.Verdict(), in.Claim)
	}
	again, err := report.Render(in)
	if err != nil {
		return "", err
	}
	lines, hidden := 0, 0
	for _, name := range []string{reportFile, manifestFile} {
		n, h, err := sameText(redact.New(nil).Bytes(again[name]), files[name])
		if err != nil && in.Version != v.opt.Version {
			v.res.note("%s was written by sotaloop %s and is worded otherwise by %s, from its line %d on", name, in.Version, v.opt.Version, n+1)
			return "compared by digest only, verdict " + rec.Verdict, nil
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		lines, hidden = lines+n, hidden+h
	}
	if hidden > 0 {
		v.res.note("%d lines of the report hold redacted text and are compared around it only", hidden)
	}
	return fmt.Sprintf("%d lines rendered again from entry %d, verdict %s", lines, seq, rec.Verdict), nil
}

// workAfter counts the entries behind one that are more than its seal and witnesses.
func (v *verifier) workAfter(at int) int {
	n := 0
	for _, p := range v.decoded[at+1:] {
		switch p.(type) {
		case *loop.ReportSealed, *loop.LedgerWitnessed:
		default:
			n++
		}
	}
	return n
}

// renderedAt reads off the report how many entries it rests on: other servers may have written between its rendering and
// its record.
func renderedAt(text []byte, most int) (int, error) {
	_, rest, ok := strings.Cut(string(text), "; ledger head ")
	var head string
	var n int
	if !ok {
		return 0, fmt.Errorf("%s does not say which ledger head it rests on", reportFile)
	}
	if _, err := fmt.Sscanf(rest, "%s at entry %d", &head, &n); err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("%s rests on an entry that is not before its record", reportFile)
	}
	return n, nil
}

// manifestValue reads one line of the manifest.
func manifestValue(text []byte, key string) string {
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, key+": "); ok {
			return strings.TrimSuffix(value, "\n")
		}
	}
	return ""
}

// sameText compares a text with its rendering, line by line; in lines that hold redacted text, what stands around it.
func sameText(want, got []byte) (lines, hidden int, err error) {
	a, b := bytes.Split(want, []byte("\n")), bytes.Split(got, []byte("\n"))
	for i := range max(len(a), len(b)) {
		switch {
		case i >= len(b):
			return i, hidden, fmt.Errorf("line %d is missing: %s", i+1, short(string(a[i])))
		case i >= len(a):
			return i, hidden, fmt.Errorf("line %d is %s, which nothing gives", i+1, short(string(b[i])))
		case bytes.Equal(a[i], b[i]):
		case bytes.Contains(b[i], []byte(mark)) && around(string(a[i]), string(b[i])):
			hidden++
		default:
			return i, hidden, fmt.Errorf("line %d is %s, rendered again it is %s", i+1, short(string(b[i])), short(string(a[i])))
		}
	}
	return len(b), hidden, nil
}

// around says whether the parts of got outside its marks stand in want in order, the first and last at its ends.
func around(want, got string) bool {
	head, rest, _ := strings.Cut(got, mark)
	if !strings.HasPrefix(want, head) {
		return false
	}
	want = want[len(head):]
	for rest != "" {
		_, after, ok := strings.Cut(rest, "]")
		if !ok {
			return false
		}
		part, more, again := strings.Cut(after, mark)
		if !again {
			return strings.HasSuffix(want, part)
		}
		at := strings.Index(want, part)
		if at < 0 {
			return false
		}
		want, rest = want[at+len(part):], more
	}
	return true
}

// transcript checks the chain of the campaign's exchanges.
func (v *verifier) transcript() (string, error) {
	rec, at := v.lastReport()
	if at < 0 {
		return "none written yet", nil
	}
	raw, err := v.read(rec.Transcript)
	if err != nil {
		return "", err
	}
	copies, head, err := transcripts.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("%s: %w", transcriptFile, inside(err))
	}
	last := map[string]chain.Head{}
	for _, c := range copies {
		if c.Source.Seq <= last[c.Source.Chain].Seq {
			return "", fmt.Errorf("%s, line %d: its source %s goes back from line %d to %d", transcriptFile, c.Seq, c.Source.Chain, last[c.Source.Chain].Seq, c.Source.Seq)
		}
		last[c.Source.Chain] = chain.Head{Seq: c.Source.Seq, Hash: c.Source.Hash}
	}
	return fmt.Sprintf("%d messages of %d servers, head %.16s", len(copies), len(last), head.Hash), nil
}
