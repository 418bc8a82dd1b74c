package tools

import "github.com/sotaloop/sotaloop/internal/loop"

// All lists the fifteen tools in the order in which a campaign meets them.
func All(l *loop.Loop) []Tool {
	return []Tool{
		listHosts(l),
		openCampaign(l),
		getCampaign(l),
		listFlags(l),
		searchDeployments(l),
		runBenchmark(l),
		compareResults(l),
		captureProfile(l),
		analyzeTrace(l),
		proposePatch(l),
		applyPatchBranch(l),
		revalidate(l),
		waitJob(l),
		cancelJob(l),
		writeReport(l),
	}
}
