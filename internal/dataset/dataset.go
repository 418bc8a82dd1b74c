// Package dataset reads, checks, normalises, divides and describes the datasets that text, chat and replay scenarios
// send. A dataset comes as JSON lines or as ShareGPT-shaped JSON and is kept as canonical JSON lines, named by the
// SHA-256 of those bytes.
//
// Rules of this package:
//   - Reading streams: one line or element at a time, none longer than a limit. What stays in memory is an index of
//     about a hundred bytes a row.
//   - Every refusal is a fault that says where (line, column, element), which field, and what to do. Of a private
//     dataset no refusal quotes the data.
//   - Nothing is half written: a dataset has its name only once all of it is on the disk.
//   - Draws depend on the digest, the seed and their names, on nothing else: every side of a block sends the same rows.
//
// Owned here: formats, digests, the division, draws, figures. Not owned: sending rows (bench), which phase draws how
// many (loop), copying to hosts (worker).
package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Format is how a dataset came.
type Format string

// The formats.
const (
	FormatJSONL    Format = "jsonl"    // canonical or near it: one object a line
	FormatShareGPT Format = "sharegpt" // an array of {id, conversations: [{from, value}]}
)

// Shape is what the rows of a dataset are; a dataset has one.
type Shape string

// The shapes.
const (
	ShapePrompt   Shape = "prompt"
	ShapeMessages Shape = "messages"
)

// Row is one request of a dataset. Its JSON form is its canonical line, which holds text: see Sealed for what may leave
// a host of a private dataset.
type Row struct {
	Conversation string          // empty where the dataset names none
	Extra        json.RawMessage // extra_request_body, canonical
	Messages     json.RawMessage // canonical; nil where Prompt is set
	OutputLen    int             // tokens
	Prompt       string
	At           *float64 // timestamp, seconds, any origin

	turns []turn // of Messages
}

// turn is one message as text.
type turn struct{ role, text string }

// Shape says whether the row is a prompt or messages.
func (r Row) Shape() Shape {
	if r.turns != nil {
		return ShapeMessages
	}
	return ShapePrompt
}

// Text is what lengths, prefixes and samples are about: the prompt, or of each message its role and its text, a line
// break behind either.
func (r Row) Text() string {
	if r.turns == nil {
		return r.Prompt
	}
	var out []byte
	for _, t := range r.turns {
		out = append(append(append(append(out, t.role...), '\n'), t.text...), '\n')
	}
	return string(out)
}

// Digest is the SHA-256 of the canonical line without its line break. It is the same whatever format and position the
// row had.
func (r Row) Digest() string { return name(r.sum()) }

func (r Row) sum() [32]byte { return sha256.Sum256(r.Line()) }

// promptSum says which rows send the same prompt: duplicates, whatever their length of output.
func (r Row) promptSum() [16]byte {
	if r.Messages == nil {
		return short("prompt", r.Prompt)
	}
	return short("messages", string(r.Messages))
}

// conversationSum says which rows belong together: those of one conversation id; without one, those whose first user
// message is the same, which takes in later turns of one conversation and every repetition of a prompt.
func (r Row) conversationSum() [16]byte {
	if r.Conversation != "" {
		return short("conversation", r.Conversation)
	}
	first := r.Prompt
	for _, t := range r.turns {
		if t.role == "user" {
			first = t.text
			break
		}
	}
	return short("first", first)
}

// short is the first half of a SHA-256 over a purpose and a text.
func short(purpose, text string) [16]byte {
	h := sha256.New()
	h.Write([]byte("sotaloop.dataset." + purpose + "/1\x00"))
	h.Write([]byte(text))
	return [16]byte(h.Sum(nil)[:16])
}

func name(sum [32]byte) string { return "sha256:" + hex.EncodeToString(sum[:]) }
