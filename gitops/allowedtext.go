package gitops

import (
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/internal/wildcard"
)

// keyType recognises a key's type, which ends the options of a line.
var keyType = regexp.MustCompile(`^(ssh-|ecdsa-|sk-|rsa-)[a-z0-9@.-]+$`)

// minRSABits is the shortest RSA key that is accepted.
const minRSABits = 2048

// cutField splits off the first field. Spaces inside double quotes belong to it.
func cutField(text string) (field, rest string, err error) {
	text = strings.TrimLeft(text, " \t")
	quoted := false
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case (c == ' ' || c == '\t') && !quoted:
			return text[:i], text[i+1:], nil
		}
	}
	if quoted {
		return "", "", errors.New("a quote is not closed")
	}
	return text, "", nil
}

// splitOptions cuts at commas outside quotes.
func splitOptions(field string) []string {
	var out []string
	quoted, from := false, 0
	for i := range len(field) {
		switch {
		case field[i] == '"':
			quoted = !quoted
		case field[i] == ',' && !quoted:
			out, from = append(out, field[from:i]), i+1
		}
	}
	return append(out, field[from:])
}

func unquoted(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

// parseListedKey reads a key's base64; a comment may follow.
func parseListedKey(kind, rest string) (ssh.PublicKey, error) {
	text, _, err := cutField(rest)
	if err != nil {
		text, _, _ = strings.Cut(strings.TrimSpace(rest), " ") // a quote in the comment
	}
	blob, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("key is not base64: %w", err)
	}
	key, err := ssh.ParsePublicKey(blob)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if key.Type() != kind {
		return nil, fmt.Errorf("key says it is %q, the line %q", key.Type(), kind)
	}
	return key, checkKey(key)
}

// checkKey refuses kinds of keys that approve nothing.
func checkKey(key ssh.PublicKey) error {
	switch kind := key.Type(); kind {
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return nil
	case ssh.KeyAlgoRSA:
		parsed, err := ssh.ParsePublicKey(key.Marshal()) // an agent's key does not show its parts
		if holder, ok := parsed.(ssh.CryptoPublicKey); ok && err == nil {
			if pub, ok := holder.CryptoPublicKey().(*rsa.PublicKey); ok && pub.N.BitLen() >= minRSABits {
				return nil
			}
		}
		return fmt.Errorf("RSA key is shorter than %d bits", minRSABits)
	default:
		return fmt.Errorf("key type %q is not supported (valid: ssh-ed25519, ecdsa-sha2-nistp256/384/521, ssh-rsa, sk-ssh-ed25519@openssh.com, sk-ecdsa-sha2-nistp256@openssh.com)", kind)
	}
}

// patternList cuts a list of patterns at its commas.
func patternList(text string) ([]string, error) {
	list := strings.Split(text, ",")
	for _, p := range list {
		if strings.TrimPrefix(p, "!") == "" || strings.ContainsRune(p, '"') {
			return nil, fmt.Errorf("%q in %q is empty or holds a quote", p, text)
		}
	}
	return list, nil
}

// matchesList matches as OpenSSH does: some pattern has to match, and none that begins with "!".
func matchesList(patterns []string, s string) bool {
	found := false
	for _, p := range patterns {
		body, negated := strings.CutPrefix(p, "!")
		if !wildcard.Match(body, s) {
			continue
		}
		if negated {
			return false
		}
		found = true
	}
	return found
}
