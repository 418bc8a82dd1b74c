package rules

// check makes a rule that is checked over facts at moments of a campaign.
func check(id, doc string, seed []int, moments []Moment, holds func(*Facts) *Violation) Rule {
	return Rule{ID: id, Doc: doc, Seed: seed, Moments: moments, Check: holds}
}

// enforced makes a rule of which only the rooms that it names see the facts.
func enforced(id, doc string, seed []int, rooms ...string) Rule {
	return Rule{ID: id, Doc: doc, Seed: seed, Rooms: rooms}
}

// in adds rooms that refuse by a rule's id where no facts are gathered.
func (r Rule) in(rooms ...string) Rule {
	r.Rooms = append(r.Rooms, rooms...)
	return r
}

// Rooms that rules name.
const (
	compareRoom   = "internal/compare"
	frameworkRoom = "internal/framework"
	gitopsRoom    = "gitops"
	hostsRoom     = "hosts"
	loopRoom      = "internal/loop"
	reportRoom    = "internal/report"
	serverRoom    = "server"
	verifyRoom    = "internal/verify"
	workerRoom    = "internal/worker"
)

// All is every rule. Those with a moment are checked in this order.
var All = append(checked(), elsewhereEnforced()...)

// checked are the rules over facts, in the order of checking.
func checked() []Rule {
	return []Rule{
		check("fair.one-target", "The target is one engine entry, no comparison side is the target itself, and a campaign has one model.", []int{2, 5}, []Moment{AtOpen}, oneTarget),
		check("fair.sequence-limit", "Input plus output of every scenario fits the context limit of every side.", []int{15}, []Moment{AtOpen, AtSearch}, sequenceLimit).in(loopRoom),
		check("fair.decidable", "The frozen number of blocks can decide at the frozen error rate.", []int{41}, []Moment{AtOpen}, decidable),
		check("fair.same-threads", "On a CPU host the engines of every side have thread pools of the same size.", nil, []Moment{AtOpen}, sameThreads).in(compareRoom),
		check("fair.speculation", "Speculation is the contract's, equal for every side, and off until every side is launched with it.", []int{16}, []Moment{AtOpen}, speculation),
		check("flow.sla-keys", "An SLA's limits name their statistic: max_p50_ttft_ms, never max_ttft_ms.", []int{34}, []Moment{AtOpen}, slaKeys),
		check("flow.help-first", "A framework's flags are captured on that host before it is launched.", []int{7, 8}, []Moment{AtSearch, AtBenchmark}, helpFirst),
		check("flow.one-search", "A side has one search, with one base command and one space.", []int{19, 20}, []Moment{AtSearch}, oneSearch),
		check("fair.trt-backend", "TensorRT-LLM is served by trtllm-serve with the PyTorch backend or not at all.", []int{10}, []Moment{AtSearch}, trtBackend),
		check("flow.unknown-flag", "Every flag is in the captured help of that build.", []int{9, 14}, []Moment{AtSearch}, unknownFlag).in(frameworkRoom),
		check("flow.flag-class", "The caller sets search knobs only: contract terms, host flags and code-loading flags are not its to set.", []int{67, 79}, []Moment{AtSearch}, flagClass).in(frameworkRoom),
		check("flow.flag-value", "Values fit the type, the choices and any range of their flag.", []int{9}, []Moment{AtSearch}, flagValue),
		check("flow.preflight-knob", "What a model may not bear is searched after its preflight, never part of the base: partial prefills above one.", []int{14}, []Moment{AtSearch}, preflightKnob),
		check("fair.attention-backend", "SGLang's fa3 needs Hopper or newer.", []int{13}, []Moment{AtSearch}, attentionBackend),
		check("fair.pinned-knob", "Memory fractions and SGLang's schedule policy are searched only in a capacity study.", []int{18}, []Moment{AtSearch}, pinnedKnob),
		check("fair.legal-layout", "Tensor, pipeline, data and expert parallelism fit the contract's GPUs.", []int{87}, []Moment{AtSearch}, legalLayout),
		check("flow.contract-frozen", "Scenarios, SLA, threshold and block counts are the contract's; a change is a new campaign.", []int{22}, []Moment{AtBenchmark, AtCompare, AtProfile, AtRevalidate}, contractFrozen),
		check("fair.tuned-competitor", "Every side has finished its own search before winners are compared.", []int{19}, []Moment{AtBenchmark}, tunedCompetitor),
		check("fair.known-candidate", "Only candidates that a search of this campaign found working are measured.", []int{7, 30}, []Moment{AtBenchmark, AtProfile}, knownCandidate),
		check("fair.every-side", "Blocks hold the target and every comparison side.", []int{5, 21}, []Moment{AtBenchmark}, everySide).in(compareRoom),
		check("fair.best-candidate", "Every side is measured with what its own search found best.", []int{19, 21}, []Moment{AtBenchmark}, bestCandidate),
		check("fair.one-pairing", "Blocks go on with the candidates they were begun with.", []int{21, 40}, []Moment{AtBenchmark}, onePairing),
		check("flow.blocks-first", "A comparison rests on interleaved blocks, never on search scores.", []int{3, 40}, []Moment{AtCompare}, blocksFirst).in(loopRoom),
		check("evid.gap-decided", "A profile or a patch follows a decided gap; an undecided one is no gap.", []int{41, 42, 60}, []Moment{AtProfile}, gapDecided),
		check("evid.profiler-api", "A profile is taken from a profiler that the running engine has; no endpoint is made up.", []int{50, 55}, []Moment{AtCapture}, profilerAPI),
		check("evid.separate-stages", "Prefill and decode are captured apart; a request of both shows neither.", []int{46}, []Moment{AtCapture}, separateStages),
		check("evid.profile-lengths", "A profile has the lengths of the scenario that it explains: its input to one token, one token to its output.", []int{47, 48}, []Moment{AtCapture}, profileLengths),
		check("evid.same-window", "Every framework is profiled after the same warm-up for the same number of steps.", []int{49}, []Moment{AtCapture}, sameWindow),
		check("evid.row-known", "Cited rows are rows of this campaign's analysed traces.", []int{61}, []Moment{AtPropose}, rowKnown),
		check("evid.real-host", "Simulated rows and traces are never mixed with real ones and carry no claim; those of a CPU host carry none about GPUs.", []int{35}, []Moment{AtPropose, AtClaim}, realHost).in(compareRoom),
		check("evid.formal-trace", "A trace with graphs off says where kernels come from, never how long they take.", []int{52}, []Moment{AtPropose}, formalTrace),
		check("evid.target-trace", "Evidence comes from a trace of the target's measured candidate.", []int{45, 63}, []Moment{AtPropose}, targetTrace),
		check("evid.mapped", "At least 70 % of the stage's GPU time is mapped to source, or a mapping trace has been taken beside the formal one.", []int{51}, []Moment{AtPropose}, mapped),
		check("evid.fresh", "Evidence is of the commit the patch starts from, and of the host as it is now: boot, driver, GPU.", []int{63}, []Moment{AtPropose}, fresh),
		check("evid.symptom", "The symptom is a scenario of the contract that the target lost, and a metric that was measured.", []int{61}, []Moment{AtPropose}, symptom),
		check("evid.same-scenario", "The cited trace has the lengths of the scenario that was lost.", []int{47}, []Moment{AtPropose}, sameScenario),
		check("evid.agrees", "The cited stage is the slow one and the cited rows are at least 1 % of it.", []int{62}, []Moment{AtPropose}, agrees),
		check("evid.location", "The source location is one of the cited rows' and exists in the base commit.", []int{61, 64}, []Moment{AtPropose}, location),
		check("patch.harness-untouched", "Benchmark clients, datasets, profiler and timing code, test and build settings and existing test expectations stay as they are.", []int{65, 66}, []Moment{AtPropose}, harnessUntouched).in(gitopsRoom),
		check("patch.param-only", "A patch changes how the engine works; launch parameters are a search's.", []int{68}, []Moment{AtPropose}, paramOnly),
		check("patch.provenance", "Code taken from elsewhere comes with its source and licence, and licence notes stay.", []int{72}, []Moment{AtPropose}, provenance),
		check("patch.location", "The diff touches the cited location, or says with evidence why another place causes it.", []int{69}, []Moment{AtPropose}, patchLocation),
		check("patch.predicted", "The predicted gain is stated before anything is measured.", nil, []Moment{AtPropose}, predicted),
		check("patch.tests", "Tests are ids or paths of test files of the patched tree, never options or commands.", nil, []Moment{AtPropose}, testIDs),
		check("claim.scope", "Words that end in a report claim nothing beyond the recorded model, workload, hardware, commits, precision and SLA.", []int{1}, []Moment{AtPropose, AtCancel}, claimScope),
		check("flow.one-proposal", "One proposal is open at a time.", []int{69}, []Moment{AtPropose}, oneProposal),
		check("claim.decided", "A claim rests on a decided verdict of a study that can give one.", []int{103}, []Moment{AtClaim}, claimDecided),
		check("fair.genuine-engine", "An engine is what was installed, from before its first point to after its last; one that was modified is marked, and nothing is claimed against it.", nil, []Moment{AtClaim}, genuineEngine).in(compareRoom),
		check("fair.equal-effort", "A win over a side whose search got less is shown as such and cannot be called the best observed.", []int{19, 20, 29}, []Moment{AtClaim}, equalEffort).in(compareRoom),
		check("patch.output-equal", "A patched target answers what the base answers, within what two launches of the base differ by.", []int{65, 78}, []Moment{AtClaim}, outputEqual),
		check("patch.tested", "Tests that a proposal names are run on the patched build, and none fails that does not fail without the patch.", []int{90}, []Moment{AtClaim}, patchTested),
		check("patch.unseen-shapes", "A gain holds on shapes drawn after the approval, which nobody could know before.", nil, []Moment{AtClaim}, unseenShapes),
		check("claim.family", "A report lists every campaign on its model, target and GPU class, abandoned ones too; one that was made away with leaves no claim.", []int{110}, []Moment{AtClaim}, familyKept).in(reportRoom),
		check(patchApproved, "A human outside the agent's reach signed exactly this proposal.", []int{75, 77}, []Moment{AtApply}, approved).in(gitopsRoom, loopRoom),
		check("flow.branch-first", "Revalidation measures an applied patch branch.", []int{44, 90, 92}, []Moment{AtRevalidate}, branchFirst),
		check("flow.policy", "Hosts, engines, models, patches, branches and approvers are those that the engineer's policy allows.", []int{69}, []Moment{AtPolicy}, policyAllows),
		check("fair.same-entry", "How hosts.yaml has engines launched (variables, environments, secrets' names) is as it was when the campaign opened.", nil, []Moment{AtPolicy}, sameEntry),
		check("flow.budget", "What campaigns take stays within the budgets of the engineer's policy.", nil, []Moment{AtPolicy}, withinBudget),
		check("flow.rows-first", "A report needs measured rows, or a reason why there are none.", []int{100, 109}, []Moment{AtReport}, rowsFirst),
	}
}

