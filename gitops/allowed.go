package gitops

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/fault"
	"golang.org/x/crypto/ssh"
)

// AllowedSigners is a parsed allowed_signers file, as ssh-keygen(1) describes it, with these differences: principals
// are literal (a pattern would leave open who approved), times need their final Z (local time differs between
// machines), certificate authorities are refused, and two options of ours demand more of security keys:
// touch-required (somebody touched it) and verify-required (and gave a PIN or finger).
type AllowedSigners struct{ lines []allowedLine }

// allowedLine is one line: who may sign with which key, for what and when.
type allowedLine struct {
	number                 int
	principals, namespaces []string
	key                    ssh.PublicKey
	after, before          time.Time
	need                   byte // security key flags
}

// ParseAllowedSigners reads the file. An empty one is valid and allows nobody.
func ParseAllowedSigners(data []byte) (*AllowedSigners, error) {
	a := &AllowedSigners{}
	number := 0
	for text := range bytes.Lines(data) {
		number++
		text = bytes.TrimSpace(text)
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		line, err := parseAllowedLine(string(text))
		if err != nil {
			return nil, fault.Wrap(fault.InvalidInput, err, "allowed signers line %d", number).At(fmt.Sprintf("line %d", number), clip(text)).
				Hint(`write PRINCIPAL[,PRINCIPAL] [namespaces="%s"] [valid-before="YYYYMMDDZ"] [touch-required] KEY-TYPE BASE64`, NamespaceApproval)
		}
		line.number = number
		a.lines = append(a.lines, line)
	}
	return a, nil
}

// Principals gives the names under which a key (SHA256 fingerprint) is listed, valid or not, sorted; empty for an
// unknown key. It answers "is this an approver's key?".
func (a *AllowedSigners) Principals(fingerprint string) []string {
	names := []string{}
	for _, l := range a.lines {
		if ssh.FingerprintSHA256(l.key) == fingerprint {
			names = append(names, l.principals...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Len says how many keys are listed.
func (a *AllowedSigners) Len() int { return len(a.lines) }

func parseAllowedLine(text string) (allowedLine, error) {
	var l allowedLine
	first, rest, err := cutField(text)
	if err != nil {
		return l, err
	}
	for name := range strings.SplitSeq(unquoted(first), ",") {
		if name == "" || strings.ContainsAny(name, "*?!\"") {
			return l, fmt.Errorf("principal %q is empty or a pattern", name)
		}
		l.principals = append(l.principals, name)
	}
	for {
		field, after, err := cutField(rest)
		if err != nil {
			return l, err
		}
		if field == "" {
			return l, fmt.Errorf("there is no key")
		}
		if keyType.MatchString(field) {
			l.key, err = parseListedKey(field, after)
			return l, err
		}
		for _, option := range splitOptions(field) {
			if err := l.option(option); err != nil {
				return l, err
			}
		}
		rest = after
	}
}

// option takes one option in.
func (l *allowedLine) option(text string) error {
	name, value, hasValue := strings.Cut(text, "=")
	value = unquoted(value)
	var err error
	switch name = strings.ToLower(name); name {
	case "namespaces":
		for ns := range strings.SplitSeq(value, ",") {
			if ns == "" || strings.HasPrefix(ns, "!") {
				return fmt.Errorf("namespace %q is empty or negated", ns)
			}
			l.namespaces = append(l.namespaces, ns)
		}
		return nil
	case "valid-after":
		l.after, err = parseSignerTime(value)
		return err
	case "valid-before":
		l.before, err = parseSignerTime(value)
		return err
	case "cert-authority":
		return fmt.Errorf("option cert-authority is not supported: list each approver's own key")
	case "touch-required", "verify-required":
		if hasValue {
			return fmt.Errorf("option %q takes no value", name)
		}
		l.need |= flagPresent
		if name == "verify-required" {
			l.need |= flagVerified
		}
		return nil
	}
	return fmt.Errorf("option %q is unknown (valid: namespaces, valid-after, valid-before, touch-required, verify-required)", name)
}

// parseSignerTime reads YYYYMMDDZ, YYYYMMDDHHMMZ or YYYYMMDDHHMMSSZ.
func parseSignerTime(value string) (time.Time, error) {
	for _, layout := range []string{"20060102Z", "200601021504Z", "20060102150405Z"} {
		if len(layout) == len(value) {
			if t, err := time.Parse(layout, value); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("time %q is not YYYYMMDD[HHMM[SS]]Z in UTC; without Z it would differ between machines", value)
}

// allows says whether the line covers a namespace at a time.
func (l *allowedLine) allows(namespace string, at time.Time) error {
	switch {
	case l.namespaces != nil && !slices.ContainsFunc(l.namespaces, func(p string) bool { return wildcard(p, namespace) }):
		return fmt.Errorf("key is allowed for %q only", l.namespaces)
	case !l.after.IsZero() && at.Before(l.after):
		return fmt.Errorf("key is valid only after %s", l.after.Format(time.RFC3339))
	case !l.before.IsZero() && at.After(l.before):
		return fmt.Errorf("key was valid only before %s", l.before.Format(time.RFC3339))
	}
	return nil
}
