package redact

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
)

// knownKey matches the names whose value is secret when they are a key of an object.
var knownKey = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:` + known + `)$`) })

// JSON gives raw with the secrets taken out of its strings, decoded as a reader would; everything else, white space
// included, is kept byte for byte. The value of a key that is the name of a secret variable goes as a whole. Bytes that
// are not JSON are treated as text.
func (r *Redactor) JSON(raw json.RawMessage) json.RawMessage {
	if !json.Valid(raw) {
		return r.Bytes(raw)
	}
	var out []byte
	copied, key := 0, ""
	for i := 0; i < len(raw); i++ {
		if raw[i] != '"' {
			continue
		}
		end := stringEnd(raw, i)
		isKey := nextIs(raw, end, ':')
		if clean, changed := r.leaf(raw[i:end], key, isKey); changed {
			out = append(append(out, raw[copied:i]...), clean...)
			copied = end
		}
		key = ""
		if isKey {
			key = string(raw[i+1 : end-1])
		}
		i = end - 1
	}
	if copied == 0 {
		return raw
	}
	return append(out, raw[copied:]...)
}

// leaf redacts one quoted string, the value of key where that is not empty.
func (r *Redactor) leaf(quoted []byte, key string, isKey bool) ([]byte, bool) {
	text := string(quoted[1 : len(quoted)-1])
	if bytes.IndexByte(quoted, '\\') >= 0 {
		if err := json.Unmarshal(quoted, &text); err != nil {
			return nil, false
		}
	}
	clean := r.String(text)
	if !isKey && len(text) >= shortest && key != "" && hasDigit([]byte(text)) && !strings.HasPrefix(clean, "[redacted:") && knownKey().MatchString(key) {
		clean = "[redacted:secret_value]"
	}
	if clean == text {
		return nil, false
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(clean); err != nil {
		return nil, false
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), true
}

// stringEnd gives the index behind the string that starts at i in valid JSON.
func stringEnd(raw []byte, i int) int {
	for i++; raw[i] != '"'; i++ {
		if raw[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// nextIs says whether the next byte at or behind i that is not white space is c.
func nextIs(raw []byte, i int, c byte) bool {
	rest := bytes.TrimLeft(raw[i:min(len(raw), i+64)], " \t\r\n")
	return len(rest) > 0 && rest[0] == c
}