// elsewhereEnforced are the rules whose facts only other rooms see.
func elsewhereEnforced() []Rule {
	return []Rule{
		enforced("fair.same-client", "Both sides of a comparison were loaded by one client, and no point that its client limited decides.", []int{24}, compareRoom),
		enforced("fair.same-workload", "Both sides got the same requests the same way: kind, dataset, lengths, prompts, endpoint, arrival, sampling.", []int{3, 21, 24, 25, 27, 43}, compareRoom),
		enforced("fair.same-sla", "Both sides are judged by one SLA.", []int{21, 22}, compareRoom),
		enforced("fair.same-model", "Both sides serve the same weights with the same tokenizer.", []int{2, 21}, compareRoom),
		enforced("fair.same-precision", "Precision, quantization, KV dtype, offload and speculation are equal or declared as a difference.", []int{16, 21, 67}, compareRoom),
		enforced("fair.same-hardware", "GPU model, count and memory are equal; rows of a CPU host stand beside such rows only.", []int{21, 35, 87}, compareRoom),
		enforced("fair.same-cache", "The prefix cache is on for every side or for none.", []int{21, 43, 67}, compareRoom),
		enforced("fair.same-contract", "Rows were measured under the contract that was frozen, on the host, GPU, driver and model that it names.", []int{21, 22}, compareRoom, loopRoom),
		enforced("fair.same-candidate", "A side is one candidate of one release and commit throughout.", []int{21, 91}, compareRoom),
		enforced("fair.same-output-length", "Latencies are compared only where both sides answered as much.", []int{21, 25}, compareRoom),
		enforced("fair.interleaved", "A block has a launch of each side on the same GPUs, boot and driver, and sides take turns in going first.", []int{21, 40, 44}, compareRoom),
		enforced("fair.launch-replicates", "Requests of one launch are one sample; a launch counts once.", []int{41}, compareRoom),
		enforced("fair.hold-out", "A search score is never a result.", []int{3}, compareRoom),
		enforced("fair.quiet-host", "A point during which others used the host, or that had not settled, counts for nobody and is repeated.", []int{11, 12, 26}, compareRoom),
		enforced("fair.sla-first", "A candidate that misses the SLA wins nothing, however fast; a gap is one between rows that pass.", []int{32, 40}, compareRoom),
		enforced("fair.row-status", "Every candidate stays, as ok, failed, oom, timeout or skipped, with its reason.", []int{30, 31}, compareRoom),
		enforced("evid.not-measured", "What was not measured is null; a zero that stands for it is refused.", []int{33}, compareRoom),
		enforced("flow.no-secret", "No argument of a tool holds a secret: what is sent is kept, and engines get secrets by the names of variables.", []int{80}, serverRoom),
		enforced("patch.paths", "A patch is text hunks of plain files inside the tree, applied exactly: no modes, links, workflow or path files, no names that collide.", []int{75}, gitopsRoom),
		enforced("patch.same-build", "What is patched is what was measured: installed files equal the base commit's, and both sides are built alike from git objects.", []int{74, 79}, loopRoom),
		enforced("host.owned-only", "Only processes that this campaign started are ever signalled; what others hold is a refusal that names them.", []int{11, 82, 83, 84, 85, 86}, loopRoom),
		enforced("host.lease", "One campaign uses a GPU or a core at a time; a lease has an owner, a heartbeat and an expiry.", []int{11}, workerRoom),
		enforced("host.gated", "Behind a gate, a host's account runs what its owner listed: its own worker, listed engines, no source tree and no uploaded program.", nil, workerRoom),
		enforced("host.changed", "A changed host key ends the connection; it is called changed only where a key of the same type differs.", nil, hostsRoom),
		enforced("claim.reproducible", "Every figure of a report follows from raw records and tables that are kept, and is computed again by verify.", []int{30, 57, 110}, verifyRoom),
		enforced("claim.levels", "The headline says what the evidence is worth: consistent, witnessed, whether the host's account signed for it, who could change the trust roots, and of each approval how far the agent could reach it.", nil, reportRoom),
		enforced("claim.report-complete", "A report has everything that a reader needs to judge or repeat it.", []int{93, 94, 95, 96, 97, 98, 99, 101}, reportRoom),
	}
}
