package gitops

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/fault"
	"golang.org/x/crypto/ssh"
)

// AllowedSigners is a parsed allowed_signers file, as ssh-keygen(1) describes it and ssh-keygen -Y verify reads it. What
// differs is stricter, and says so: a line that cannot be read refuses the file, where ssh-keygen skips it; times need
// their final Z, since local time differs between machines; certificate authorities are refused; a security key has to be
// touched, unless its line says no-touch-required; and verify-required (a PIN or a finger) and touch-required (a security
// key, touched) demand more. Those three are options of ours here, with their meaning in authorized_keys: ssh-keygen
// knows no line that has them.
type AllowedSigners struct{ lines []allowedLine }

// allowedLine is one line: who may sign with which key, for what and when.
type allowedLine struct {
	number                 int
	principals, namespaces []string // lists of patterns
	key                    ssh.PublicKey
	after, before          time.Time
	need                   byte // security key flags
	untouched              bool // no-touch-required
	said                   map[string]bool
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
				Hint(`write PRINCIPAL[,PRINCIPAL] namespaces="%s"[,valid-before="YYYYMMDDZ"][,verify-required] KEY-TYPE BASE64`, NamespaceApproval)
		}
		line.number, line.said = number, nil
		a.lines = append(a.lines, line)
	}
	return a, nil
}

// Principals gives the names under which a key (SHA256 fingerprint) is listed, valid or not, sorted; empty for an
// unknown key. Patterns are given as they stand: see [Literal].
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

// Literal says whether a principal of a line is one name: not a pattern, not a negated one.
func Literal(principal string) bool { return !strings.ContainsAny(principal, "*?!") }

// Names lists the literal principals that may sign in a namespace, sorted.
func (a *AllowedSigners) Names(namespace string) []string {
	names := []string{}
	for _, l := range a.lines {
		if l.namespaces == nil || matchesList(l.namespaces, namespace) {
			names = append(names, slices.DeleteFunc(slices.Clone(l.principals), func(p string) bool { return !Literal(p) })...)
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
	if l.principals, err = patternList(unquoted(first)); err != nil {
		return l, fmt.Errorf("principals: %w", err)
	}
	l.said = map[string]bool{}
	field, after, err := cutField(rest)
	if err != nil {
		return l, err
	}
	if field != "" && !keyType.MatchString(field) {
		for _, option := range splitOptions(field) {
			if err := l.option(option); err != nil {
				return l, err
			}
		}
		if field, after, err = cutField(after); err != nil {
			return l, err
		}
	}
	switch {
	case field == "":
		return l, errors.New("there is no key")
	case !keyType.MatchString(field):
		return l, fmt.Errorf("%q is no key type (options are one field: put commas between them, no spaces)", field)
	case !l.after.IsZero() && !l.before.IsZero() && !l.after.Before(l.before):
		return l, errors.New("valid-before is not after valid-after")
	}
	l.key, err = parseListedKey(field, after)
	return l, err
}

// option takes one option in. Each may stand once.
func (l *allowedLine) option(text string) error {
	name, value, hasValue := strings.Cut(text, "=")
	if name = strings.ToLower(name); l.said[name] {
		return fmt.Errorf("option %q stands twice", name)
	}
	l.said[name] = true
	flag := name == "touch-required" || name == "no-touch-required" || name == "verify-required" || name == "cert-authority"
	switch {
	case flag && hasValue:
		return fmt.Errorf("option %q takes no value", name)
	case !flag && hasValue && (len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' || strings.Count(value, `"`) != 2):
		return fmt.Errorf("the value of option %q is not in double quotes", name)
	}
	var err error
	switch value = unquoted(value); name {
	case "namespaces":
		l.namespaces, err = patternList(value)
		return err
	case "valid-after":
		l.after, err = parseSignerTime(value)
		return err
	case "valid-before":
		l.before, err = parseSignerTime(value)
		return err
	case "cert-authority":
		return errors.New("option cert-authority is not supported: list each approver's own key")
	case "touch-required":
		l.need |= flagPresent
		return nil
	case "no-touch-required":
		l.untouched = true
		return nil
	case "verify-required":
		l.need |= flagPresent | flagVerified
		return nil
	}
	return fmt.Errorf("option %q is unknown (valid: namespaces, valid-after, valid-before, touch-required, no-touch-required, verify-required)", name)
}

// parseSignerTime reads YYYYMMDDZ, YYYYMMDDHHMMZ or YYYYMMDDHHMMSSZ; UTC may stand for Z.
func parseSignerTime(value string) (time.Time, error) {
	digits, ok := strings.CutSuffix(strings.ToUpper(value), "UTC")
	if !ok {
		digits, ok = strings.CutSuffix(strings.ToUpper(value), "Z")
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if ok && len(layout) == len(digits) {
			if t, err := time.Parse(layout, digits); err == nil {
				return t, nil
			}
		}
	}
	return time.Time{}, fmt.Errorf("time %q is not YYYYMMDD[HHMM[SS]]Z in UTC; without Z it would differ between machines", value)
}

// allows says whether the line covers a namespace at a time, which counts in whole seconds.
func (l *allowedLine) allows(namespace string, at time.Time) error {
	at = at.Truncate(time.Second)
	switch {
	case l.namespaces != nil && !matchesList(l.namespaces, namespace):
		return fmt.Errorf("key is allowed for %q only", l.namespaces)
	case !l.after.IsZero() && at.Before(l.after):
		return fmt.Errorf("key is valid only after %s", l.after.Format(time.RFC3339))
	case !l.before.IsZero() && at.After(l.before):
		return fmt.Errorf("key was valid only before %s", l.before.Format(time.RFC3339))
	}
	return nil
}

// touched says whether a security key's flags are enough for the line; other keys have none.
func (l *allowedLine) touched(flags byte) error {
	switch security := isSecurityKey(l.key.Type()); {
	case !security && l.need != 0:
		return errors.New("the key's line demands touch or verification, which this kind of key cannot give")
	case security && !l.untouched && flags&flagPresent == 0:
		return errors.New("nobody touched the security key; sign again with a touch (or the engineer writes no-touch-required into its line)")
	case flags&l.need != l.need:
		return errors.New("the key's line demands touch or verification (a PIN or a finger), the signature has none")
	}
	return nil
}
