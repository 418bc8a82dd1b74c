package gitops_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts/hoststest"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

const ns = gitops.NamespaceApproval

// tokenSigner is a security key in software: the same bytes a FIDO token would give.
type tokenSigner struct {
	public ssh.PublicKey
	flags  byte
	sign   func(data []byte) []byte
}

func (s tokenSigner) PublicKey() ssh.PublicKey { return s.public }

func (s tokenSigner) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	app, sum := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	tail := []byte{s.flags, 0, 0, 0, 7}
	signed := append(append(app[:], tail...), sum[:]...)
	return &ssh.Signature{Format: s.public.Type(), Blob: s.sign(signed), Rest: tail}, nil
}

func token25519(t testing.TB, flags byte) ssh.Signer {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	public, err := ssh.ParsePublicKey(ssh.Marshal(struct{ T, K, A string }{ssh.KeyAlgoSKED25519, string(pub), "ssh:"}))
	require.NoError(t, err)
	return tokenSigner{public, flags, func(d []byte) []byte { return ed25519.Sign(key, d) }}
}

func tokenECDSA(t testing.TB, flags byte) ssh.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	public, err := ssh.ParsePublicKey(ssh.Marshal(struct{ T, C, K, A string }{ssh.KeyAlgoSKECDSA256, "nistp256", string(point), "ssh:"}))
	require.NoError(t, err)
	return tokenSigner{public, flags, func(d []byte) []byte {
		sum := sha256.Sum256(d)
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		require.NoError(t, err)
		return ssh.Marshal(struct{ R, S *big.Int }{r, s})
	}}
}

func plain(t testing.TB, key any) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	return s
}

func newEd25519(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return plain(t, key)
}

func allow(t testing.TB, options string, signers ...ssh.Signer) *gitops.AllowedSigners {
	t.Helper()
	a, err := gitops.ParseAllowedSigners([]byte(allowText(options, signers...)))
	require.NoError(t, err)
	return a
}

func allowText(options string, signers ...ssh.Signer) string {
	var b strings.Builder
	for _, s := range signers {
		b.WriteString("eve@x " + options + " " + strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey()))) + " comment\n")
	}
	return b.String()
}

func keygen(t testing.TB, stdin []byte, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestOurSignaturesHoldForSSHKeygen(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	signers := map[string]ssh.Signer{"ed25519": newEd25519(t), "rsa": plain(t, rsaKey), "sk-ed25519": token25519(t, 1), "sk-ecdsa": tokenECDSA(t, 5)}
	for name, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		require.NoError(t, err)
		signers[name] = plain(t, key)
	}
	msg := []byte("approve\x00\nthis\r\n")
	for name, s := range signers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sig, err := gitops.Sign(s, ns, msg)
			require.NoError(t, err)
			got, err := gitops.VerifySignature(allow(t, `namespaces="`+ns+`"`, s), ns, msg, sig, when())
			require.NoError(t, err)
			require.Equal(t, "eve@x", got.Principal)
			require.Equal(t, ssh.FingerprintSHA256(s.PublicKey()), got.Fingerprint)
			require.Equal(t, strings.HasPrefix(name, "sk-"), got.SecurityKey)
			require.Equal(t, strings.HasPrefix(name, "sk-"), got.UserPresent)
			require.Equal(t, name == "sk-ecdsa", got.UserVerified)

			dir := t.TempDir()
			allowed, sigFile := filepath.Join(dir, "allowed"), filepath.Join(dir, "sig")
			require.NoError(t, os.WriteFile(allowed, []byte(allowText(`namespaces="`+ns+`"`, s)), 0o600))
			require.NoError(t, os.WriteFile(sigFile, sig, 0o600))
			out, err := keygen(t, msg, "-Y", "verify", "-f", allowed, "-I", "eve@x", "-n", ns, "-s", sigFile)
			require.NoError(t, err, out)
			out, err = keygen(t, append(msg, 'x'), "-Y", "verify", "-f", allowed, "-I", "eve@x", "-n", ns, "-s", sigFile)
			require.Error(t, err, out)
		})
	}
}

