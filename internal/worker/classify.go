package worker

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/sotaloop/sotaloop/internal/framework"
)

const (
	maxLogTail    = 4 << 10 // of a Failure
	maxReasonLine = 300
	logHead       = 4 << 20 // of a log, searched for patterns from its beginning
	logEnd        = 4 << 20 // and from its end
)

// readLog gives the beginning and the end of a log, which together hold what patterns can match.
func readLog(path string) []byte {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	if info.Size() <= logHead+logEnd {
		raw, _ := io.ReadAll(io.LimitReader(f, logHead+logEnd))
		return raw
	}
	head, _ := io.ReadAll(io.LimitReader(f, logHead))
	end, _ := io.ReadAll(io.NewSectionReader(f, info.Size()-logEnd, logEnd))
	return append(append(head, '\n'), end...)
}

// classify finds why a log ends badly: the class of the first pattern in list order that occurs anywhere, with the
// first line it occurs in, since the root cause stands above its consequences. ok is false where no pattern occurs.
func classify(log []byte, patterns []framework.FailurePattern) (class framework.FailureClass, line string, ok bool) {
	lower := strings.ToLower(string(log))
	if len(lower) != len(log) { // folding changed offsets: show the folded line instead
		log = []byte(lower)
	}
	for _, p := range patterns {
		at := strings.Index(lower, strings.ToLower(p.Contains))
		if p.Contains == "" || at < 0 {
			continue
		}
		begin := strings.LastIndexByte(lower[:at], '\n') + 1
		end := len(lower)
		if n := strings.IndexByte(lower[at:], '\n'); n >= 0 {
			end = at + n
		}
		return p.Class, cleanLine(string(log[begin:end]), maxReasonLine), true
	}
	return "", "", false
}

// failureOf builds a Failure: the log decides the class where a pattern matches, else what was observed.
func failureOf(logPath string, patterns []framework.FailurePattern, observed framework.FailureClass, what string) *Failure {
	log := readLog(logPath)
	f := &Failure{Class: observed, Reason: what, LogTail: cleanText(log, maxLogTail)}
	class, line, ok := classify(log, patterns)
	if ok {
		f.Class = class
	}
	if !ok || class == framework.FailChild || class == framework.FailBadValue { // the pattern names no cause of its own
		if last := cleanLine(framework.LastError(string(log)), maxReasonLine); last != "" {
			line = last
		}
	}
	if line != "" {
		f.Reason = fmt.Sprintf("%s; log: %s", what, line)
	}
	return f
}
