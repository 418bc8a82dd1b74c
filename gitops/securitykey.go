package gitops

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"math/big"

	"golang.org/x/crypto/ssh"
)

// Flags of a FIDO authenticator (OpenSSH PROTOCOL.u2f).
const (
	flagPresent  = 0x01 // someone touched the key
	flagVerified = 0x04 // and gave a PIN or a finger
)

func isSecurityKey(kind string) bool {
	return kind == ssh.KeyAlgoSKED25519 || kind == ssh.KeyAlgoSKECDSA256
}

// verifySecurityKey checks a FIDO signature and gives its flags. The SSH package refuses signatures without touch
// outright; here presence is a fact to be recorded, so that an untouched approval can be labelled for what it is.
func verifySecurityKey(key ssh.PublicKey, data []byte, sig *ssh.Signature) (flags byte, err error) {
	if sig.Format != key.Type() {
		return 0, errors.New("signature is of another type than its key")
	}
	var tail struct {
		Flags   byte
		Counter uint32
	}
	if err := ssh.Unmarshal(sig.Rest, &tail); err != nil {
		return 0, err
	}
	application, verify, err := securityKeyParts(key)
	if err != nil {
		return 0, err
	}
	app, sum := sha256.Sum256([]byte(application)), sha256.Sum256(data)
	signed := append(app[:], ssh.Marshal(tail)...)
	if !verify(append(signed, sum[:]...), sig.Blob) {
		return 0, errBadSignature
	}
	return tail.Flags, nil
}

var errBadSignature = errors.New("the signature is not over these bytes")

// securityKeyParts gives the key's application and how it verifies.
func securityKeyParts(key ssh.PublicKey) (application string, verify func(signed, sig []byte) bool, err error) {
	if key.Type() == ssh.KeyAlgoSKED25519 {
		var w struct{ Type, Key, Application string }
		if err := ssh.Unmarshal(key.Marshal(), &w); err != nil || len(w.Key) != ed25519.PublicKeySize {
			return "", nil, errors.Join(errors.New("security key is malformed"), err)
		}
		return w.Application, func(signed, sig []byte) bool {
			return ed25519.Verify(ed25519.PublicKey(w.Key), signed, sig)
		}, nil
	}
	var w struct{ Type, Curve, Key, Application string }
	if err := ssh.Unmarshal(key.Marshal(), &w); err != nil {
		return "", nil, err
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), []byte(w.Key))
	return w.Application, func(signed, sig []byte) bool {
		var rs struct{ R, S *big.Int }
		if ssh.Unmarshal(sig, &rs) != nil {
			return false
		}
		sum := sha256.Sum256(signed)
		return ecdsa.Verify(pub, sum[:], rs.R, rs.S)
	}, err
}
