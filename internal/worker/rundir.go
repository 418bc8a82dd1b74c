package worker

// Names in a run folder.
const (
	inboxDir      = "inbox"
	launchesDir   = "launches"
	planFile      = "plan.json"
	eventsFile    = "events.jsonl"
	heartbeatFile = "heartbeat.json"
	progressFile  = "progress.json"
	procsFile     = "procs.jsonl"  // every process of ours that was seen
	workerFile    = "worker.json"  // the worker's own Proc
	lockFile      = "run.lock"     // held by the worker while it lives
	cancelFile    = "cancel.json"  // written by VerbCancel
	refusedFile   = "refused.json" // why the worker did not begin
	finalFile     = "final.json"   // the end, where it could not be appended to the events
)
