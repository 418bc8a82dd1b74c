package rules

// Disposition is why numbers of the seed are no rule here, and where what they are about shows instead.
type Disposition struct {
	Seed  []int
	What  string // what the number asks for
	Why   string
	Where string
}

// NotOurs are numbers that a server cannot enforce, or that concern what this one does not have.
var NotOurs = []Disposition{
	{[]int{6}, "ask the user only where model, GPUs or precision cannot be inferred", "a conversation is the agent's", "`open_campaign` names every default it took in `assumed` and refuses what it cannot infer"},
	{[]int{28}, "at most five request rates unless asked", "nothing adds rates: a contract's scenarios are the caller's, and a rate search stays within the bounds frozen with it", "contract, `cost` of `open_campaign`"},
	{[]int{36}, "multimodal and tool payloads only where every framework takes them", "a contract has no such payload: random token ids, text and chat", "`open_campaign`"},
	{[]int{38}, "a TokenSpeed-native lane is additional", "no lane but the campaign's one endpoint exists", "`endpoint` of the contract"},
	{[]int{53}, "rank-local traces; disaggregated workers profiled apart", "captures are of one rank's file each, and no layout with separate prefill and decode servers is launched", "`analyze_trace` table `ranks`"},
	{[]int{54}, "refuse traces of diffusers fallbacks", "no adapter serves a diffusion model", "docs/FIELD.md"},
	{[]int{73}, "acceptable kinds of patch", "whether a kind of change is welcome is the approver's to say", "the diff, shown whole by `sotaloop approve`; a rejection's reason reaches the agent"},
	{[]int{88}, "the loop stays local, the host only executes", "it is how the program is made: a worker on a host carries out a plan and decides nothing", "docs/ARCHITECTURE.md, held by `arch_test.go`"},
	{[]int{102, 104, 105, 106}, "when to stop", "ending is allowed at any time after something was measured or failed; the report says what was decided", "`next` of every answer; the report's verdict, gap analysis and reason for having no patch"},
}

// Notes are numbers that are told, to the approver or in the report, and refuse nothing.
var Notes = []Disposition{
	{[]int{4}, "synthetic data supports no claim about production traffic", "whether production traffic was asked for is known to the asker only", "the report's claim and caveats name synthetic prompts; a scenario on a dataset names its digest"},
	{[]int{17}, "history and open pull requests read before a patch is planned", "reading leaves no trace that a server could check", "`rationale`, which the approver reads before signing"},
	{[]int{23}, "the default workload", "it is a default, and nobody has to take it", "`assumed` of `open_campaign`; the cookbook's scenarios left out are named in contract and report"},
	{[]int{37}, "look at a custom dataset before using it", "rows are looked at by people", "`sotaloop dataset add` and `list_hosts` show kind, rows and lengths; rows carry p50 and p95 of input and output"},
	{[]int{39}, "a missing program is recorded as it was called", "an engine that is not there cannot be a side at all", "`open_campaign` answers `env_gap` with the entry and what the host said; frameworks that a campaign leaves out are `absent` in `assumed` and in the report, as `user_excluded` or `env_gap`"},
	{[]int{56}, "tables show rows of 1 % and more", "it is a page size: small rows are counted, and shown on request", "`analyze_trace`, `detail`"},
	{[]int{58}, "an idea is called new only after both catalogs were searched", "novelty decides nothing here", "fuse tables name the catalog's pattern and its source; `rationale`"},
	{[]int{59}, "a pipeline report before a patch target is picked", "the tables are made when the trace is analysed, whoever reads them", "layer, overlap and idle tables of `analyze_trace`, the report's gap analysis"},
	{[]int{70}, "a focused test for changed behaviour", "whether a test is focused is judged by reading it", "the statement that is signed names the tests; the report says how they went"},
	{[]int{71}, "when kernel work is worth it", "the share is enforced by `evid.agrees`; the rest is the approver's judgement", "share and ceiling in the proposal and the report"},
	{[]int{76}, "runtime state out of the checkout", "nothing of ours is ever written there but objects and one branch", "`SOTALOOP_HOME`"},
	{[]int{81}, "401, 403 and 404 of model hubs are recorded", "nothing is downloaded: a model that is not there is a gap with its kind", "`model_gap` of `open_campaign`"},
	{[]int{89}, "long actions resume", "every step is replayed from the ledger; there is no other way to go on", "docs/ARCHITECTURE.md; `e2e` kills the server in every phase"},
	{[]int{107}, "no stopping while a row of the target is unexplored", "an agent that stops cannot be made to go on", "the report lists the largest rows of every trace, and says that the target is still behind"},
	{[]int{108}, "two rounds below 1 % call for more research", "research leaves no trace that a server could check", "rounds with predicted and measured gain in the report"},
}
