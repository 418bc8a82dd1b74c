package bench

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Bounds on what a server may send around a body.
const (
	maxHead      = 64 << 10
	maxErrorBody = 64 << 10
	maxChunkLine = 4 << 10
)

// errHTTP says that the bytes are not an HTTP/1.1 response.
var errHTTP = errors.New("malformed response")

// part is what the next bytes of a response belong to.
type part int

const (
	partHead part = iota
	partLength
	partChunkSize
	partChunkData
	partChunkEnd
	partTrailer
	partUntilClose
	partDone
)

// response reads one HTTP/1.1 response as its bytes come in (RFC 9112: Content-Length, chunked, until close). It is
// pushed to rather than reading by itself, so that one thread can serve a thousand streams without a goroutine and a
// wake-up for each event.
type response struct {
	part      part
	line      []byte // head or an unfinished line
	left      int64  // bytes of the body, or of the chunk
	status    int
	reason    string
	encoding  string // of the body, if it has one
	location  string // of a redirect
	close     bool   // the connection ends with this response
	failBody  []byte
	reception *reception
}

// feed takes the next bytes, which were read at stamp. done is true when the response has ended, well or not; bytes
// behind its end put the connection out of step.
func (r *response) feed(p []byte, stamp Offset) (done bool, err error) {
	for len(p) > 0 && r.part != partDone {
		if p, err = r.step(p, stamp); err != nil {
			return true, err
		}
	}
	if r.part != partDone {
		return false, nil
	}
	r.close = r.close || len(p) > 0
	return true, r.end(stamp)
}

// eof takes the end of the connection.
func (r *response) eof(cause error, stamp Offset) error {
	switch {
	case r.part == partUntilClose:
		return r.end(stamp)
	case r.part == partHead && len(r.line) == 0:
		return fail(ErrReset, cause)
	case r.status != 0 && r.status != 200:
		return r.end(stamp)
	}
	return fail(ErrTruncated, cause)
}

// step consumes some bytes.
func (r *response) step(p []byte, stamp Offset) ([]byte, error) {
	switch r.part {
	case partHead:
		return r.head(p)
	case partLength, partChunkData:
		n := min(int64(len(p)), r.left)
		r.left -= n
		if r.left == 0 {
			r.part = map[part]part{partLength: partDone, partChunkData: partChunkEnd}[r.part]
		}
		return p[n:], r.body(p[:n], stamp)
	case partUntilClose:
		return nil, r.body(p, stamp)
	default:
		return r.chunkLine(p)
	}
}

// chunkLine consumes up to a line that frames chunks: a size, the end of a chunk, a trailer.
func (r *response) chunkLine(p []byte) ([]byte, error) {
	end := bytes.IndexByte(p, '\n')
	if end < 0 {
		r.line = append(r.line, p...)
		if len(r.line) > maxChunkLine {
			return nil, fail(ErrTruncated, fmt.Errorf("%w: chunk line", errHTTP))
		}
		return nil, nil
	}
	line := p[:end]
	if len(r.line) > 0 {
		r.line = append(r.line, line...)
		line = r.line
	}
	line = bytes.TrimSuffix(line, []byte{'\r'})
	r.line = r.line[:0]
	switch {
	case r.part == partChunkEnd && len(line) > 0:
		return nil, fail(ErrTruncated, fmt.Errorf("%w: chunk longer than its size", errHTTP))
	case r.part == partChunkEnd:
		r.part = partChunkSize
	case r.part == partChunkSize:
		return p[end+1:], r.chunkSize(line)
	case len(line) == 0: // the trailer's end
		r.part = partDone
	}
	return p[end+1:], nil
}

// chunkSize reads the size line of a chunk; extensions are skipped.
func (r *response) chunkSize(line []byte) error {
	digits, _, _ := bytes.Cut(line, []byte{';'})
	size, err := strconv.ParseUint(strings.TrimSpace(string(digits)), 16, 40)
	if err != nil {
		return fail(ErrTruncated, fmt.Errorf("%w: chunk size %q", errHTTP, excerpt(line)))
	}
	r.left, r.part = int64(size), partChunkData //nolint:gosec // 40 bits
	if size == 0 {
		r.part = partTrailer
	}
	return nil
}

