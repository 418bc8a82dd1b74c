package trace

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

const (
	// maxName is the longest name that is kept; C++ template names reach a few kilobytes.
	maxName = 64 << 10
	// maxNames bounds the bytes kept as names: a hostile file cannot fill the memory with them.
	maxNames = 256 << 20
)

// names interns strings: each distinct one is kept once and known by a number.
type names struct {
	ids   map[string]uint32
	texts []string
	bytes int
	full  bool
}

// newNames makes an empty table; number 0 is the empty string.
func newNames() *names {
	return &names{ids: map[string]uint32{"": 0}, texts: []string{""}}
}

// id gives the number of the JSON string raw; isNew tells that it was not known.
func (n *names) id(raw []byte, escaped bool) (id uint32, isNew bool) {
	if id, ok := n.ids[string(raw)]; ok {
		return id, false
	}
	if n.bytes+len(raw) > maxNames {
		n.full = true
		return 0, false
	}
	key := string(raw)
	if len(key) > maxName {
		key = key[:maxName]
		if id, ok := n.ids[key]; ok {
			return id, false
		}
	}
	text := key
	if escaped {
		text = unescape(key)
		if id, ok := n.ids[text]; ok && !strings.Contains(text, `\`) {
			n.ids[key] = id // the same name, written without escapes elsewhere
			return id, false
		}
	}
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	n.bytes += len(key)
	id = uint32(len(n.texts))
	n.ids[key] = id
	n.texts = append(n.texts, text)
	return id, true
}

// text gives the string of a number.
func (n *names) text(id uint32) string { return n.texts[id] }

// unescape decodes the JSON escapes of s; text that is no JSON string stays as it is.
func unescape(s string) string {
	var out string
	if json.Unmarshal([]byte(`"`+s+`"`), &out) != nil {
		return s
	}
	return out
}
