package jobs

import (
	"sync"
	"time"
)

// keepLines bounds a job's log in memory; older lines are dropped, cursors stay valid.
const keepLines = 1000

// Progress is what a running job tells about itself. Its methods may be called concurrently.
type Progress struct {
	mu       sync.Mutex
	started  time.Time
	fraction float64
	doing    string
	lines    []string
	dropped  int
}

func newProgress() *Progress { return &Progress{started: time.Now()} }

// Set says how far the job is, from 0 to 1, and what it is doing; a change of words becomes a log line.
func (p *Progress) Set(fraction float64, doing string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fraction = min(max(fraction, 0), 1)
	if doing != "" && doing != p.doing {
		p.doing = doing
		p.add(doing)
	}
}

// Log adds a line.
func (p *Progress) Log(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.add(line)
}

func (p *Progress) add(line string) {
	p.lines = append(p.lines, line)
	if over := len(p.lines) - keepLines; over > 0 {
		p.lines, p.dropped = p.lines[over:], p.dropped+over
	}
}

func (p *Progress) view(cursor int) View {
	p.mu.Lock()
	defer p.mu.Unlock()
	v := View{Running: true, Fraction: p.fraction, Doing: p.doing, Started: p.started, Cursor: p.dropped + len(p.lines), Log: []string{}}
	if from := max(0, cursor-p.dropped); from < len(p.lines) {
		v.Log = append(v.Log, p.lines[from:]...)
	}
	if p.fraction > 0.02 {
		spent := time.Since(p.started)
		v.ETA = time.Duration(float64(spent) * (1 - p.fraction) / p.fraction)
	}
	return v
}

// Discard is a progress that nobody looks at.
func Discard() *Progress { return newProgress() }
