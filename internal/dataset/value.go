package dataset

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a row.
const maxDepth = 64

// value is one JSON value with its place. The package has its own parser because the standard one takes the last of two
// equal keys, replaces broken surrogates in silence, and does not say where a value stands.
type value struct {
	kind    byte   // first byte: { [ " t f n, or 0 for a number
	text    string // of a string, decoded; of a number and a word, as written
	items   []value
	members []member
	off     int
}

type member struct {
	name  string
	value value
}

// get gives a member of an object, nil where there is none.
func (v *value) get(name string) *value {
	for i := range v.members {
		if v.members[i].name == name {
			return &v.members[i].value
		}
	}
	return nil
}

// is says what the value is, in a person's words.
func (v *value) is() string {
	switch v.kind {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 0:
		return "a number"
	}
	return v.text
}

// parser reads one JSON value; it stops at the first flaw.
type parser struct {
	raw []byte
	at  int
}

// parse reads raw as exactly one value.
func parse(raw []byte) (value, *flaw) {
	if at := invalidUTF8(raw); at >= 0 {
		return value{}, &flaw{off: at, reason: ReasonEncoding, text: "is not UTF-8", hint: "convert the file to UTF-8"}
	}
	p := &parser{raw: raw}
	v, bad := p.value(0)
	if bad != nil {
		return v, bad
	}
	if p.space(); p.at < len(raw) {
		return v, p.syntax("there is more than one value; one object a line is wanted")
	}
	return v, nil
}

