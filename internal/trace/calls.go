package trace

import "strings"

// callKind says what a runtime or driver call does.
type callKind uint8

const (
	callUnseen callKind = iota // not looked at yet
	callTrivial
	callLaunch
	callGraph
	callCopy
	callSync
	callOther
)

// trivialCalls are parts of names of calls that neither start GPU work nor wait for it. They are many:
// dropping them while reading keeps memory low.
var trivialCalls = [...]string{
	"IsCapturing", "GetDevice", "GetAttribute", "SetAttribute", "GetError", "GetLastError", "PeekAtLastError",
	"GetVersion", "Properties", "Occupancy", "EventRecord", "EventQuery", "EventCreate", "EventDestroy",
	"StreamWaitEvent", "StreamCreate", "StreamQuery", "PointerGet", "CtxGet", "CtxSet", "SetDevice", "GetFunction",
}

// callKindOf tells a call by its name, whatever the vendor (cuda…, cu…, hip…).
func callKindOf(name string) callKind {
	low := strings.ToLower(name)
	switch {
	case strings.Contains(low, "graphlaunch"):
		return callGraph
	case strings.Contains(low, "launch"):
		return callLaunch
	case strings.Contains(low, "synchronize"):
		return callSync
	case strings.Contains(low, "memcpy"), strings.Contains(low, "memset"):
		return callCopy
	}
	for _, part := range trivialCalls {
		if strings.Contains(name, part) {
			return callTrivial
		}
	}
	return callOther
}
