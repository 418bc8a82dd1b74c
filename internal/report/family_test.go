package report_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/report"
)

func TestEveryCampaignOfAFamilyIsListed(t *testing.T) {
	t.Parallel()
	text, _ := finished(t).add("family.counted", loop.FamilyCounted{Model: "tiny", Target: "sglang", GPU: "NVIDIA H100", HostProblem: "no route | to it", Campaigns: []loop.FamilyCampaign{
		{Campaign: campaignID, State: "open", Points: 12, Verdict: "win"}, {Campaign: "20260101_tiny_sota_loop", State: "void"},
		{Campaign: "20260102_tiny_sota_loop", State: "gone"}, {Campaign: "20260103_tiny_sota_loop", State: "elsewhere", Owner: "eve"},
	}}).render()
	for _, says := range []string{
		"## Campaigns on this model, target and GPU class", "3 campaigns were tried on tiny with sglang as target on NVIDIA H100", report.RuleFamily,
		"| " + campaignID + " | open | 12 | win |", "| 20260101_tiny_sota_loop | void | 0 | - |", "cannot be read any more | not known | - |", "in another home, by eve | not known | - |",
		`The host's lease log was not read, so that campaigns of other homes are not listed: no route \| to it`,
	} {
		require.Contains(t, text, says)
	}
	text, _ = finished(t).render()
	require.NotContains(t, text, "Campaigns on this model", "a ledger of before families were counted")
}