// head consumes up to the blank line and reads status and framing.
func (r *response) head(p []byte) ([]byte, error) {
	before := len(r.line)
	r.line = append(r.line, p...)
	end, skip := headEnd(r.line, before)
	if end < 0 {
		if len(r.line) > maxHead {
			return nil, fail(ErrTruncated, fmt.Errorf("%w: head exceeds %d bytes", errHTTP, maxHead))
		}
		return nil, nil
	}
	rest := p[end+skip-before:]
	err := r.readHead(string(r.line[:end]))
	r.line = r.line[:0]
	return rest, err
}

// headEnd finds the blank line that ends a head, whose first from bytes were searched before.
func headEnd(head []byte, from int) (end, skip int) {
	from = max(0, from-3)
	crlf, lf := bytes.Index(head[from:], []byte("\r\n\r\n")), bytes.Index(head[from:], []byte("\n\n"))
	switch {
	case crlf >= 0 && (lf < 0 || crlf < lf):
		return from + crlf, 4
	case lf >= 0:
		return from + lf, 2
	}
	return -1, 0
}

// readHead reads the status line and the fields that say where the body ends.
func (r *response) readHead(head string) error {
	first, fields, _ := strings.Cut(head, "\n")
	protocol, status, _ := strings.Cut(strings.TrimSpace(first), " ")
	code, reason, _ := strings.Cut(status, " ")
	n, err := strconv.Atoi(code)
	if !strings.HasPrefix(protocol, "HTTP/1.") || err != nil || n < 100 || n > 599 {
		return fail(ErrTruncated, fmt.Errorf("%w: %q", errHTTP, excerpt([]byte(first))))
	}
	if n < 200 {
		return nil // an interim response: the real one follows
	}
	r.status, r.reason, r.close = n, reason, protocol == "HTTP/1.0"
	r.part, r.left = partUntilClose, -1
	chunked := false
	for line := range strings.SplitSeq(fields, "\n") {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\r"), ":")
		value = strings.TrimSpace(value)
		if strings.EqualFold(name, "location") {
			r.location = value
		}
		value = strings.ToLower(value)
		switch strings.ToLower(name) {
		case "content-encoding":
			r.encoding = strings.TrimPrefix(value, "identity")
		case "content-length":
			if r.left, err = strconv.ParseInt(value, 10, 64); err != nil || r.left < 0 {
				return fail(ErrTruncated, fmt.Errorf("%w: content length %q", errHTTP, value))
			}
		case "transfer-encoding":
			chunked = strings.HasSuffix(value, "chunked")
		case "connection":
			r.close = strings.Contains(value, "close") || r.close && !strings.Contains(value, "keep-alive")
		}
	}
	r.frame(chunked)
	return nil
}

// frame decides where the body ends.
func (r *response) frame(chunked bool) {
	switch {
	case r.status == 204 || r.status == 304:
		r.part = partDone
	case chunked:
		r.part = partChunkSize
	case r.left == 0:
		r.part = partDone
	case r.left > 0:
		r.part = partLength
	default:
		r.close = true
	}
}

// body passes on a piece of the body; that of an error is kept for its words.
func (r *response) body(p []byte, stamp Offset) error {
	switch {
	case r.encoding != "":
		return nil // it is read to its end, so that the connection stays in step
	case r.status == 200:
		return r.reception.feed(p, stamp)
	}
	r.failBody = append(r.failBody, p[:min(len(p), maxErrorBody-len(r.failBody))]...)
	return nil
}

// end closes the response.
func (r *response) end(stamp Offset) error {
	rec := r.reception.rec
	rec.HTTPStatus, rec.End = r.status, stamp
	switch {
	case r.status >= 300 && r.status < 400:
		return fail(ErrRedirect, fmt.Errorf("%d %s to %q, which is not followed", r.status, r.reason, excerpt([]byte(r.location))))
	case r.status == 200 && r.encoding != "":
		return fail(ErrEncoded, fmt.Errorf("the body is encoded as %q although identity was asked for", excerpt([]byte(r.encoding))))
	case r.status != 200:
		return fail(ErrHTTPStatus, fmt.Errorf("%d %s: %s", r.status, r.reason, excerpt(r.failBody)))
	}
	return r.reception.end()
}
