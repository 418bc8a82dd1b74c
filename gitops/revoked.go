package gitops

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
	"golang.org/x/crypto/ssh"
)

// krlMagic begins OpenSSH's binary key revocation lists (PROTOCOL.krl).
const krlMagic = "SSHKRL\n\x00"

// RevokedKeys are keys that may sign no more, whatever allowed_signers says and whenever they signed. Nil revokes none.
type RevokedKeys struct{ keys map[string]int } // wire form → line

// ParseRevokedKeys reads a plain list: one public key a line as in a .pub file, # for comments; what ssh-keygen -Y verify
// -r takes too. A binary key revocation list is refused. An empty file revokes none.
func ParseRevokedKeys(data []byte) (*RevokedKeys, error) {
	if bytes.HasPrefix(data, []byte(krlMagic)) {
		return nil, fault.New(fault.InvalidInput, "the revoked keys are a binary key revocation list (KRL), which is not supported").
			At("revoked_keys", "KRL", "a plain list").Hint("write the public keys one a line, as their .pub files have them; ssh-keygen -Q -l -f FILE lists a KRL")
	}
	r := &RevokedKeys{keys: map[string]int{}}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' {
			continue
		}
		key, err := revokedKey(text)
		if err != nil {
			return nil, fault.Wrap(fault.InvalidInput, err, "revoked keys line %d", number).At(fmt.Sprintf("line %d", number), clip([]byte(text))).
				Hint("write one public key a line: KEY-TYPE BASE64 [COMMENT]")
		}
		r.keys[string(key.Marshal())] = number
	}
	return r, nil
}

func revokedKey(text string) (ssh.PublicKey, error) {
	kind, rest, _ := strings.Cut(text, " ")
	if !keyType.MatchString(kind) {
		return nil, fmt.Errorf("%q is no key type", kind)
	}
	blob, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	raw, err := base64.StdEncoding.DecodeString(blob)
	if err != nil {
		return nil, fmt.Errorf("key is not base64: %w", err)
	}
	key, err := ssh.ParsePublicKey(raw)
	if err == nil && key.Type() != kind {
		err = errors.New("the key is of another type than its line")
	}
	return key, err
}

// Len says how many keys are revoked.
func (r *RevokedKeys) Len() int {
	if r == nil {
		return 0
	}
	return len(r.keys)
}

// holds refuses a key that is listed.
func (r *RevokedKeys) holds(key ssh.PublicKey) error {
	if r == nil {
		return nil
	}
	if line, ok := r.keys[string(key.Marshal())]; ok {
		return fmt.Errorf("the key is revoked by line %d of the revoked keys", line)
	}
	return nil
}
