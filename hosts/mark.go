package hosts

import (
	"bytes"
	"crypto/rand"
	"io"
	"strings"
	"sync"
)

// maxPreamble is how much of what a login shell prints before our mark is kept to explain a failure, in bytes.
const maxPreamble = 4096

// newMark makes a line that no start-up file prints by chance.
func newMark() string { return "sotaloop:" + rand.Text() }

// afterMark passes on what follows the first line that begins with the mark. What stands before it, the login
// shell's chatter, is kept up to maxPreamble bytes; the rest of the marked line is the word that our script says.
type afterMark struct {
	mark string
	next io.Writer

	mu       sync.Mutex
	line     []byte // the line being read, until the mark was seen
	preamble []byte
	word     string
	seen     bool
	onWord   func(string)
}

// Write implements io.Writer.
func (a *afterMark) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(p)
	for !a.seen && len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			a.keep(p)
			return n, nil
		}
		a.keep(p[:end])
		a.endLine()
		p = p[end+1:]
	}
	if len(p) > 0 {
		if _, err := a.next.Write(p); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// keep adds to the current line; of a longer one only the end can hold the mark.
func (a *afterMark) keep(p []byte) {
	a.line = append(a.line, p...)
	if drop := len(a.line) - maxPreamble; drop > 0 {
		a.line = append(a.line[:0], a.line[drop:]...)
	}
}

// endLine looks for the mark in the line just ended. It may follow chatter that has no line end of its own.
func (a *afterMark) endLine() {
	if before, word, ok := strings.Cut(string(a.line), a.mark); ok {
		a.seen, a.word = true, strings.TrimSpace(word)
		a.line = []byte(before)
	}
	if room := maxPreamble - len(a.preamble); room > 0 {
		a.preamble = append(a.preamble, a.line[:min(room, len(a.line))]...)
		a.preamble = append(a.preamble, '\n')
	}
	a.line = nil
	if a.seen && a.onWord != nil {
		a.onWord(a.word)
	}
}

// said gives the word after the mark and whether the mark was there at all.
func (a *afterMark) said() (word string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.word, a.seen
}

// chatter is what came before the mark.
func (a *afterMark) chatter() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append(bytes.Clone(a.preamble), a.line...)
}
