package gitops

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Envelope is a DSSE envelope: bytes, what they are, and who is said to have signed both.
type Envelope struct {
	PayloadType string
	Payload     []byte
	Keys        []string // the signers' fingerprints as the envelope claims them; nothing of it is checked
	parsed      *dsse.Envelope
}

// SignEnvelope signs payload and its type as DSSE does: an Ed25519 signature over the pre-authentication encoding of
// both, which any DSSE implementation verifies. The key id is the key's fingerprint. Other kinds of keys are refused:
// SSH writes their signatures in forms that DSSE does not know.
func SignEnvelope(ctx context.Context, signer ssh.Signer, payloadType string, payload []byte) ([]byte, error) {
	if kind := signer.PublicKey().Type(); kind != ssh.KeyAlgoED25519 {
		return nil, fault.New(fault.InvalidInput, "a seal's key is %s", kind).At("key", kind, ssh.KeyAlgoED25519).
			Hint("make one with ssh-keygen -t ed25519 -N '' -f FILE")
	}
	s, err := dsse.NewEnvelopeSigner(envelopeSigner{signer})
	if err != nil {
		return nil, err
	}
	e, err := s.SignPayload(ctx, payloadType, payload)
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", ssh.FingerprintSHA256(signer.PublicKey()), err)
	}
	raw, err := json.Marshal(e)
	return append(raw, '\n'), err
}

// ParseEnvelope reads an envelope strictly. It checks no signature.
func ParseEnvelope(raw []byte) (*Envelope, error) {
	var e dsse.Envelope
	if err := decodeStrict(raw, &e); err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "read DSSE envelope")
	}
	// The library also takes other spellings of the same bytes; an envelope of ours has one.
	payload, err := base64.StdEncoding.Strict().DecodeString(e.Payload)
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "read the envelope's payload")
	}
	if len(e.Signatures) == 0 {
		return nil, fault.New(fault.InvalidInput, "the envelope carries no signature")
	}
	out := &Envelope{PayloadType: e.PayloadType, Payload: payload, parsed: &e}
	for _, s := range e.Signatures {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Sig); err != nil {
			return nil, fault.Wrap(fault.InvalidInput, err, "read the envelope's signature")
		}
		out.Keys = append(out.Keys, s.KeyID)
	}
	return out, nil
}

// Verify checks that an Ed25519 key which the file allows in the namespace at that time signed the envelope.
func (e *Envelope) Verify(ctx context.Context, allowed *AllowedSigners, namespace string, at time.Time) (*Signature, error) {
	var verifiers []dsse.Verifier
	for i, l := range allowed.lines {
		if l.key.Type() == ssh.KeyAlgoED25519 && !listedBefore(allowed.lines[:i], l.key) {
			verifiers = append(verifiers, envelopeVerifier{l.key})
		}
	}
	if len(verifiers) == 0 {
		return nil, fault.New(fault.Denied, "the signers file lists no Ed25519 key")
	}
	v, err := dsse.NewEnvelopeVerifier(verifiers...)
	if err != nil {
		return nil, err
	}
	accepted, err := v.Verify(ctx, e.parsed)
	if err != nil {
		return nil, fault.Wrap(fault.Denied, err, "no listed key signed the envelope")
	}
	var reason error
	for _, a := range accepted {
		key, err := ssh.NewPublicKey(a.Public)
		if err != nil {
			return nil, err
		}
		line, err := allowed.find(&sshsig{key: key, namespace: namespace}, 0, Claim{Namespace: namespace, At: at})
		if err == nil {
			return &Signature{Principal: line.principals[0], Principals: line.principals, Namespace: namespace, KeyType: key.Type(), Fingerprint: ssh.FingerprintSHA256(key)}, nil
		}
		reason = err
	}
	return nil, fault.Wrap(fault.Denied, reason, "the key that signed the envelope may not sign for %q", namespace)
}

func listedBefore(lines []allowedLine, key ssh.PublicKey) bool {
	for _, l := range lines {
		if bytes.Equal(l.key.Marshal(), key.Marshal()) {
			return true
		}
	}
	return false
}

// envelopeSigner signs as the DSSE library asks.
type envelopeSigner struct{ ssh.Signer }

// Sign gives the raw signature.
func (s envelopeSigner) Sign(_ context.Context, data []byte) ([]byte, error) {
	sig, err := signData(s.Signer, data)
	if err != nil {
		return nil, err
	}
	return sig.Blob, nil
}

// KeyID is the key's fingerprint.
func (s envelopeSigner) KeyID() (string, error) { return ssh.FingerprintSHA256(s.PublicKey()), nil }

// envelopeVerifier verifies as the DSSE library asks.
type envelopeVerifier struct{ key ssh.PublicKey }

// Verify checks a raw signature.
func (v envelopeVerifier) Verify(_ context.Context, data, sig []byte) error {
	return v.key.Verify(data, &ssh.Signature{Format: v.key.Type(), Blob: sig})
}

// KeyID is the key's fingerprint.
func (v envelopeVerifier) KeyID() (string, error) { return ssh.FingerprintSHA256(v.key), nil }

// Public is the key.
func (v envelopeVerifier) Public() crypto.PublicKey {
	if k, ok := v.key.(ssh.CryptoPublicKey); ok {
		return k.CryptoPublicKey()
	}
	return errors.New("no key") // never met: Ed25519 keys have one
}
