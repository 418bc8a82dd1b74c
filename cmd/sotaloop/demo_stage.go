package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// stage prints the demo for a person: a line a step, and on a terminal one line that moves while a job runs.
type stage struct {
	mu    sync.Mutex
	w     io.Writer
	live  bool // a terminal
	began time.Time
	open  bool // a moving line stands unfinished
	last  string
}

func newStage(w io.Writer) *stage {
	f, ok := w.(*os.File)
	return &stage{w: w, live: ok && term.IsTerminal(int(f.Fd())), began: time.Now()}
}

func (s *stage) colour(code, text string) string {
	if !s.live {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s *stage) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintf(s.w, "%5.1fs %s\n", time.Since(s.began).Seconds(), text)
}

func (s *stage) clear() {
	if s.open {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.open = false
	}
}

// title begins a part.
func (s *stage) title(format string, args ...any) {
	s.print(s.colour("1", fmt.Sprintf(format, args...)))
}

// call shows what the agent calls.
func (s *stage) call(format string, args ...any) {
	s.print(s.colour("36", "▸ "+fmt.Sprintf(format, args...)))
}

// note shows a fact.
func (s *stage) note(format string, args ...any) { s.print("  " + fmt.Sprintf(format, args...)) }

// refused shows a cheat and the refusal.
func (s *stage) refused(what, rule, message string) {
	s.print(s.colour("33", "✗ cheat: "+what))
	s.print("  " + s.colour("33", "refused by "+rule) + ": " + message)
}

// progress moves the live line, or prints changes of words where there is no terminal.
func (s *stage) progress(fraction float64, doing string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live {
		if doing != "" && doing != s.last {
			s.last = doing
			fmt.Fprintf(s.w, "%5.1fs   … %s\n", time.Since(s.began).Seconds(), doing)
		}
		return
	}
	const width = 24
	n := int(fraction * width)
	s.clear()
	fmt.Fprintf(s.w, "%5.1fs   [%s%s] %3.0f%% %s", time.Since(s.began).Seconds(), strings.Repeat("█", n), strings.Repeat("·", width-n), 100*fraction, clipLine(doing, 80))
	s.open = true
}

func (s *stage) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}

func clipLine(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// closing sums the demo up.
func (s *stage) closing(r demoResult, took time.Duration) {
	s.title("Done in %.0f s. Verdict after the patch: %s (SIMULATED: no claim)", took.Seconds(), r.Verdict)
	s.note("predicted gain %.1f %%, measured %.1f %%", 100*r.Predicted, 100*r.Measured)
	s.note("refused on the way: %s", strings.Join(r.Refusals, ", "))
	s.note("branch   %s (never pushed)", r.Branch)
	s.note("report   %s", r.Report)
	s.note("evidence %s", r.RunDir)
	s.note("bundle   %s", r.Bundle)
	s.note("check it yourself: sotaloop verify %s", r.RunDir)
	s.note("         or alone: sotaloop verify %s", r.Bundle)
}
