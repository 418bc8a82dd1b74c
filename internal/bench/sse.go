package bench

import (
	"bytes"
	"errors"
)

// maxEvent bounds one event of a stream, in bytes. Events are a few hundred bytes; cumulative ones grow with the output.
const maxEvent = 16 << 20

// errEventSize says that a stream sent an event beyond maxEvent.
var errEventSize = errors.New("event exceeds 16 MiB")

// doneMark is the data of the event that closes an OpenAI-compatible stream.
const doneMark = "[DONE]"

// sseParser cuts a byte stream into server-sent events (WHATWG HTML, section 9.2): any of LF, CRLF and CR ends a line,
// data lines add up, comments and unknown fields are skipped. It takes bytes as they come, in pieces of any size.
type sseParser struct {
	line    []byte // a line whose end has not come yet
	data    []byte // data lines of the event so far
	hasData bool
	name    []byte // event field
	skipLF  bool   // the last line ended in CR: a LF right behind it belongs to it
	begun   bool   // the first line has been seen, so that no byte order mark can follow
}

// feed takes the next bytes and calls emit for every event they complete. name and data are valid during the call only.
func (p *sseParser) feed(piece []byte, emit func(name, data []byte) error) error {
	for len(piece) > 0 {
		if p.skipLF {
			p.skipLF = false
			if piece[0] == '\n' {
				piece = piece[1:]
				continue
			}
		}
		end := lineEnd(piece)
		if end < 0 {
			p.line = append(p.line, piece...)
			return p.checkSize()
		}
		line := piece[:end]
		p.skipLF = piece[end] == '\r'
		piece = piece[end+1:]
		if len(p.line) > 0 {
			p.line = append(p.line, line...)
			line = p.line
		}
		err := p.take(line, emit)
		p.line = p.line[:0]
		if err != nil {
			return err
		}
	}
	return nil
}

// take handles one whole line.
func (p *sseParser) take(line []byte, emit func(name, data []byte) error) error {
	if !p.begun {
		p.begun = true
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	if len(line) == 0 {
		return p.dispatch(emit)
	}
	field, value, _ := bytes.Cut(line, []byte{':'})
	if len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(field) {
	case "data":
		if p.hasData {
			p.data = append(p.data, '\n')
		}
		p.hasData = true
		p.data = append(p.data, value...)
		return p.checkSize()
	case "event":
		p.name = append(p.name[:0], value...)
	}
	return nil
}

// dispatch gives out the event that a blank line ended; an event without data is none.
func (p *sseParser) dispatch(emit func(name, data []byte) error) error {
	name, data, has := p.name, p.data, p.hasData
	p.name, p.data, p.hasData = p.name[:0], p.data[:0], false
	if !has {
		return nil
	}
	return emit(name, data)
}

// rest is what the stream left unfinished: an event without its blank line, or a line without its end. Only a closing
// mark may be taken from it; anything else has been cut off.
func (p *sseParser) rest() (data []byte, any bool) {
	data = p.data
	if value, found := bytes.CutPrefix(p.line, []byte("data:")); found && !p.hasData {
		data = bytes.TrimPrefix(value, []byte{' '})
	}
	return data, p.hasData || len(p.line) > 0
}

func (p *sseParser) checkSize() error {
	if len(p.line)+len(p.data) > maxEvent {
		return errEventSize
	}
	return nil
}

// lineEnd finds the first LF or CR.
func lineEnd(b []byte) int {
	lf := bytes.IndexByte(b, '\n')
	if lf < 0 {
		return bytes.IndexByte(b, '\r')
	}
	if cr := bytes.IndexByte(b[:lf], '\r'); cr >= 0 {
		return cr
	}
	return lf
}
