package sim

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// logger writes an engine's log in the engine's own shape.
type logger struct {
	engine string
	mu     sync.Mutex
	w      io.Writer
}

// info is a line of the engine's own logger.
func (l *logger) info(format string, args ...any) { l.line("INFO", fmt.Sprintf(format, args...)) }

// fail is the same for errors; several lines are kept together.
func (l *logger) fail(format string, args ...any) { l.line("ERROR", fmt.Sprintf(format, args...)) }

// raw is a line without prefix, as uvicorn writes them.
func (l *logger) raw(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.w, format+"\n", args...)
}

func (l *logger) line(level, text string) {
	now := time.Now()
	var prefix string
	switch l.engine {
	case "vllm":
		prefix = fmt.Sprintf("(APIServer pid=%d) %s %s [simulated.py:1] ", os.Getpid(), level, now.Format("01-02 15:04:05"))
	case "tensorrt_llm":
		prefix = fmt.Sprintf("[%s] [TRT-LLM] [%s] ", now.Format("01/02/2006-15:04:05"), level[:1])
	default:
		prefix = now.Format("[2006-01-02 15:04:05] ")
	}
	l.raw("%s%s", prefix, strings.TrimRight(text, "\n"))
}

// access is uvicorn's line of a request.
func (l *logger) access(remote, method, path string, status int, text string) {
	l.raw("INFO:     %s - \"%s %s HTTP/1.1\" %d %s", remote, method, path, status, text)
}
