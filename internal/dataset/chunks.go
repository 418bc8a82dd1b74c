package dataset

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// chunks cuts a file into lines or elements of bounded length.
type chunks struct {
	in      *bufio.Reader
	format  Format
	limit   int
	line    int // of the next byte
	col     int
	element int
	begun   bool
	done    bool
	buf     []byte
}

// errTooLong is a chunk above the limit, all of which has been read.
var errTooLong = errors.New("too long")

// open finds the format by the first byte that is no space.
func open(r io.Reader, limit int) (*chunks, error) {
	c := &chunks{in: bufio.NewReaderSize(r, 64<<10), limit: limit, line: 1, col: 1}
	if head, _ := c.in.Peek(3); bytes.Equal(head, []byte{0xef, 0xbb, 0xbf}) {
		_, _ = c.in.Discard(3)
	} else if len(head) > 1 && (head[0] == 0x1f && head[1] == 0x8b || head[0] == 0x28 && head[1] == 0xb5 || head[0] == 'P' && head[1] == 'K') {
		return nil, fault.New(fault.InvalidInput, "dataset: the file is compressed").Hint("unpack it first")
	}
	for {
		b, err := c.byte()
		switch {
		case errors.Is(err, io.EOF):
			return nil, nothing("the file is empty")
		case err != nil:
			return nil, fmt.Errorf("read dataset: %w", err)
		case b == '[':
			c.format = FormatShareGPT
			return c, nil
		case !isSpace(b):
			c.format = FormatJSONL
			c.col--
			return c, c.in.UnreadByte()
		}
	}
}

func nothing(why string) error {
	return fault.New(fault.InvalidInput, "dataset: nothing usable: %s", why).
		Hint("give JSON lines with prompt or messages and output_len, or an array of ShareGPT conversations")
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\n' }

// byte reads one byte and keeps count of the place.
func (c *chunks) byte() (byte, error) {
	b, err := c.in.ReadByte()
	if err != nil {
		return 0, err
	}
	c.col++
	if b == '\n' {
		c.line, c.col = c.line+1, 1
	}
	return b, nil
}

// next gives the next line or element; its bytes hold until the call after. io.EOF at the end; errTooLong, with the
// place, for one above the limit.
func (c *chunks) next() (chunk, error) {
	if c.format == FormatShareGPT {
		return c.nextElement()
	}
	for {
		got, err := c.nextLine()
		if err != nil || len(bytes.TrimSpace(got.raw)) > 0 {
			return got, err
		}
	}
}

func (c *chunks) nextLine() (chunk, error) {
	out := chunk{line: c.line, col: c.col}
	c.buf = c.buf[:0]
	long := false
	for {
		part, err := c.in.ReadSlice('\n')
		if long = long || len(c.buf)+len(part) > c.limit+1; !long {
			c.buf = append(c.buf, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return out, fmt.Errorf("read dataset: line %d: %w", c.line, err)
		case err != nil && len(c.buf) == 0 && !long:
			return out, io.EOF
		}
		c.line, c.col = c.line+1, 1
		if out.raw = bytes.TrimRight(c.buf, "\r\n"); long {
			return out, errTooLong
		}
		return out, nil
	}
}

// nextElement reads up to the end of the next element of the array. It counts brackets only; parse judges the rest.
func (c *chunks) nextElement() (chunk, error) {
	b, out, err := c.elementStart()
	if err != nil {
		return out, err
	}
	c.buf = c.buf[:0]
	depth, quoted, escaped, long := 0, false, false, false
	for {
		if long = long || len(c.buf) >= c.limit; !long {
			c.buf = append(c.buf, b)
		}
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = b == '\\', b != '"'
		case b == '"':
			quoted = true
		case b == '{' || b == '[':
			depth++
		case b == '}' || b == ']':
			depth--
		}
		if depth == 0 {
			break
		}
		if b, err = c.byte(); err != nil {
			return out, c.cut(err)
		}
	}
	if out.raw = c.buf; long {
		return out, errTooLong
	}
	return out, nil
}

// elementStart reads what stands before an element; it gives the element's first byte, which is an opening brace.
func (c *chunks) elementStart() (byte, chunk, error) {
	comma := !c.begun
	for !c.done {
		b, err := c.byte()
		at := chunk{raw: []byte{b}, line: c.line, col: c.col - 1, element: c.element + 1}
		switch {
		case err != nil:
			return 0, at, c.cut(err)
		case isSpace(b):
		case b == ']' && (!comma || !c.begun):
			c.done = true
		case b == ',' && !comma:
			comma = true
		case b == '{' && comma:
			c.begun = true
			c.element++
			return b, at, nil
		default:
			text := "is not an object"
			if !comma {
				text = "follows the one before without a comma"
			}
			return 0, at, at.fault(&flaw{reason: ReasonSyntax, text: text, hint: "an array of objects {id, conversations: [{from, value}]} is wanted"}, false)
		}
	}
	return 0, chunk{}, c.rest()
}

// rest checks that nothing follows the array.
func (c *chunks) rest() error {
	for {
		b, err := c.byte()
		if err != nil || !isSpace(b) {
			if err == nil {
				return fault.New(fault.InvalidInput, "dataset: line %d, column %d: something follows the array", c.line, c.col-1).
					Hint("keep one array a file")
			}
			return err
		}
	}
}

// cut names the element in which reading ended.
func (c *chunks) cut(err error) error {
	if errors.Is(err, io.EOF) {
		return fault.New(fault.InvalidInput, "dataset: the file ends at line %d, inside the array, after %d elements had begun", c.line, c.element).
			Hint("fetch the file again: it is not complete")
	}
	return fmt.Errorf("read dataset: element %d: %w", c.element, err)
}
