package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/transcripts"
)

// widest is the longest line that a transcript is shown in, in characters.
const widest = 118

// talkPage prints exchanges one after the other; waits for one job are one line.
type talkPage struct {
	*stage
	w       io.Writer
	printed int // requests that are shown already
	day     string
	waits   int    // exchanges of the run of waits that is not printed yet
	waited  string // its job
	about   string // the campaign that was named last
}

func newTalkPage(w io.Writer) *talkPage { return &talkPage{stage: newStage(w), w: w} }

// show prints the exchanges that are new. With more to come, one without its answer is not printed yet.
func (p *talkPage) show(all []transcripts.Exchange, more bool) error {
	var b bytes.Buffer
	for _, x := range all[min(p.printed, len(all)):] {
		if more && !x.Done && x.Method != "" && !strings.HasPrefix(x.Method, "notifications/") {
			break
		}
		p.printed++
		p.exchange(&b, x)
	}
	if !more {
		p.flush(&b)
	}
	_, err := p.w.Write(b.Bytes())
	return err
}

// exchange prints one.
func (p *talkPage) exchange(b *bytes.Buffer, x transcripts.Exchange) {
	if day := x.Time.Format("2006-01-02"); day != p.day {
		p.flush(b)
		p.day = day
		fmt.Fprintf(b, "%s\n", p.colour("1", day+" (UTC)"))
	}
	args, result := fields(x.Args), fields(x.Result)
	if x.Tool == "wait_job" && !x.IsError && plainText(result["state"]) == "running" {
		if job := plainText(args["job"]); job != p.waited {
			p.flush(b)
			p.waited = job
		}
		p.waits++
		return
	}
	p.flush(b)
	if c := plainText(args["campaign"]); c != "" && c != p.about {
		p.about = c
		fmt.Fprintf(b, "%s\n", p.colour("1", "campaign "+oneLine(c, 100)))
	}
	delete(args, "campaign")
	at := p.colour("2", x.Time.Format("15:04:05"))
	switch {
	case x.Method == "":
		fmt.Fprintf(b, "%s %s %s\n", at, p.colour("33", "✗ no message:"), oneLine(x.Text, widest-25))
		return
	case x.Tool == "":
		fmt.Fprintf(b, "%s %s\n", at, p.colour("2", oneLine(x.Method, 60)))
		return
	}
	fmt.Fprintf(b, "%s %s%s\n", at, p.colour("36", "▸ "+oneLine(x.Tool, 40)), oneLine(" "+argsText(args), widest-12-len(x.Tool)))
	for _, line := range p.outcome(x, result) {
		fmt.Fprintf(b, "         %s\n", line)
	}
}

// flush prints the waits that were held back.
func (p *talkPage) flush(b *bytes.Buffer) {
	if p.waits > 0 {
		fmt.Fprintf(b, "         %s\n", p.colour("2", fmt.Sprintf("… wait_job %s: still running, asked %d times", oneLine(p.waited, 40), p.waits)))
	}
	p.waits, p.waited = 0, ""
}

// outcome says in a few lines what became of a call.
func (p *talkPage) outcome(x transcripts.Exchange, r map[string]any) []string {
	switch {
	case !x.Done:
		return []string{p.colour("33", "… no answer is recorded")}
	case x.IsError:
		why := plainText(r["rule"])
		if why == "" {
			why = plainText(r["code"])
		}
		lines := []string{p.colour("33", "✗ refused by "+oneLine(why, 60)) + ": " + oneLine(plainText(r["message"]), widest-30)}
		for _, h := range texts(r["hints"]) {
			lines = append(lines, p.colour("2", "  → "+oneLine(h, widest-15)))
		}
		return lines
	}
	lines := []string{p.colour("32", "✓ "+oneLine(summary(r), widest-20)) + p.colour("2", took(x.Took))}
	for _, v := range verdictLines(r) {
		lines = append(lines, "  "+oneLine(v, widest-12))
	}
	for _, w := range texts(r["warnings"]) {
		lines = append(lines, p.colour("2", "  ! "+oneLine(w, widest-15)))
	}
	return lines
}

// summary names an answer's state and what it is about.
func summary(r map[string]any) string {
	var out []string
	if state := plainText(r["state"]); state != "" {
		out = append(out, state)
	}
	for _, key := range []string{"job", "phase", "campaign", "proposal", "branch", "best", "verdict", "outputs_equal", "report", "bundle"} {
		if v := plainText(r[key]); v != "" {
			out = append(out, key+" "+v)
		}
	}
	for _, key := range []string{"rows", "traces", "flags", "candidates", "items"} {
		if l, ok := r[key].([]any); ok && len(l) > 0 {
			out = append(out, fmt.Sprintf("%d %s", len(l), key))
		}
	}
	if len(out) == 0 {
		return "answered"
	}
	return strings.Join(out, ", ")
}

// verdictLines are an answer's verdicts.
func verdictLines(r map[string]any) []string {
	var out []string
	list, _ := r["verdicts"].([]any)
	for _, x := range list {
		v, _ := x.(map[string]any)
		ratio, _ := v["ratio"].(float64)
		out = append(out, fmt.Sprintf("%s: %s against %s, %s, ratio %.3f", plainText(v["verdict"]), plainText(v["candidate"]), plainText(v["against"]), plainText(v["metric"]), ratio))
	}
	return out
}

// argsText writes arguments as a person would name them.
func argsText(args map[string]any) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(args)) {
		v := plainText(args[k])
		if v == "" {
			raw, err := json.Marshal(args[k])
			if err != nil {
				continue
			}
			v = string(raw)
		}
		out = append(out, k+"="+v)
	}
	return strings.Join(out, " ")
}

func fields(raw json.RawMessage) map[string]any {
	var m map[string]any
	_ = json.Unmarshal(raw, &m)
	return m
}

func plainText(v any) string { s, _ := v.(string); return s }

func texts(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, x := range list {
		if s := plainText(x); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// oneLine makes text safe for a terminal: one line, nothing hidden, cut to a width.
func oneLine(s string, width int) string {
	return clipLine(strings.NewReplacer("\n", " ⏎ ", "\t", " ").Replace(gitops.Printable([]byte(s))), max(width, 8))
}
