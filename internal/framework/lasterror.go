package framework

import (
	"cmp"
	"regexp"
	"strings"
	"unicode"
)

const (
	maxErrorLine = 300     // bytes of LastError's answer
	maxErrorScan = 1 << 20 // of a log's end that LastError reads
)

var (
	// logPrefix is what loggers put before a message: process and rank, level, time, file.
	logPrefix = regexp.MustCompile(`^(?:\([^()]*(?:pid|rank)[^()]*\) ?|\[[^\]]*\] ?|(?:DEBUG|INFO|WARNING|ERROR|CRITICAL|FATAL):? +|[0-9][0-9:/.,-]* |\|+ )+`)
	exception = regexp.MustCompile(`^(?:Value error, |(?:[A-Za-z_]\w*\.)*_?[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Startup|OutOfMemory)(?::|$))`)
	complaint = regexp.MustCompile(`(?i)(?:^|[^\w=])(?:fatal|critical|error|failed|abort(?:ed)?|panic|terminate called|segmentation fault|killed|crashed|died|exited unexpectedly)(?:[: ;]|$)`)
	harmless  = regexp.MustCompile(`(?i)\b(?:0 errors?|no errors?|errors?[=:] ?0|error_log|log[-_ ]level|proceeding without|ignore import error|failed to automatically increase|\.(?:cc|cpp):\d+: warning)\b`)
	// consequence is an error that only tells of another one.
	consequence = regexp.MustCompile(`(?i)see root cause above|see the error messages above|log lines above|received sigquit|sigquit received|workerproc initialization failed|stream generator|output_handler failed|enginedeaderror|engine loop is not running|systemexit|keyboardinterrupt|cancellederror|runtimeerror: cancelled|encountered a fatal error|brokenpipeerror|child processes? failed`)
)

// LastError is the line of a log that tells most about why a server died, without the logger's prefix: the last
// exception that is not a consequence of another, else the last line that complains. It is empty where no line does. The
// answer is one line of untrusted text without control characters, at most 300 bytes.
func LastError(log string) string {
	log = log[max(0, len(log)-maxErrorScan):]
	var follow, complain string
	for log != "" {
		from := strings.LastIndexByte(strings.TrimRight(log, "\n"), '\n') + 1
		text := bareLine(log[from:])
		log = log[:from]
		switch {
		case text == "" || harmless.MatchString(text):
		case exception.MatchString(text) && !consequence.MatchString(text):
			return text
		case exception.MatchString(text):
			follow = cmp.Or(follow, text)
		case complain == "" && complaint.MatchString(text) && !consequence.MatchString(text) && !strings.HasPrefix(text, "File \""):
			complain = text
		}
	}
	return cmp.Or(complain, follow)
}

// bareLine is a log line without colours, control characters, indentation and the logger's prefix, cut to its cap.
func bareLine(line string) string {
	line = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, escape.ReplaceAllString(strings.ToValidUTF8(line, ""), ""))
	line = strings.TrimSpace(line)
	if rest := strings.TrimSpace(line[len(logPrefix.FindString(line)):]); rest != "" {
		line = rest
	}
	if len(line) > maxErrorLine {
		line = strings.ToValidUTF8(line[:maxErrorLine], "")
	}
	return line
}
