package report

import (
	"fmt"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// datasetText says of a dataset what a reader needs to judge the load.
func datasetText(d contract.Dataset) string {
	lengths := fmt.Sprintf("prompts p50 %.0f, p95 %.0f characters (tokens were not counted)", d.PromptChars.P50, d.PromptChars.P95)
	if d.PromptTokens != nil {
		lengths = fmt.Sprintf("prompts p50 %.0f, p95 %.0f tokens", d.PromptTokens.P50, d.PromptTokens.P95)
	}
	text := fmt.Sprintf("%s, %d rows in %d conversations, %s, output_len p50 %.0f, p95 %.0f tokens, shared-prefix share %.1f %%, divided by %s: search %d, blocks %d, unseen %d",
		d.Digest, d.Rows, d.Conversations, lengths, d.OutputLen.P50, d.OutputLen.P95, 100*d.SharedPrefix, d.By, d.Parts["search"], d.Parts["blocks"], d.Parts["unseen"])
	if d.Private {
		text += "; private: no text of it, and no log of an engine that was sent it, has left the host"
	}
	return text
}

// cacheHits says how much of the prompts each side found in its prefix cache, where scenarios send rows of datasets.
func (w *writer) cacheHits(v loop.VerdictTaken) {
	for _, line := range w.st.CacheHits(v) {
		var sides []string
		for _, side := range line.Sides {
			text := side.Candidate + " not told by the server"
			if side.Rate != nil {
				text = fmt.Sprintf("%s %.1f %%", side.Candidate, 100**side.Rate)
			}
			sides = append(sides, text)
		}
		w.line("\n- %s: prompt tokens found in the prefix cache, measured: %s", line.Scenario, strings.Join(sides, ", "))
	}
}
