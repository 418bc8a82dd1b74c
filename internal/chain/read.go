package chain

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxLine bounds one line, so that a hostile file cannot fill the memory.
const maxLine = 64 << 20

// Read verifies the chain at path. torn counts the bytes after the last newline. The entries before the first
// error come with it; a file that does not exist is an error.
func Read(path string, kinds Kinds) (entries []Entry, torn int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	entries, torn, err = Decode(f, kinds)
	return entries, torn, within(err, path)
}

// Decode verifies a whole chain from r, as Read does.
func Decode(r io.Reader, kinds Kinds) (entries []Entry, torn int, err error) {
	entries, rest, err := decodeAfter(r, nil, kinds)
	return entries, int(rest.torn), err
}

// tail says how far a decode came.
type tail struct {
	read int64 // bytes of complete lines
	torn int64 // bytes after them
}

// decodeAfter appends the lines of r to entries, verifying that they continue them.
func decodeAfter(r io.Reader, entries []Entry, kinds Kinds) ([]Entry, tail, error) {
	br := bufio.NewReaderSize(r, 1<<16)
	var last Entry
	if n := len(entries); n > 0 {
		last = entries[n-1]
	}
	var t tail
	for {
		raw, err := readLine(br)
		if errors.Is(err, io.EOF) {
			t.torn = int64(len(raw))
			return entries, t, nil
		}
		if err != nil {
			return entries, t, &CorruptError{Line: last.Seq + 1, Err: err}
		}
		e, err := parse(raw[:len(raw)-1], last, kinds)
		if err != nil {
			return entries, t, &CorruptError{Line: last.Seq + 1, Err: err}
		}
		t.read += int64(len(raw))
		entries, last = append(entries, e), e
	}
}

// readLine gives the next line with its newline, or the rest with io.EOF.
func readLine(br *bufio.Reader) ([]byte, error) {
	var whole []byte
	for {
		part, err := br.ReadSlice('\n')
		whole = append(whole, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return whole, err
		}
		if len(whole) > maxLine {
			return nil, fmt.Errorf("longer than %d bytes", maxLine)
		}
	}
}

// within names the file in a CorruptError that does not have one.
func within(err error, path string) error {
	var c *CorruptError
	if errors.As(err, &c) && c.Path == "" {
		c.Path = path
	}
	return err
}
