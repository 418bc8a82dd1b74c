package sim

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// faults are misbehaviours asked for by tests, through Config.Fault or SOTALOOP_SIM_FAULT.
type faults struct {
	neverReady    bool
	slowStart     float64 // real seconds added to the launch
	crashAfter    int     // exit when this many requests have been answered; -1 never
	truncateAfter int     // from this request on, streams end after half their tokens; -1 never
	hangAfter     int     // from this request on, nothing is generated any more; -1 never
	ignoreTerm    bool
	orphan        bool // the child outlives a killed parent
	wrongTokens   bool // other output than every other engine
	logRequests   bool // the log repeats what was asked, as engines do that are told to log requests
}

// faultNames are the spellings parseFaults takes; a number follows "=".
func faultNames() []string {
	return []string{"never-ready", "slow-start=SECONDS", "crash-after=N", "truncate-stream[=N]", "hang[=N]",
		"ignore-sigterm", "orphan", "wrong-tokens", "log-requests"}
}

// parseFaults reads a comma-separated list. "vllm:hang" holds for one engine only; see faultsFor.
func parseFaults(s string) (faults, error) { return faultsFor(s, "") }

// faultsFor reads the faults of s that concern engine; an empty engine takes them all.
func faultsFor(s, engine string) (faults, error) {
	f := faults{crashAfter: -1, truncateAfter: -1, hangAfter: -1}
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if who, rest, ok := strings.Cut(part, ":"); ok {
			if engine != "" && who != engine {
				continue
			}
			part = rest
		}
		if part == "" {
			continue
		}
		if err := f.set(part); err != nil {
			return f, err
		}
	}
	return f, nil
}

func (f *faults) set(part string) error {
	name, value, hasValue := strings.Cut(part, "=")
	n, err := strconv.ParseFloat(value, 64)
	if hasValue && (err != nil || n < 0) {
		return unknownFault(part)
	}
	switch name {
	case "never-ready":
		f.neverReady = true
	case "slow-start":
		f.slowStart = n
	case "crash-after":
		f.crashAfter = int(n)
	case "truncate-stream":
		f.truncateAfter = int(n)
	case "hang":
		f.hangAfter = int(n)
	case "ignore-sigterm":
		f.ignoreTerm = true
	case "orphan":
		f.orphan = true
	case "wrong-tokens":
		f.wrongTokens = true
	case "log-requests":
		f.logRequests = true
	default:
		return unknownFault(part)
	}
	return nil
}

func unknownFault(part string) error {
	return &fault.Error{Code: fault.InvalidInput, Field: "fault", Got: part,
		Message: fmt.Sprintf("no simulated fault %q", part), Want: faultNames()}
}
