package trace

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

const (
	// headroom lies before each chunk's data, so that the unfinished event of the chunk before can be
	// put in front of it without moving the rest.
	headroom  = 64 << 10
	chunkSize = 1 << 20
	// chunksAhead bounds how far decompression may run ahead of parsing.
	chunksAhead = 4
)

// chunk is one piece of uncompressed text; the data are buf[headroom:end].
type chunk struct {
	buf []byte
	end int
	err error // io.EOF after the last byte, or why reading stopped
}

// source reads a file, decompresses it in a goroutine of its own and hashes the bytes as they lie on disk.
type source struct {
	chunks   chan chunk
	free     chan []byte
	enough   chan struct{} // closed when the parser wants no more text
	finished chan struct{} // closed when the file was hashed to its end
	once     sync.Once
	digest   string
	err      error // why the file could not be read to its end
}

// openSource starts reading what open gives. Compression is told by the first bytes, not by the name. read is
// told how many bytes were read from disk since its last call.
func openSource(ctx context.Context, open func() (io.ReadCloser, error), read func(n int)) (*source, error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	s := &source{
		chunks:   make(chan chunk, chunksAhead),
		free:     make(chan []byte, chunksAhead+2),
		enough:   make(chan struct{}),
		finished: make(chan struct{}),
	}
	go s.run(ctx, f, read)
	return s, nil
}

// run feeds chunks until the text ends or nobody wants more, then reads the rest for the digest.
func (s *source) run(ctx context.Context, f io.ReadCloser, read func(n int)) {
	defer close(s.finished)
	defer f.Close()
	raw := &hashingReader{ctx: ctx, r: f, sum: sha256.New(), read: read}
	in := bufio.NewReaderSize(raw, 256<<10)
	s.feed(ctx, in)
	close(s.chunks)
	if _, err := io.Copy(io.Discard, in); err != nil {
		s.err = err
		return
	}
	s.digest = hex.EncodeToString(raw.sum.Sum(nil))
}

// feed sends the uncompressed text chunk by chunk; the last chunk carries the error.
func (s *source) feed(ctx context.Context, in *bufio.Reader) {
	text, err := decompress(in)
	for err == nil {
		c := chunk{buf: s.buffer()}
		c.end, err = fill(text, c.buf)
		c.err = err
		if !s.send(ctx, c) {
			return
		}
	}
	if text == nil {
		s.send(ctx, chunk{buf: s.buffer(), end: headroom, err: err})
	}
}

// send reports whether the chunk was taken.
func (s *source) send(ctx context.Context, c chunk) bool {
	select {
	case s.chunks <- c:
		return true
	case <-s.enough:
	case <-ctx.Done():
	}
	return false
}

// stop ends the text early, waits for the digest and returns it.
func (s *source) stop() (string, error) {
	s.once.Do(func() { close(s.enough) })
	for range s.chunks { // what was already on its way
	}
	<-s.finished
	return s.digest, s.err
}

// buffer takes a used buffer back or makes one.
func (s *source) buffer() []byte {
	select {
	case b := <-s.free:
		return b
	default:
		return make([]byte, headroom+chunkSize)
	}
}

// release gives a buffer back to the reading goroutine.
func (s *source) release(b []byte) {
	select {
	case s.free <- b:
	default:
	}
}

// decompress looks at the first bytes and returns the text's reader.
func decompress(in *bufio.Reader) (io.Reader, error) {
	magic, err := in.Peek(2)
	if err != nil && len(magic) == 0 {
		return nil, err
	}
	if len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		return z, nil
	}
	return in, nil
}

// fill reads until the buffer is full or the text ends; unlike io.ReadFull it keeps the reader's error.
func fill(r io.Reader, buf []byte) (end int, err error) {
	end = headroom
	for end < len(buf) && err == nil {
		var n int
		n, err = r.Read(buf[end:])
		end += n
	}
	return end, err
}

// hashingReader hashes what is read, reports progress and ends when ctx does.
type hashingReader struct {
	ctx  context.Context
	r    io.Reader
	sum  hash.Hash
	read func(n int)
}

// Read implements io.Reader.
func (h *hashingReader) Read(p []byte) (int, error) {
	if err := h.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := h.r.Read(p)
	h.sum.Write(p[:n])
	h.read(n)
	return n, err
}