func invalidUTF8(raw []byte) int {
	if utf8.Valid(raw) {
		return -1
	}
	for i := 0; i < len(raw); {
		r, n := utf8.DecodeRune(raw[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

func (p *parser) syntax(text string) *flaw {
	if p.at >= len(p.raw) {
		text = "it ends before its value does"
	}
	return &flaw{off: p.at, reason: ReasonSyntax, text: "is not JSON here: " + text, hint: "write one JSON object a line, or one array of ShareGPT conversations"}
}

func (p *parser) space() {
	for p.at < len(p.raw) && strings.IndexByte(" \t\r\n", p.raw[p.at]) >= 0 {
		p.at++
	}
}

// peek is the next byte that is no space, 0 at the end.
func (p *parser) peek() byte {
	if p.space(); p.at < len(p.raw) {
		return p.raw[p.at]
	}
	return 0
}

func (p *parser) value(depth int) (value, *flaw) {
	c := p.peek()
	v := value{kind: c, off: p.at}
	var bad *flaw
	switch {
	case depth > maxDepth:
		return v, p.syntax("values are nested deeper than " + strconv.Itoa(maxDepth))
	case c == '{':
		v.members, bad = p.object(depth)
	case c == '[':
		v.items, bad = p.array(depth)
	case c == '"':
		v.text, bad = p.str()
	case c == '-' || c >= '0' && c <= '9':
		v.kind = 0
		v.text, bad = p.number()
	default:
		v.text, bad = p.word()
	}
	return v, bad
}

func (p *parser) word() (string, *flaw) {
	for _, w := range []string{"true", "false", "null"} {
		if strings.HasPrefix(string(p.raw[p.at:min(len(p.raw), p.at+5)]), w) {
			p.at += len(w)
			return w, nil
		}
	}
	return "", p.syntax("no value begins like this")
}

func (p *parser) object(depth int) ([]member, *flaw) {
	p.at++
	var out []member
	seen := map[string]bool{}
	if p.peek() == '}' {
		p.at++
		return out, nil
	}
	for {
		if p.peek() != '"' {
			return nil, p.syntax("a key in quotes is wanted")
		}
		at := p.at
		key, bad := p.str()
		if bad != nil {
			return nil, bad
		}
		if seen[key] {
			return nil, &flaw{off: at, reason: ReasonDuplicateKey, text: "a key stands twice in one object", got: key, hint: "keep one of the two: readers differ in which they take"}
		}
		seen[key] = true
		if p.peek() != ':' {
			return nil, p.syntax("a colon is wanted after the key")
		}
		p.at++
		v, bad := p.value(depth + 1)
		if bad != nil {
			return nil, bad
		}
		out = append(out, member{key, v})
		if done, bad := p.more('}'); done || bad != nil {
			return out, bad
		}
	}
}

func (p *parser) array(depth int) ([]value, *flaw) {
	p.at++
	out := []value{}
	if p.peek() == ']' {
		p.at++
		return out, nil
	}
	for {
		v, bad := p.value(depth + 1)
		if bad != nil {
			return nil, bad
		}
		out = append(out, v)
		if done, bad := p.more(']'); done || bad != nil {
			return out, bad
		}
	}
}

// more reads what stands behind an item: the end, or a comma.
func (p *parser) more(end byte) (done bool, bad *flaw) {
	switch p.peek() {
	case end:
		p.at++
		return true, nil
	case ',':
		p.at++
		return false, nil
	}
	return false, p.syntax("a comma or " + string(end) + " is wanted")
}

// number takes what the grammar of JSON takes and a float64 can hold.
func (p *parser) number() (string, *flaw) {
	start := p.at
	for p.at < len(p.raw) && strings.IndexByte("+-.eE0123456789", p.raw[p.at]) >= 0 {
		p.at++
	}
	text := string(p.raw[start:p.at])
	f, err := strconv.ParseFloat(text, 64)
	whole := strings.TrimPrefix(text, "-")
	dot := strings.IndexByte(whole, '.')
	switch {
	case err != nil || math.IsInf(f, 0),
		len(whole) > 1 && whole[0] == '0' && whole[1] >= '0' && whole[1] <= '9',
		whole == "" || whole[0] < '0' || whole[0] > '9',
		dot >= 0 && (dot+1 == len(whole) || whole[dot+1] < '0' || whole[dot+1] > '9'):
		p.at = start
		return "", p.syntax("this is no number that JSON has")
	}
	return text, nil
}

// str reads a string, the quote at the current place.
func (p *parser) str() (string, *flaw) {
	p.at++
	start := p.at
	for p.at < len(p.raw) && p.raw[p.at] != '"' && p.raw[p.at] != '\\' && p.raw[p.at] >= 0x20 {
		p.at++
	}
	out := p.raw[start:p.at:p.at]
	for p.at < len(p.raw) {
		switch c := p.raw[p.at]; {
		case c == '"':
			p.at++
			return string(out), nil
		case c < 0x20:
			return "", p.syntax("a control character stands in a string: escape it")
		case c == '\\':
			r, bad := p.escape()
			if bad != nil {
				return "", bad
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, c)
			p.at++
		}
	}
	return "", p.syntax("")
}

// escape reads what begins with a backslash.
func (p *parser) escape() (rune, *flaw) {
	const plain, meant = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if p.at+1 >= len(p.raw) {
		p.at = len(p.raw)
		return 0, p.syntax("")
	}
	if i := strings.IndexByte(plain, p.raw[p.at+1]); i >= 0 {
		p.at += 2
		return rune(meant[i]), nil
	}
	first, ok := p.hex4(p.at)
	if !ok {
		return 0, p.syntax("no escape is written like this")
	}
	if !utf16.IsSurrogate(first) {
		p.at += 6
		return first, nil
	}
	second, _ := p.hex4(p.at + 6)
	r := utf16.DecodeRune(first, second)
	if r == utf8.RuneError {
		return 0, &flaw{off: p.at, reason: ReasonEncoding, text: "half of a surrogate pair stands alone", hint: "write the whole character, or U+FFFD for what is lost"}
	}
	p.at += 12
	return r, nil
}

// hex4 reads \uXXXX at a place.
func (p *parser) hex4(at int) (rune, bool) {
	if at+6 > len(p.raw) || p.raw[at] != '\\' || p.raw[at+1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(p.raw[at+2:at+6]), 16, 16)
	return rune(n), err == nil //nolint:gosec // 16 bits
}