func TestSSHKeygensSignaturesHoldForUs(t *testing.T) {
	t.Parallel()
	msg := []byte("hello\n")
	for name, args := range map[string][]string{
		"ed25519": {"-t", "ed25519"}, "rsa": {"-t", "rsa", "-b", "2048"}, "ecdsa": {"-t", "ecdsa", "-b", "384"}, "sha256": {"-t", "ed25519"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "key")
			out, err := keygen(t, nil, append(args, "-q", "-a", "1", "-N", "open sesame", "-f", file)...)
			require.NoError(t, err, out)
			locked, err := os.ReadFile(file)
			require.NoError(t, err)
			out, err = keygen(t, nil, "-q", "-p", "-P", "open sesame", "-N", "", "-f", file)
			require.NoError(t, err, out)
			sign := []string{"-Y", "sign", "-f", file, "-n", ns}
			if name == "sha256" {
				sign = append(sign, "-O", "hashalg=sha256")
			}
			require.NoError(t, os.WriteFile(file+".msg", msg, 0o600))
			out, err = keygen(t, nil, append(sign, file+".msg")...)
			require.NoError(t, err, out)
			sig, err := os.ReadFile(file + ".msg.sig")
			require.NoError(t, err)
			pub, err := os.ReadFile(file + ".pub")
			require.NoError(t, err)
			a, err := gitops.ParseAllowedSigners([]byte("\"bob,eve@x\" " + string(pub)))
			require.NoError(t, err)
			got, err := gitops.VerifySignature(a, ns, msg, sig, when())
			require.NoError(t, err)
			require.Equal(t, []string{"bob", "eve@x"}, got.Principals)
			require.Equal(t, []string{"bob", "eve@x"}, a.Principals(got.Fingerprint))

			s, err := gitops.LoadSigner(file, nil)
			require.NoError(t, err)
			require.Equal(t, got.Fingerprint, gitops.DescribeSigner(s).Fingerprint)
			if name != "rsa" && name != "ecdsa" && name != "sha256" {
				ours, err := gitops.Sign(s, ns, msg)
				require.NoError(t, err)
				require.Equal(t, string(sig), string(ours), "ed25519 is deterministic: the very same file")
			}
			require.NoError(t, os.WriteFile(file+".locked", locked, 0o600))
			_, err = gitops.LoadSigner(file+".locked", nil)
			require.Error(t, err)
			_, err = gitops.LoadSigner(file+".locked", func() ([]byte, error) { return nil, errors.New("no terminal") })
			require.ErrorContains(t, err, "no terminal")
			_, err = gitops.LoadSigner(file+".locked", func() ([]byte, error) { return []byte("wrong"), nil })
			require.Error(t, err)
			s, err = gitops.LoadSigner(file+".locked", func() ([]byte, error) { return []byte("open sesame"), nil })
			require.NoError(t, err)
			require.Equal(t, got.Fingerprint, gitops.DescribeSigner(s).Fingerprint)
		})
	}
}

func TestLoadSignerRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := gitops.LoadSigner(filepath.Join(dir, "absent"), nil)
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	require.NoError(t, err)
	file := filepath.Join(dir, "key")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o644))
	_, err = gitops.LoadSigner(file, nil)
	require.Equal(t, fault.Denied, fault.CodeOf(err), "readable by others")
	require.NoError(t, os.Chmod(file, 0o600))
	_, err = gitops.LoadSigner(file, nil)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte("not a key"), 0o600))
	_, err = gitops.LoadSigner(file, nil)
	require.Equal(t, fault.InvalidInput, fault.CodeOf(err))
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	s, other, msg := newEd25519(t), newEd25519(t), []byte("m")
	sig, err := gitops.Sign(s, ns, msg)
	require.NoError(t, err)
	a := allow(t, "", s)
	cases := map[string]struct {
		allowed *gitops.AllowedSigners
		ns      string
		msg     []byte
		sig     []byte
	}{
		"other message":      {a, ns, []byte("n"), sig},
		"other namespace":    {a, "git", msg, sig},
		"nobody allowed":     {&gitops.AllowedSigners{}, ns, msg, sig},
		"other key allowed":  {allow(t, "", other), ns, msg, sig},
		"namespace of key":   {allow(t, `namespaces="git,file"`, s), ns, msg, sig},
		"not yet valid":      {allow(t, `valid-after="20270101Z"`, s), ns, msg, sig},
		"expired":            {allow(t, `valid-before="20261123095959Z"`, s), ns, msg, sig},
		"touch on plain key": {allow(t, "touch-required", s), ns, msg, sig},
		"empty":              {a, ns, msg, nil},
		"bytes before":       {a, ns, msg, append([]byte("x\n"), sig...)},
		"bytes after":        {a, ns, msg, append(bytes.Clone(sig), 'x')},
		"two signatures":     {a, ns, msg, append(bytes.Clone(sig), sig...)},
		"wrong armor":        {a, ns, msg, bytes.ReplaceAll(sig, []byte("SSH SIGNATURE"), []byte("PGP SIGNATURE"))},
		"other version":      {a, ns, msg, rewrap(t, sig, func(b []byte) []byte { b[9] = 2; return b })},
		"other magic":        {a, ns, msg, rewrap(t, sig, func(b []byte) []byte { b[0] = 'X'; return b })},
		"tail in blob":       {a, ns, msg, rewrap(t, sig, func(b []byte) []byte { return append(b, 0) })},
		"cut":                {a, ns, msg, rewrap(t, sig, func(b []byte) []byte { return b[:len(b)-3] })},
		"bit":                {a, ns, msg, rewrap(t, sig, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })},
	}
	for name, c := range cases {
		_, err := gitops.VerifySignature(c.allowed, c.ns, c.msg, c.sig, when())
		f, ok := fault.As(err)
		require.True(t, ok, name)
		require.Equal(t, fault.Denied, f.Code, name)
		require.Equal(t, gitops.RuleApproved, f.Rule, name)
	}
	for _, options := range []string{"", `valid-after="20261123Z",valid-before="202611231000Z"`, `namespaces="sotaloop-*"`, `namespaces="x,sotaloop-approva?",valid-before="20270101Z"`, `namespaces="*,!git"`} {
		_, err := gitops.VerifySignature(allow(t, options, other, s), ns, msg, sig, when())
		require.NoError(t, err, options)
	}
	twice, err := gitops.ParseAllowedSigners([]byte(allowText(`valid-before="20200101Z"`, s) + strings.Replace(allowText("", s), "eve@x", "new@x", 1)))
	require.NoError(t, err)
	got, err := gitops.VerifySignature(twice, ns, msg, sig, when())
	require.NoError(t, err)
	require.Equal(t, "new@x", got.Principal, "an expired line does not hide a valid one")
}

// rewrap changes the bytes inside the armor.
func rewrap(t testing.TB, sig []byte, change func([]byte) []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(sig)
	require.NotNil(t, block)
	block.Bytes = change(block.Bytes)
	return pem.EncodeToMemory(block)
}

// A security key has to be touched, unless its line says that it need not be; then the signature says that nobody did.
func TestPresence(t *testing.T) {
	t.Parallel()
	msg := []byte("m")
	for _, make := range []func(testing.TB, byte) ssh.Signer{token25519, tokenECDSA} {
		for flags, want := range map[byte][2]bool{0: {}, 1: {true, false}, 5: {true, true}} {
			s := make(t, flags)
			sig, err := gitops.Sign(s, ns, msg)
			require.NoError(t, err)
			got, err := gitops.VerifySignature(allow(t, "no-touch-required", s), ns, msg, sig, when())
			require.NoError(t, err)
			require.Equal(t, want, [2]bool{got.UserPresent, got.UserVerified})
			for options, holds := range map[string]bool{"": want[0], "touch-required": want[0], "verify-required": want[1], "no-touch-required,verify-required": want[1]} {
				_, err = gitops.VerifySignature(allow(t, options, s), ns, msg, sig, when())
				require.Equal(t, holds, err == nil, "%q with flags %d: %v", options, flags, err)
			}
			_, err = gitops.VerifySignature(allow(t, "no-touch-required", s), ns, []byte("n"), sig, when())
			require.Error(t, err)

			forged := rewrap(t, sig, func(b []byte) []byte { b[len(b)-5] ^= 1; return b }) // the presence flag
			_, err = gitops.VerifySignature(allow(t, "no-touch-required", s), ns, msg, forged, when())
			require.Error(t, err, "flags are signed")
		}
	}
}

