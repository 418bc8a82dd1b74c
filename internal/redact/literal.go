package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
)

// shortest is the length below which a value is not looked for.
const shortest = 8

// literal is one form of a known secret.
type literal struct {
	form  []byte
	label string
}

// literalsOf gives the forms in which the value of a variable may be written: plain, JSON-escaped, percent-encoded,
// and base64 in every alignment within longer data.
func literalsOf(name, value string) []literal {
	if len(value) < shortest {
		return nil
	}
	forms := []string{value}
	forms = append(forms, escaped(value)...)
	forms = append(forms, percent(value)...)
	forms = append(forms, encoded(value)...)
	label, seen := strings.ToLower(name), map[string]bool{}
	var out []literal
	for _, f := range forms {
		if !seen[f] && len(f) >= shortest {
			seen[f] = true
			out = append(out, literal{form: []byte(f), label: label})
		}
	}
	return out
}

// escaped gives value as it stands inside a JSON string, of writers that escape <, >, & and / and of those that don't.
func escaped(value string) []string {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(value) // a string always encodes
	html, _ := json.Marshal(value)
	inner := func(quoted string) string { return strings.TrimSuffix(strings.TrimPrefix(quoted, `"`), `"`) }
	p, h := inner(strings.TrimSpace(plain.String())), inner(string(html))
	return []string{p, h, strings.ReplaceAll(p, "/", `\/`), strings.ReplaceAll(h, "/", `\/`)}
}

// percent gives value percent-encoded: as a path, as a query, with and without the slash, in both cases of hex.
func percent(value string) []string {
	path, query := url.PathEscape(value), url.QueryEscape(value)
	var strict strings.Builder
	for i := range len(value) {
		if c := value[i]; isUnreserved(c) {
			strict.WriteByte(c)
		} else {
			const hex = "0123456789ABCDEF"
			strict.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	out := []string{path, query, strings.ReplaceAll(query, "+", "%20"), strict.String(), strings.ReplaceAll(strict.String(), "%2F", "/")}
	for _, f := range out {
		out = append(out, lowerHex(f))
	}
	return out
}

// isUnreserved says whether c stands for itself in RFC 3986.
func isUnreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

// lowerHex writes the hex digits of percent-encoding in lower case.
func lowerHex(s string) string {
	b := []byte(s)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], bytes.ToLower(b[i+1:i+3]))
		}
	}
	return string(b)
}

// encoded gives value in base64: as a whole, and the characters that it alone determines when it starts 0, 1 or 2
// bytes into a group of three.
func encoded(value string) []string {
	var out []string
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		out = append(out, enc.EncodeToString([]byte(value)))
		for shift := range 3 {
			s := enc.EncodeToString(append(make([]byte, shift), value...))
			first, last := (8*shift+5)/6, 8*(shift+len(value))/6
			out = append(out, s[first:last])
		}
	}
	return out
}

// scanLiterals finds the known values; a longer form wins over one inside it.
func (r *Redactor) scanLiterals(b []byte) []span {
	var found []span
	for _, l := range r.literals {
		for from := 0; ; {
			i := bytes.Index(b[from:], l.form)
			if i < 0 {
				break
			}
			found = append(found, span{from + i, from + i + len(l.form), l.label})
			from += i + len(l.form)
		}
	}
	return found
}
