package chain

import (
	"errors"
	"fmt"
)

// ErrCorrupt is in the chain of every error about a file that does not verify.
var ErrCorrupt = errors.New("corrupt chain")

// ErrVersion is in the chain of every error about a kind or version that this release does not know.
var ErrVersion = errors.New("not known to this release")

// CorruptError says which line of which file does not verify, and why.
type CorruptError struct {
	Path string // empty when read from a stream
	Line int    // from 1; 0 for the file as a whole
	Err  error  // the reason
}

// Error renders path, line and reason.
func (e *CorruptError) Error() string {
	path := e.Path
	if path == "" {
		path = "chain"
	}
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", path, e.Err)
	}
	return fmt.Sprintf("%s: line %d: %v", path, e.Line, e.Err)
}

// Unwrap gives ErrCorrupt and the reason.
func (e *CorruptError) Unwrap() []error { return []error{ErrCorrupt, e.Err} }
