package bench

import "bytes"

// chunk is what one event of a response says. It is reused from event to event.
type chunk struct {
	scan     jsonScan
	choices  bool   // carries a choice: a usage-only or error event does not
	text     []byte // text, reasoning and tool deltas, in their order; /generate: everything so far
	whole    bool   // text is everything so far (/generate), not a delta
	tokens   int    // generated token ids in this event
	finish   []byte // finish reason
	in       int    // prompt tokens by usage, -1 if not told
	out      int    // completion tokens by usage, -1 if not told
	cached   int    // cached prompt tokens by usage, -1 if not told
	failure  []byte // the server's error, raw
	failed   bool
	logprobs []byte // raw
}

// parse reads one event of any of the three endpoints.
func (c *chunk) parse(data []byte) error {
	*c = chunk{scan: jsonScan{b: data}, text: c.text[:0], in: -1, out: -1, cached: -1}
	if c.scan.peek() != '{' {
		return errJSON
	}
	var object, message []byte
	err := c.scan.object(func(key []byte) (err error) {
		switch string(key) {
		case "choices":
			err = c.scan.array(c.choice)
		case "usage":
			err = c.scan.object(c.usageMember)
		case "text": // /generate
			c.choices, c.whole = true, true
			err = c.addText()
		case "output_ids", "token_ids":
			c.choices = true
			c.tokens, err = c.scan.count()
		case "meta_info":
			err = c.scan.object(c.metaMember)
		case "error":
			c.failure, err = c.scan.skip()
			c.failed = !bytes.Equal(c.failure, []byte("null"))
		case "object":
			object, err = c.scan.optString()
		case "message":
			message, err = c.scan.skip()
		default:
			_, err = c.scan.skip()
		}
		return err
	})
	if err == nil && c.scan.peek() != 0 {
		return errJSON
	}
	if string(object) == "error" {
		c.failed, c.failure = true, message
	}
	return err
}

// choice reads one choice; only the first one counts, since n is always 1.
func (c *chunk) choice(i int) error {
	if i > 0 {
		_, err := c.scan.skip()
		return err
	}
	c.choices = c.scan.peek() == '{'
	return c.scan.object(func(key []byte) (err error) {
		switch string(key) {
		case "text":
			err = c.addText()
		case "delta", "message":
			err = c.scan.object(c.deltaMember)
		case "token_ids":
			c.tokens, err = c.scan.count()
		case "finish_reason":
			c.finish, err = c.scan.optString()
		case "logprobs":
			c.logprobs, err = c.scan.skip()
		default:
			_, err = c.scan.skip()
		}
		return err
	})
}

// deltaMember reads a member of a chat delta: content, reasoning under either of its names, tool calls.
func (c *chunk) deltaMember(key []byte) error {
	switch string(key) {
	case "content", "reasoning_content", "reasoning", "refusal":
		return c.addText()
	case "tool_calls":
		return c.scan.array(func(int) error {
			return c.scan.object(func(key []byte) error {
				if string(key) == "function" {
					return c.scan.object(c.functionMember)
				}
				_, err := c.scan.skip()
				return err
			})
		})
	}
	_, err := c.scan.skip()
	return err
}

// functionMember reads name and arguments of a tool call.
func (c *chunk) functionMember(key []byte) error {
	if string(key) == "name" || string(key) == "arguments" {
		return c.addText()
	}
	_, err := c.scan.skip()
	return err
}

// usageMember reads a member of an OpenAI usage object.
func (c *chunk) usageMember(key []byte) (err error) {
	switch string(key) {
	case "prompt_tokens":
		c.in, err = c.scan.optInt()
	case "completion_tokens":
		c.out, err = c.scan.optInt()
	case "prompt_tokens_details":
		err = c.scan.object(func(key []byte) (err error) {
			if string(key) == "cached_tokens" {
				c.cached, err = c.scan.optInt()
				return err
			}
			_, err = c.scan.skip()
			return err
		})
	default:
		_, err = c.scan.skip()
	}
	return err
}

// metaMember reads a member of /generate's meta_info.
func (c *chunk) metaMember(key []byte) (err error) {
	switch string(key) {
	case "finish_reason":
		err = c.metaFinish()
	case "cached_tokens":
		c.cached, err = c.scan.optInt()
	case "output_token_logprobs":
		c.logprobs, err = c.scan.skip()
	default:
		err = c.usageMember(key)
	}
	return err
}

// metaFinish reads a finish reason that may be a string or {"type": …}.
func (c *chunk) metaFinish() error {
	if c.scan.peek() != '{' {
		finish, err := c.scan.optString()
		c.finish = finish
		return err
	}
	return c.scan.object(func(key []byte) (err error) {
		switch string(key) {
		case "type":
			c.finish, err = c.scan.optString()
		case "message":
			c.failure, err = c.scan.skip()
		default:
			_, err = c.scan.skip()
		}
		return err
	})
}

// addText appends a string value to the event's text; any other value carries none.
func (c *chunk) addText() error {
	piece, err := c.scan.optString()
	c.text = append(c.text, piece...)
	return err
}
