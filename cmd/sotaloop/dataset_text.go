package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// datasetAnswer is the answer of dataset add and show with --json.
type datasetAnswer struct {
	dataset.Description
	Host      string     `json:"host"`
	Suffices  []suffices `json:"suffices"`
	Uncounted string     `json:"uncounted,omitempty"`
}

// suffices is one thing that a dataset is or is not large enough for.
type suffices struct {
	For     string `json:"for"`
	By      string `json:"by"` // conversation, or time for a replay
	Blocks  int    `json:"blocks"`
	Reuse   string `json:"reuse,omitempty"`
	Prompts int    `json:"most_prompts"` // a scenario's num_prompts; 0: too small
}

// sufficesFor computes the largest num_prompts for the usual campaigns.
func sufficesFor(ix *dataset.Index) ([]suffices, error) {
	out := []suffices{}
	for _, by := range []dataset.By{dataset.ByConversation, dataset.ByTime} {
		if by == dataset.ByTime && !ix.Timed {
			continue
		}
		d, err := dataset.Divide(ix, by)
		if err != nil {
			return nil, err
		}
		for _, x := range []struct {
			what   string
			blocks int
			reuse  dataset.Reuse
		}{{"sota", 12, dataset.ReuseNone}, {"tune", 12, dataset.ReuseNone}, {"ab", 8, dataset.ReuseNone}, {"look", 2, dataset.ReuseNone}, {"sota", 12, dataset.ReuseBlocks}} {
			out = append(out, suffices{For: x.what, By: string(by), Blocks: x.blocks, Reuse: string(x.reuse), Prompts: d.Most(loop.DatasetDraws(x.what, x.blocks), x.reuse)})
		}
	}
	return out, nil
}

func lengthsText(d dataset.Description) string {
	if q := d.PromptTokens; q != nil {
		return fmt.Sprintf("prompts p50 %.0f, p95 %.0f tokens", q.P50, q.P95)
	}
	return fmt.Sprintf("prompts p50 %.0f, p95 %.0f characters", d.PromptChars.P50, d.PromptChars.P95)
}

func privateText(d dataset.Description) string {
	if d.Private {
		return "  private"
	}
	return ""
}

// datasetText shows a dataset to a person.
func datasetText(w io.Writer, stored loop.StoredDataset, enough []suffices, assumed string) error {
	d := stored.Description
	var b strings.Builder
	shapes := map[dataset.Shape]string{dataset.ShapePrompt: "prompts", dataset.ShapeMessages: "messages"}
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(&b, "%s%s\n", d.Digest, privateText(d))
	line("rows", "%d of %s (the file was %s), %d conversations, %d duplicates", d.Rows, shapes[d.Shape], d.Format, d.Conversations, d.Duplicates)
	if q := d.PromptTokens; q != nil {
		by := ""
		if assumed != "" {
			by = " (" + assumed + ")"
		}
		if stored.Uncounted != "" {
			by = " (counted earlier, and not now: " + stored.Uncounted + ")"
		}
		line("prompt tokens", "p50 %.0f, p95 %.0f by tokenizer %.19s%s; the longest row is %d with its output", q.P50, q.P95, d.Tokenizer, by, *d.LongestTokens)
	} else {
		line("prompt tokens", "not counted: %s", stored.Uncounted)
	}
	line("characters", "p50 %.0f, p95 %.0f, most %d", d.PromptChars.P50, d.PromptChars.P95, d.LongestChars)
	line("output_len", "p50 %.0f, p95 %.0f, most %d tokens", d.OutputLen.P50, d.OutputLen.P95, d.LongestOutput)
	line("shared prefix", "%.1f %% of the prompts' characters (in steps of %d)", 100*d.SharedPrefix.Share, d.SharedPrefix.BlockChars)
	if d.SpanS != nil {
		line("span", "%.1f s", *d.SpanS)
	}
	line("parts", "search %d, blocks %d, unseen %d rows", d.Parts[dataset.PartSearch], d.Parts[dataset.PartBlocks], d.Parts[dataset.PartUnseen])
	for _, s := range d.Skipped {
		line("passed over", "%d rows: %s, the first at %d", s.Rows, s.Reason, s.First)
	}
	for _, e := range enough {
		what := fmt.Sprintf("study %s, %d blocks", e.For, e.Blocks)
		if e.By == string(dataset.ByTime) {
			what += ", replay"
		}
		if e.Reuse != "" {
			what += ", reuse: " + e.Reuse
		}
		if e.Prompts == 0 {
			line("suffices", "not for %s", what)
			continue
		}
		line("suffices", "for %s: num_prompts up to %d", what, e.Prompts)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
