package redact

import (
	"bytes"
	"io"
)

// Bounds of what a Writer holds back. hold is more than any secret on one line or any private key is long; a longer
// line is cut where at least hold bytes stay behind.
const (
	hold    = 16 << 10
	mostOut = 64 << 10
)

// Writer redacts what is written to it, also secrets that are split over several writes, and passes it on by whole
// lines. What it holds back, an unfinished line or an unfinished private key, comes with Close.
type Writer struct {
	r       *Redactor
	to      io.Writer
	buf     []byte // the first ahead bytes are already written: they are the left context of the next match
	ahead   int
	tried   int    // the cut that was last looked at in vain
	first   string // kind of the first secret that went by
	failure error
}

// Writer gives a redacting writer in front of to. Close it to get the last line; that does not close to.
func (r *Redactor) Writer(to io.Writer) *Writer { return &Writer{r: r, to: to} }

// Write takes p whole, unless to failed.
func (w *Writer) Write(p []byte) (int, error) {
	if w.failure != nil {
		return 0, w.failure
	}
	w.buf = append(w.buf, p...)
	if cut := w.safeCut(); cut != w.tried || len(w.buf) > mostOut {
		w.tried = cut
		w.emit(cut)
	}
	return len(p), w.failure
}

// Close passes on what is held back.
func (w *Writer) Close() error {
	if w.failure == nil {
		w.emit(len(w.buf))
	}
	return w.failure
}

// safeCut gives the length of the buffer's head in which no secret can be unfinished.
func (w *Writer) safeCut() int {
	limit := len(w.buf)
	if w.r != nil && w.r.spanning {
		limit = max(limit-w.r.longest, 0)
	}
	cut := bytes.LastIndexAny(w.buf[:limit], "\r\n") + 1 // a progress bar ends its lines with \r
	if open := openKey(w.buf); open >= 0 {
		cut = min(cut, open)
	}
	if cut <= w.ahead && len(w.buf) > mostOut {
		keep := hold
		if w.r != nil {
			keep = max(keep, w.r.longest)
		}
		return max(len(w.buf)-keep, w.ahead)
	}
	return cut
}

// openKey gives the start of a private key without its end, or -1.
func openKey(b []byte) int {
	begin := bytes.LastIndex(b, []byte("-----BEGIN "))
	if begin < 0 {
		return -1
	}
	_, end, ended := bytes.Cut(b[begin:], []byte("-----END "))
	if ended && bytes.Contains(end, []byte("-----")) {
		return -1
	}
	return begin
}

// emit writes the redacted head of the buffer up to cut, or less where a secret lies across it.
func (w *Writer) emit(cut int) {
	if cut <= w.ahead {
		return
	}
	spans := w.r.scan(w.buf)
	whole := spans[:0]
	for _, s := range spans {
		if s.start < cut && s.end > cut {
			if cut = s.start; len(w.buf) > mostOut+hold {
				cut = s.end // longer than any secret is: it goes as a whole
				whole = append(whole, s)
			}
		} else if s.end <= cut && s.start >= w.ahead {
			whole = append(whole, s)
		}
	}
	if cut <= w.ahead {
		return
	}
	if len(whole) > 0 && w.first == "" {
		w.first = whole[0].label
	}
	out := render(w.buf[:cut], whole)
	if _, err := w.to.Write(out[w.ahead:]); err != nil {
		w.failure = err
		return
	}
	w.buf = append(w.buf[:0], w.buf[cut-1:]...)
	w.ahead, w.tried = 1, 1
}
