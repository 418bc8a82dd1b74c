package main

import (
	"io"
	"os"
	"sync"
)

// serialWriter lets several processes and the progress line write to one place, one at a time.
type serialWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *serialWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// serialized makes a writer safe for several at once; a file is already, and child processes inherit it as it is.
func serialized(w io.Writer) io.Writer {
	if _, ok := w.(*os.File); ok {
		return w
	}
	return &serialWriter{w: w}
}
