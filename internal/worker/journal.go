package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sotaloop/sotaloop/internal/redact"
)

// errJournal says that an event could not be made durable: the run must end, since what it does is no longer recorded.
var errJournal = errors.New("events cannot be written")

// journal appends a run's events. It is written by one worker in one lifetime; after that it is only read.
type journal struct {
	mu     sync.Mutex
	file   *os.File
	hidden *redact.Redactor // nil knows shapes only
	size   int64
	seq    int
	began  time.Time // monotonic origin of ElapsedS
	broken error
}

func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errJournal, err)
	}
	return &journal{file: f, began: time.Now()}, nil
}

// append makes e durable and numbers it. After a failure the torn bytes are cut off and the error wraps errJournal;
// later events are still tried, so that the last one can use space that was given back.
func (j *journal) append(e Event) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	e.Seq, e.Time, e.ElapsedS = j.seq+1, time.Now().UTC(), time.Since(j.began).Seconds()
	if e.Files == nil {
		e.Files = []File{}
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("render event: %w", err)
	}
	raw = append(slices.Clip(j.hidden.JSON(raw)), '\n')
	if _, err = j.file.Write(raw); err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		_ = j.file.Truncate(j.size)
		j.broken = fmt.Errorf("%w: %w", errJournal, err)
		return j.broken
	}
	j.seq, j.size = e.Seq, j.size+int64(len(raw))
	return nil
}

func (j *journal) close() { _ = j.file.Close() }

// readEvents reads the events after seq since. Reading stops before the first line that is torn or out of order.
func readEvents(path string, since int) (events []Event, last Event) {
	events = []Event{}
	for i, line := range readLines(path) {
		var e Event
		if json.Unmarshal(line, &e) != nil || e.Seq != i+1 {
			break
		}
		last = e
		if e.Seq > since {
			events = append(events, e)
		}
	}
	return events, last
}
