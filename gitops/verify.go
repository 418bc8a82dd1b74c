package gitops

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/sotaloop/sotaloop/internal/fault"
	"golang.org/x/crypto/ssh"
)

// Signature says who made a verified signature, and how.
type Signature struct {
	Principal    string   `json:"principal"` // the first of Principals
	Principals   []string `json:"principals"`
	Namespace    string   `json:"namespace"`
	KeyType      string   `json:"key_type"`
	Fingerprint  string   `json:"fingerprint"` // SHA256:…, as ssh-keygen -l prints it
	SecurityKey  bool     `json:"security_key"`
	UserPresent  bool     `json:"user_present"`  // somebody touched the key; false for keys that cannot tell
	UserVerified bool     `json:"user_verified"` // and gave a PIN or a finger
	// Since says why the key could not sign any more at Claim.Now, "" where it could: its validity ended after the signature
	// was recorded. That is a note, not a failure.
	Since string `json:"since,omitempty"`
}

// Trust is what an engineer vouches for: who may sign, and which keys may no more. Revoked may be nil.
type Trust struct {
	Allowed *AllowedSigners
	Revoked *RevokedKeys
}

// Claim is what a signature has to be good for.
type Claim struct {
	Namespace string
	Principal string    // who is said to have signed; "" takes whoever the key is listed for
	At        time.Time // when it was recorded
	Now       time.Time // for Signature.Since; zero judges only At
}

// Verify checks an armored SSHSIG over exactly msg. The key has to be allowed for namespace and principal at the time the
// signature was recorded, touched where it is a security key, and not revoked, whenever that was. Every failure is a
// denied fault.
func (t Trust) Verify(c Claim, msg, armored []byte) (*Signature, error) {
	sig, flags, err := verified(c.Namespace, msg, armored)
	if err != nil {
		return nil, err
	}
	if err := t.Revoked.holds(sig.key); err != nil {
		return nil, deny(err, "%s key %s may sign no more", sig.key.Type(), ssh.FingerprintSHA256(sig.key)).
			Hint("have another approver sign; what was signed before the revocation counts no more either")
	}
	line, err := t.Allowed.find(sig, flags, c)
	if err != nil {
		return nil, deny(err, "%s key %s may not sign for %q", sig.key.Type(), ssh.FingerprintSHA256(sig.key), c.Namespace).
			Hint("have an allowed approver sign, or list the key in allowed_signers")
	}
	out := sig.described(flags)
	out.Principal, out.Principals = c.Principal, line.principals
	if out.Principal == "" {
		out.Principal = line.principals[0]
	}
	if !c.Now.IsZero() {
		now := c
		now.At = c.Now
		if _, err := t.Allowed.find(sig, flags, now); err != nil {
			out.Since = err.Error()
		}
	}
	return out, nil
}

// verified reads an armored signature and checks it over msg in a namespace, by its own key.
func verified(namespace string, msg, armored []byte) (*sshsig, byte, error) {
	sig, err := parseSSHSig(armored)
	if err != nil {
		return nil, 0, deny(err, "read signature")
	}
	if sig.namespace != namespace {
		return nil, 0, fault.New(fault.Denied, "signature is for namespace %q", sig.namespace).ByRule(RuleApproved).
			At("namespace", sig.namespace, namespace)
	}
	flags, err := sig.verify(msg)
	if err != nil {
		return nil, 0, deny(err, "verify signature of %s", ssh.FingerprintSHA256(sig.key))
	}
	return sig, flags, nil
}

// described names the key and what its flags say.
func (s *sshsig) described(flags byte) *Signature {
	return &Signature{
		Principals: []string{}, Namespace: s.namespace, KeyType: s.key.Type(), Fingerprint: ssh.FingerprintSHA256(s.key),
		SecurityKey: isSecurityKey(s.key.Type()), UserPresent: flags&flagPresent != 0, UserVerified: flags&flagVerified != 0,
	}
}

// InspectSignature checks a signature by its own key alone, which nobody vouches for: what it says is which key signed
// these bytes, not whose it is.
func InspectSignature(namespace string, msg, armored []byte) (*Signature, error) {
	sig, flags, err := verified(namespace, msg, armored)
	if err != nil {
		return nil, err
	}
	return sig.described(flags), nil
}

// VerifySignature is Verify for whoever the key is listed for, without revoked keys.
func VerifySignature(allowed *AllowedSigners, namespace string, msg, armored []byte, at time.Time) (*Signature, error) {
	return Trust{Allowed: allowed}.Verify(Claim{Namespace: namespace, At: at}, msg, armored)
}

func deny(cause error, format string, args ...any) *fault.Error {
	return fault.Wrap(fault.Denied, cause, format, args...).ByRule(RuleApproved)
}

// verify checks the signature over msg and gives a security key's flags, 0 for other keys.
func (s *sshsig) verify(msg []byte) (byte, error) {
	if err := checkKey(s.key); err != nil {
		return 0, err
	}
	data, err := signedData(s.namespace, s.hash, msg)
	if err != nil {
		return 0, err
	}
	if isSecurityKey(s.key.Type()) {
		return verifySecurityKey(s.key, data, s.signature)
	}
	if len(s.signature.Rest) > 0 {
		return 0, errors.New("bytes follow the inner signature")
	}
	if s.key.Type() == ssh.KeyAlgoRSA && s.signature.Format != ssh.KeyAlgoRSASHA256 && s.signature.Format != ssh.KeyAlgoRSASHA512 {
		return 0, errors.New("RSA signature does not use SHA-2")
	}
	if err := s.key.Verify(data, s.signature); err != nil {
		return 0, errBadSignature
	}
	return 0, nil
}

// find gives the first line that lets the signature's key sign. The reason of the last line that names the key
// explains a refusal.
func (a *AllowedSigners) find(s *sshsig, flags byte, c Claim) (*allowedLine, error) {
	reason := errors.New("key is not listed")
	if a == nil {
		return nil, reason
	}
	for i := range a.lines {
		l := &a.lines[i]
		if !bytes.Equal(l.key.Marshal(), s.key.Marshal()) {
			continue
		}
		if c.Principal != "" && !matchesList(l.principals, c.Principal) {
			reason = fmt.Errorf("key is listed for %q, not for %q", l.principals, c.Principal)
			continue
		}
		if reason = l.allows(s.namespace, c.At); reason == nil {
			reason = l.touched(flags)
		}
		if reason == nil {
			return l, nil
		}
	}
	return nil, reason
}
