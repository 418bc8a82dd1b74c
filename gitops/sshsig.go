package gitops

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// The SSHSIG format is OpenSSH's PROTOCOL.sshsig.
const (
	sshsigMagic   = "SSHSIG"
	sshsigVersion = 1
	sshsigType    = "SSH SIGNATURE"
	sshsigWidth   = 70 // columns of base64, as ssh-keygen writes it
)

// sshsig is a decoded signature file.
type sshsig struct {
	key       ssh.PublicKey
	namespace string
	hash      string
	signature *ssh.Signature
}

// sshsigWire is the blob inside the armor, after the magic.
type sshsigWire struct {
	Version   uint32
	PublicKey string
	Namespace string
	Reserved  string
	Hash      string
	Signature string
}

// signedData is what the key signs: not the message but its digest, in a frame that no other protocol uses.
func signedData(namespace, hash string, msg []byte) ([]byte, error) {
	var sum []byte
	switch hash {
	case "sha512":
		d := sha512.Sum512(msg)
		sum = d[:]
	case "sha256":
		d := sha256.Sum256(msg)
		sum = d[:]
	default:
		return nil, fmt.Errorf("hash algorithm %q is not sha512 or sha256", hash)
	}
	frame := ssh.Marshal(struct{ Namespace, Reserved, Hash, Sum string }{namespace, "", hash, string(sum)})
	return append([]byte(sshsigMagic), frame...), nil
}

// Sign makes an armored SSHSIG (SHA-512) over msg. RSA keys sign with SHA-512 too, never with SHA-1.
func Sign(signer ssh.Signer, namespace string, msg []byte) ([]byte, error) {
	if namespace == "" {
		return nil, errors.New("sign: empty namespace")
	}
	data, err := signedData(namespace, "sha512", msg)
	if err != nil {
		return nil, err
	}
	sig, err := signData(signer, data)
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", ssh.FingerprintSHA256(signer.PublicKey()), err)
	}
	blob := append([]byte(sshsigMagic), ssh.Marshal(sshsigWire{
		Version: sshsigVersion, PublicKey: string(signer.PublicKey().Marshal()), Namespace: namespace, Hash: "sha512", Signature: string(ssh.Marshal(sig)),
	})...)
	return armor(blob), nil
}

func signData(signer ssh.Signer, data []byte) (*ssh.Signature, error) {
	if signer.PublicKey().Type() != ssh.KeyAlgoRSA {
		return signer.Sign(rand.Reader, data)
	}
	withAlgorithm, ok := signer.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("this RSA key signs with SHA-1 only")
	}
	return withAlgorithm.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSASHA512)
}

func armor(blob []byte) []byte {
	text := base64.StdEncoding.EncodeToString(blob)
	var b bytes.Buffer
	b.WriteString("-----BEGIN " + sshsigType + "-----\n")
	for len(text) > 0 {
		n := min(sshsigWidth, len(text))
		b.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	b.WriteString("-----END " + sshsigType + "-----\n")
	return b.Bytes()
}

// parseSSHSig reads an armored signature. Nothing may stand around or after it.
func parseSSHSig(armored []byte) (*sshsig, error) {
	trimmed := bytes.TrimSpace(armored)
	block, rest := pem.Decode(append(bytes.Clone(trimmed), '\n'))
	if block == nil || block.Type != sshsigType || len(block.Headers) > 0 || len(bytes.TrimSpace(rest)) > 0 ||
		!bytes.HasPrefix(trimmed, []byte("-----BEGIN ")) {
		return nil, errors.New("not an armored SSH signature")
	}
	blob, ok := bytes.CutPrefix(block.Bytes, []byte(sshsigMagic))
	if !ok {
		return nil, errors.New("armor does not hold an SSHSIG")
	}
	var w sshsigWire
	if err := ssh.Unmarshal(blob, &w); err != nil {
		return nil, fmt.Errorf("decode SSHSIG: %w", err)
	}
	if w.Version != sshsigVersion {
		return nil, fmt.Errorf("SSHSIG version %d is not %d", w.Version, sshsigVersion)
	}
	if w.Namespace == "" || w.Reserved != "" {
		return nil, errors.New("SSHSIG has no namespace, or reserved bytes")
	}
	key, err := ssh.ParsePublicKey([]byte(w.PublicKey))
	if err != nil {
		return nil, fmt.Errorf("read the signature's key: %w", err)
	}
	var sig ssh.Signature
	if err := ssh.Unmarshal([]byte(w.Signature), &sig); err != nil {
		return nil, fmt.Errorf("decode the inner signature: %w", err)
	}
	return &sshsig{key: key, namespace: w.Namespace, hash: w.Hash, signature: &sig}, nil
}
