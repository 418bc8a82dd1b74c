package dataset

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// KeyedDigest stands for a text of a private dataset: HMAC-SHA-256 under the dataset's key. Only its own constructor
// makes one, so that no text can be in its place; without the key nobody can try out guesses.
type KeyedDigest struct{ sum [sha256.Size]byte }

// Keyed digests a text for a purpose; the same text has different digests for different purposes.
func Keyed(key []byte, purpose, text string) KeyedDigest {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("sotaloop.dataset." + purpose + "/1\x00"))
	h.Write([]byte(text))
	return KeyedDigest{[sha256.Size]byte(h.Sum(nil))}
}

// String is hmac-sha256: and 64 hexadecimal digits.
func (k KeyedDigest) String() string { return "hmac-sha256:" + hex.EncodeToString(k.sum[:]) }

// MarshalText gives String.
func (k KeyedDigest) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText takes what MarshalText gave, nothing else.
func (k *KeyedDigest) UnmarshalText(text []byte) error {
	const head = len("hmac-sha256:")
	if len(text) != head+2*sha256.Size || string(text[:head]) != "hmac-sha256:" {
		return errors.New("no keyed digest")
	}
	if _, err := hex.Decode(k.sum[:], text[head:]); err != nil {
		return errors.New("no keyed digest")
	}
	return nil
}

// Sealed is what may be known elsewhere of a row of a private dataset: it has no field that could hold text.
type Sealed struct {
	Row          KeyedDigest  `json:"row"`
	Prompt       KeyedDigest  `json:"prompt"`
	Conversation *KeyedDigest `json:"conversation,omitempty"`
	PromptChars  int          `json:"prompt_chars"`
	PromptTokens *int         `json:"prompt_tokens,omitempty"`
	OutputLen    int          `json:"output_len"`
	At           *float64     `json:"timestamp,omitempty"`
}

// Seal gives rows of a private dataset without text.
func (s *Set) Seal(numbers []int, count func(string) int) ([]Sealed, error) {
	if !s.Private() {
		return nil, fault.New(fault.InvalidInput, "dataset %s is not private: it has no key to seal rows with", s.Digest).Hint("add it with --private")
	}
	rows, err := s.Rows(numbers)
	if err != nil {
		return nil, err
	}
	out := make([]Sealed, len(rows))
	for i, r := range rows {
		out[i] = seal(s.key, r, count)
	}
	return out, nil
}

func seal(key []byte, r Row, count func(string) int) Sealed {
	text := r.Text()
	out := Sealed{Row: Keyed(key, "row", string(r.Line())), Prompt: Keyed(key, "prompt", text), PromptChars: characters(text), OutputLen: r.OutputLen, At: r.At}
	if r.Conversation != "" {
		c := Keyed(key, "conversation", r.Conversation)
		out.Conversation = &c
	}
	if count != nil {
		n := count(text)
		out.PromptTokens = &n
	}
	return out
}

// OutputKey is the key for digests of generated text, derived so that digests of prompts and of outputs never meet; nil
// for a public dataset. It is as secret as the dataset.
func (s *Set) OutputKey() []byte {
	if s.key == nil {
		return nil
	}
	k := Keyed(s.key, "output-key", "")
	return k.sum[:]
}
