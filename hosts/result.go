package hosts

// Result is how a command ended.
type Result struct {
	ExitCode  int    // -1 when a signal ended it
	Signal    string // name without SIG ("KILL"), empty when it exited
	Stdout    []byte // at most Cmd.MaxOutput bytes
	Stderr    []byte // at most Cmd.MaxOutput bytes
	Truncated bool   // output beyond the cap was dropped
}

// IsSuccess says that the command exited with status 0.
func (r Result) IsSuccess() bool { return r.ExitCode == 0 && r.Signal == "" }