// sha1Signer is an RSA key that can only do ssh-rsa (SHA-1), or pretends to.
type sha1Signer struct{ ssh.AlgorithmSigner }

func (s sha1Signer) SignWithAlgorithm(r io.Reader, data []byte, _ string) (*ssh.Signature, error) {
	return s.AlgorithmSigner.SignWithAlgorithm(r, data, ssh.KeyAlgoRSA)
}

func TestWeakKeysAreRefused(t *testing.T) {
	t.Parallel()
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	s := sha1Signer{plain(t, long).(ssh.AlgorithmSigner)}
	sig, err := gitops.Sign(s, ns, nil)
	require.NoError(t, err)
	_, err = gitops.VerifySignature(allow(t, "", s), ns, nil, sig, when())
	require.ErrorContains(t, err, "SHA-2")
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	_, err = gitops.ParseAllowedSigners([]byte(allowText("", plain(t, short))))
	require.ErrorContains(t, err, "2048")
}

func TestAllowedSignersRefuses(t *testing.T) {
	t.Parallel()
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(newEd25519(t).PublicKey())))
	blob := strings.Fields(key)[1]
	dsa := base64.StdEncoding.EncodeToString(ssh.Marshal(struct{ T, P string }{"ssh-dss", "x"}))
	for line, says := range map[string]string{
		"eve":                                          "no key",
		"eve " + strings.Fields(key)[0]:                "read key",
		"eve ssh-ed25519 !!!":                          "base64",
		"eve ssh-rsa " + blob:                          "key says",
		"eve ssh-dss " + dsa:                           "read key",
		"eve, " + key:                                  "empty",
		"eve cert-authority " + key:                    "cert-authority",
		"eve CERT-Authority " + key:                    "cert-authority",
		"eve namespaces=\"\" " + key:                   "empty",
		"eve,! " + key:                                 "empty",
		"eve namespaces=git " + key:                    "double quotes",
		"eve namespaces=\"a\",namespaces=\"b\" " + key: "twice",
		"eve namespaces=\"a\" valid-before=\"20270101Z\" " + key:          "commas between",
		"eve valid-after=\"20270101Z\",valid-before=\"20260101Z\" " + key: "not after",
		"eve no-touch-required=yes " + key:                                "no value",
		"eve valid-before=\"20261123\" " + key:                            "UTC",
		"eve valid-before=\"20269923Z\" " + key:                           "UTC",
		"eve valid-after=\"soon\" " + key:                                 "UTC",
		"eve touch-required=no " + key:                                    "no value",
		"eve namespaces=\"x " + key:                                       "quote",
		"eve frobnicate " + key:                                           "unknown",
	} {
		_, err := gitops.ParseAllowedSigners([]byte("# head\n\n" + line + "\n"))
		f, ok := fault.As(err)
		require.True(t, ok, line)
		require.Equal(t, "line 3", f.Field, line)
		require.Contains(t, f.Error(), says, line)
	}
	a, err := gitops.ParseAllowedSigners([]byte("\ufeff"[:0] + "# only a comment\r\n\r\n  \t\n"))
	require.NoError(t, err)
	require.Zero(t, a.Len())
	a, err = gitops.ParseAllowedSigners([]byte("eve\tnamespaces=\"a b,c\",touch-required " + key + " it's \"mine\r\n"))
	require.NoError(t, err)
	require.Equal(t, 1, a.Len())
}

func TestAgent(t *testing.T) {
	t.Parallel()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	ring := agent.NewKeyring()
	require.NoError(t, ring.Add(agent.AddedKey{PrivateKey: key}))
	require.NoError(t, ring.Add(agent.AddedKey{PrivateKey: long}))
	socket := hoststest.ServeAgent(t, ring)
	a, err := gitops.AgentSigners(t.Context(), socket)
	require.NoError(t, err)
	signers, err := a.Signers()
	require.NoError(t, err)
	require.Len(t, signers, 2)
	for _, s := range signers {
		sig, err := gitops.Sign(s, ns, []byte("m"))
		require.NoError(t, err)
		_, err = gitops.VerifySignature(allow(t, "", s), ns, []byte("m"), sig, time.Now())
		require.NoError(t, err)
	}
	require.NoError(t, a.Close())
	_, err = gitops.AgentSigners(t.Context(), socket+"x")
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}
