package transcripts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/redact"
)

// mostText bounds what is kept of bytes that are not JSON.
const mostText = 64 << 10

// Recorder writes the transcript of this process. Its methods may be called concurrently. A nil Recorder records
// nothing.
type Recorder struct {
	dir    string
	redact *redact.Redactor

	mu   sync.Mutex
	file *os.File // opened by the first record
	size int64
	last chain.Entry // without its payload
}

// New gives a recorder that writes into dir, which is made with the first record.
func New(dir string, r *redact.Redactor) *Recorder { return &Recorder{dir: dir, redact: r} }

// Received records what the client sent in a session, before it is acted upon.
func (r *Recorder) Received(session string, raw []byte) error {
	if r == nil {
		return nil
	}
	if json.Valid(raw) {
		return r.write(Received, payload{Session: session, Message: r.redact.JSON(raw)})
	}
	text := r.redact.Bytes(raw)
	if len(text) > mostText {
		text = fmt.Appendf(text[:mostText:mostText], "… (%d bytes)", len(raw))
	}
	return r.write(Undecodable, payload{Session: session, Text: string(text)})
}

// Sent records what the server is about to send in a session.
func (r *Recorder) Sent(session string, raw []byte) error {
	if r == nil {
		return nil
	}
	return r.write(Sent, payload{Session: session, Message: r.redact.JSON(raw)})
}

// Path is the transcript's file, empty before the first record.
func (r *Recorder) Path() string {
	if r == nil {
		return ""
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return ""
	}
	return r.file.Name()
}

// Close brings the transcript to disk.
func (r *Recorder) Close() error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	return errors.Join(r.file.Sync(), r.file.Close())
}

// write appends one line. This process is the file's only writer, so neither a lock nor a second look is needed, and
// what was written is not kept in memory.
func (r *Recorder) write(kind string, p payload) error {
	raw, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("transcript: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	entry, line, err := chain.Next(r.last, chain.Pending{Kind: kind, Payload: raw}, time.Now())
	if err != nil {
		return fmt.Errorf("transcript: %w", err)
	}
	if err := r.open(); err != nil {
		return fmt.Errorf("transcript: %w", err)
	}
	if _, err := r.file.WriteAt(line, r.size); err != nil {
		return fmt.Errorf("transcript: %w", errors.Join(err, r.file.Truncate(r.size)))
	}
	r.size += int64(len(line))
	r.last = entry
	r.last.Payload = nil
	return nil
}

// open makes the file of this process.
func (r *Recorder) open() error {
	if r.file != nil {
		return nil
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return err
	}
	stem := fmt.Sprintf("%s-%d", time.Now().UTC().Format("20060102T150405Z"), os.Getpid())
	for n := 1; ; n++ {
		name := stem + ".jsonl"
		if n > 1 {
			name = fmt.Sprintf("%s_%d.jsonl", stem, n)
		}
		f, err := os.OpenFile(filepath.Join(r.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		r.file = f
		return err
	}
}
