package bench

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// receiveOptions say what a reception keeps and checks.
type receiveOptions struct {
	stream       bool
	ignoreEOS    bool
	wantLogprobs bool
	keepOutputs  bool
	digestKey    []byte
}

// reception reads one response body into a record.
type reception struct {
	rec     *Record
	opt     receiveOptions
	stamp   Offset // of the bytes in hand
	whole   []byte // an answer that is not streamed
	onEvent func(name, data []byte) error
	parser  sseParser
	chunk   chunk
	digest  hash.Hash
	output  strings.Builder
	textLen int  // bytes of text so far
	told    int  // completion tokens by usage so far
	counted bool // usage has been told
	fell    bool // usage has told fewer tokens than before
	silent  bool // an event with text came without token ids
	ids     int  // token ids of /generate's last event: all of them so far, unless the server streams increments
	done    bool // closing mark seen
	events  int  // events of any kind
}

func newReception(rec *Record, opt receiveOptions) *reception {
	in := &reception{rec: rec, opt: opt}
	in.onEvent = in.event
	if opt.digestKey != nil {
		in.digest = hmac.New(sha256.New, opt.digestKey)
	} else {
		in.digest = sha256.New()
	}
	return in
}

// feed takes the next bytes of the body, which were read at stamp.
func (in *reception) feed(p []byte, stamp Offset) error {
	in.stamp = stamp
	if !in.opt.stream {
		in.whole = append(in.whole, p...)
		if len(in.whole) > maxAnswer {
			return fail(ErrBadEvent, errors.New("answer exceeds 64 MiB"))
		}
		return nil
	}
	err := in.parser.feed(p, in.onEvent)
	if errors.Is(err, errEventSize) {
		return fail(ErrBadEvent, err)
	}
	return err
}

// end takes the end of the body. An answer that is not streamed has no first token.
func (in *reception) end() error {
	var err error
	if in.opt.stream {
		err = in.checkEnd()
	} else {
		err = in.take(in.whole, false)
	}
	if err != nil {
		return err
	}
	return in.close()
}

// maxAnswer bounds an answer that is not streamed.
const maxAnswer = 64 << 20

// event takes one event of the stream.
func (in *reception) event(name, data []byte) error {
	in.events++
	if string(data) == doneMark {
		in.done = true
		return nil
	}
	if string(name) == "error" {
		return fail(ErrEvent, errors.New(excerpt(data)))
	}
	return in.take(data, true)
}

// take reads one event or a whole answer.
func (in *reception) take(data []byte, timed bool) error {
	c := &in.chunk
	if err := c.parse(data); err != nil {
		return fail(ErrBadEvent, fmt.Errorf("%w: %s", err, excerpt(data)))
	}
	if c.failed || string(c.finish) == "abort" || string(c.finish) == "error" {
		return fail(ErrEvent, errors.New(excerpt(append([]byte(c.finish), c.failure...))))
	}
	text := in.newText()
	if timed && c.choices {
		in.time(in.stamp, len(text) > 0)
	}
	in.addText(text)
	if c.out >= 0 {
		in.fell = in.fell || c.out < in.told
		in.told, in.counted = c.out, true
	}
	in.rec.In, in.rec.Cached = max(in.rec.In, c.in), max(in.rec.Cached, c.cached)
	in.rec.CacheTold = in.rec.CacheTold || c.cached >= 0
	if len(c.finish) > 0 {
		in.rec.Finish = string(c.finish)
	}
	if in.opt.wantLogprobs && len(c.logprobs) > 0 {
		return in.addLogprobs()
	}
	return nil
}

// newText is the event's new text. /generate sends everything so far unless the server streams increments; a text that
// is no longer than what came before and does not continue it is an increment.
func (in *reception) newText() []byte {
	text := in.chunk.text
	if in.chunk.whole && in.textLen > 0 && len(text) >= in.textLen {
		if sum := in.output.String(); string(text[:in.textLen]) == sum {
			return text[in.textLen:]
		}
	}
	return text
}

// time notes an event with a choice that was read at t.
func (in *reception) time(t Offset, hasText bool) {
	r, c := in.rec, &in.chunk
	opening := !r.FirstChunk.Happened() // chat: a role, without a token
	if opening {
		r.FirstChunk = t
	}
	if hasText && !r.FirstText.Happened() {
		r.FirstText = t
	}
	rise := max(0, c.out-in.told)
	if len(c.finish) > 0 && !in.counted && r.Events > 0 {
		rise = 0 // told for the first time at the close: the total, not a token
	}
	if !hasText && c.tokens == 0 && rise == 0 {
		if len(c.finish) == 0 && !opening {
			r.Empty++
		}
		return
	}
	r.IDs += c.tokens
	if c.whole {
		in.ids = c.tokens
	}
	in.silent = in.silent || c.tokens == 0
	if r.Events == 0 {
		r.First = t
		r.K1 = max(rise, c.tokens)
	} else {
		r.Gaps = append(r.Gaps, uint32(min(int64(t)/1000-int64(r.Last)/1000, 1<<32-1))) //nolint:gosec // bounded above, stamps never fall
	}
	r.Last = t
	r.Events++
}

// addText adds new text to digest and output.
func (in *reception) addText(text []byte) {
	in.digest.Write(text)
	in.textLen += len(text)
	if in.opt.keepOutputs || in.chunk.whole {
		in.output.Write(text)
	}
}

// checkEnd judges a stream that ended cleanly: it must have been closed, by the mark or by a finish reason.
func (in *reception) checkEnd() error {
	rest, cut := in.parser.rest()
	switch {
	case in.done || string(rest) == doneMark:
		return nil
	case in.events == 0 && cut:
		return fail(ErrNotSSE, errors.New(excerpt(append(in.parser.data, in.parser.line...))))
	case in.events == 0:
		return fail(ErrNotSSE, errors.New("the response has no event"))
	case cut || in.rec.Finish == "":
		return fail(ErrTruncated, errors.New("the stream ended without a finish reason"))
	}
	return nil
}

// close completes the record and checks its lengths.
func (in *reception) close() error {
	r := in.rec
	r.Out = in.told
	r.Digest = hex.EncodeToString(in.digest.Sum(nil))
	if in.opt.keepOutputs {
		r.Output = in.output.String()
	}
	if r.Events > 0 && r.K1 == 0 {
		r.K1, r.K1Unknown = 1, r.Events != r.Out
	}
	if in.ids > 0 && in.ids == r.Out {
		r.IDs = in.ids
	}
	switch {
	case !in.counted:
		return fail(ErrNoUsage, errors.New("the response has no usage"))
	case r.WantIn > 0 && r.In != r.WantIn:
		return fail(ErrWrongLength, fmt.Errorf("the server counted %d prompt tokens of %d sent", r.In, r.WantIn))
	case in.opt.ignoreEOS && r.Out != r.WantOut:
		return fail(ErrWrongLength, fmt.Errorf("the server generated %d tokens of %d asked for", r.Out, r.WantOut))
	case in.fell:
		return fail(ErrWrongUsage, errors.New("the server's count of generated tokens fell during the response"))
	case r.IDs > 0 && !in.silent && r.IDs != r.Out:
		return fail(ErrWrongUsage, fmt.Errorf("%d token ids came and usage counts %d", r.IDs, r.Out))
	case in.opt.stream && r.Out > 0 && r.Events == 0:
		return fail(ErrNoToken, fmt.Errorf("%d tokens were counted and no event carried one", r.Out))
	}
	return nil
}
