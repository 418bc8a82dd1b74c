package gitops

import (
	"bytes"
	"errors"
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
}

// VerifySignature checks an armored SSHSIG over exactly msg, in a namespace, against the signers allowed at a time. A
// security key's signature without touch is valid unless its line demands touch-required; UserPresent tells.
// Every failure is a denied fault.
func VerifySignature(allowed *AllowedSigners, namespace string, msg, armored []byte, at time.Time) (*Signature, error) {
	sig, err := parseSSHSig(armored)
	if err != nil {
		return nil, deny(err, "read signature")
	}
	if sig.namespace != namespace {
		return nil, fault.New(fault.Denied, "signature is for namespace %q", sig.namespace).ByRule(RuleApproved).
			At("namespace", sig.namespace, namespace)
	}
	flags, err := sig.verify(msg)
	if err != nil {
		return nil, deny(err, "verify signature of %s", ssh.FingerprintSHA256(sig.key))
	}
	line, err := allowed.find(sig, flags, at)
	if err != nil {
		return nil, deny(err, "%s key %s may not sign for %q", sig.key.Type(), ssh.FingerprintSHA256(sig.key), namespace).
			Hint("have an allowed approver sign, or list the key in allowed_signers")
	}
	return &Signature{
		Principal: line.principals[0], Principals: line.principals, Namespace: namespace,
		KeyType: sig.key.Type(), Fingerprint: ssh.FingerprintSHA256(sig.key), SecurityKey: isSecurityKey(sig.key.Type()),
		UserPresent: flags&flagPresent != 0, UserVerified: flags&flagVerified != 0,
	}, nil
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
func (a *AllowedSigners) find(s *sshsig, flags byte, at time.Time) (*allowedLine, error) {
	reason := errors.New("key is not listed")
	for i := range a.lines {
		l := &a.lines[i]
		if !bytes.Equal(l.key.Marshal(), s.key.Marshal()) {
			continue
		}
		if reason = l.allows(s.namespace, at); reason == nil && flags&l.need != l.need {
			reason = errors.New("the key's line demands touch or verification, the signature has none")
		}
		if reason == nil {
			return l, nil
		}
	}
	return nil, reason
}
