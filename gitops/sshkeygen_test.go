package gitops_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/gitops"
)

// rsaSigner signs with one RSA algorithm, whatever it is asked for.
type rsaSigner struct {
	ssh.AlgorithmSigner
	algorithm string
}

func (s rsaSigner) SignWithAlgorithm(r io.Reader, data []byte, _ string) (*ssh.Signature, error) {
	return s.AlgorithmSigner.SignWithAlgorithm(r, data, s.algorithm)
}

// judged is one signature as both verifiers are asked about it.
type judged struct {
	name      string
	allowed   string
	principal string // eve@x
	namespace string // ours
	msg       []byte // the one signed
	sig       []byte
	at        time.Time // when()
	revoked   string
	// stricter says why we refuse what ssh-keygen accepts; laxer the reverse. Empty: both say the same.
	stricter, laxer string
	holds           bool
}

func line(options string, s ssh.Signer) string { return allowText(options, s) }

// keyLine is a line of a .pub file.
func keyLine(s ssh.Signer) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey())))
}

// judgments are signatures of every kind of key, over everything that allowed_signers can say.
func judgments(t *testing.T) []judged {
	t.Helper()
	msg := []byte("approve\x00\nthis\r\n")
	sign := func(s ssh.Signer) []byte {
		sig, err := gitops.Sign(s, ns, msg)
		require.NoError(t, err)
		return sig
	}
	key, other := newEd25519(t), newEd25519(t)
	sig := sign(key)
	mine := fmt.Sprintf("namespaces=%q", ns)
	cases := []judged{
		{name: "good", allowed: line(mine, key), holds: true},
		{name: "no options", allowed: line("", key), holds: true},
		{name: "wrong namespace asked", allowed: line("", key), namespace: "git"},
		{name: "namespace of the line", allowed: line(`namespaces="git,file"`, key)},
		{name: "namespace pattern", allowed: line(`namespaces="git,sotaloop-*"`, key), holds: true},
		{name: "namespace pattern of one character", allowed: line(`namespaces="sotaloop-approva?"`, key), holds: true},
		{name: "namespace negated", allowed: line(`namespaces="*,!sotaloop-approval"`, key)},
		{name: "another namespace negated", allowed: line(`namespaces="*,!git"`, key), holds: true},
		{name: "option in capitals", allowed: line(`NAMESPACES="sotaloop-approval"`, key), holds: true},
		{name: "wrong principal", allowed: line("", key), principal: "bob@x"},
		{name: "principal in other case", allowed: line("", key), principal: "EVE@x"},
		{name: "principal in a list", allowed: "bob,eve@x,carol " + keyLine(key), holds: true},
		{name: "principal pattern", allowed: "*@x " + keyLine(key), holds: true},
		{name: "principal pattern of one character", allowed: "?ve@x " + keyLine(key), holds: true},
		{name: "principal pattern of others", allowed: "*@y " + keyLine(key)},
		{name: "everybody", allowed: "* " + keyLine(key), holds: true},
		{name: "principal negated", allowed: "*,!eve@x " + keyLine(key)},
		{name: "another principal negated", allowed: "!bob@x,* " + keyLine(key), holds: true},
		{name: "only negations", allowed: "!bob@x " + keyLine(key)},
		{name: "quoted principals", allowed: `"bob,eve@x" ` + keyLine(key), holds: true},
		{name: "quoted principal with a space", allowed: `"eve smith" ` + keyLine(key), principal: "eve smith", holds: true},
		{name: "leading spaces and tabs", allowed: " \teve@x\t" + mine + "\t" + keyLine(key), holds: true},
		{name: "carriage returns", allowed: "# head\r\n\r\neve@x " + mine + " " + keyLine(key) + "\r\n", holds: true},
		{name: "comment with quotes", allowed: "eve@x " + mine + " " + keyLine(key) + ` it's "mine`, holds: true},
		{name: "comment line that names the key", allowed: "# eve@x " + keyLine(key)},
		{name: "no file content"},
		{name: "no key", allowed: "eve@x"},
		{name: "another key", allowed: line("", other)},
		{name: "several keys", allowed: line("", other) + line(mine, key), holds: true},
		{name: "the key under two names", allowed: "bob@x " + keyLine(key) + "\n" + line(mine, key), holds: true},
		{name: "valid after", allowed: line(`valid-after="20261123Z"`, key), holds: true},
		{name: "not yet valid", allowed: line(`valid-after="20270101Z"`, key)},
		{name: "valid before", allowed: line(`valid-before="202701010000Z"`, key), holds: true},
		{name: "expired", allowed: line(`valid-before="20261101Z"`, key)},
		{name: "at the last second", allowed: line(`valid-before="20261123100000Z"`, key), at: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), holds: true},
		{name: "a second late", allowed: line(`valid-before="20261123100000Z"`, key), at: time.Date(2026, 11, 23, 10, 0, 1, 0, time.UTC)},
		{name: "at the first second", allowed: line(`valid-after="20261123100000Z"`, key), at: time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC), holds: true},
		{name: "a second early", allowed: line(`valid-after="20261123100000Z"`, key), at: time.Date(2026, 11, 23, 9, 59, 59, 0, time.UTC)},
		{name: "window", allowed: line(`valid-after="20261101Z",valid-before="20270101Z"`, key), holds: true},
		{name: "window turned round", allowed: line(`valid-after="20270101Z",valid-before="20261101Z"`, key)},
		{name: "an expired line and a valid one", allowed: line(`valid-before="20200101Z"`, key) + line("", key), holds: true},
		{name: "local time", allowed: line(`valid-before="20270101"`, key), stricter: "local time differs between machines"},
		{name: "rubbish for a time", allowed: line(`valid-before="soon"`, key)},
		{name: "a value without quotes", allowed: line(`namespaces=sotaloop-approval`, key)},
		{name: "options with a space between", allowed: line(mine+` valid-before="20270101Z"`, key)},
		{name: "an option twice", allowed: line(mine+","+mine, key)},
		{name: "an unknown option", allowed: line("frobnicate", key)},
		{name: "an unclosed quote", allowed: line(`namespaces="x`, key)},
		{name: "a bad line beside a good one", allowed: "bob@x frobnicate " + keyLine(other) + "\n" + line(mine, key), stricter: "a file that cannot be read whole is trusted in nothing"},
		{name: "a certificate authority", allowed: line("cert-authority", key)},
		{name: "revoked", allowed: line("", key), revoked: keyLine(key) + "\n"},
		{name: "revoked with a comment", allowed: line("", key), revoked: "# lost in May\n\n" + keyLine(key) + " eve's\n"},
		{name: "another key revoked", allowed: line("", key), revoked: keyLine(other) + "\n", holds: true},
		{name: "rubbish for revoked keys", allowed: line("", key), revoked: "who knows\n"},
		{name: "an empty list of revoked keys", allowed: line("", key), revoked: "\n", holds: true},
		{name: "other bytes", allowed: line("", key), msg: []byte("approve that")},
		{name: "no bytes", allowed: line("", key), msg: []byte{}},
		{name: "touch demanded of a plain key", allowed: line("touch-required", key)},
		{name: "no touch demanded of a plain key", allowed: line("no-touch-required", key), holds: true, laxer: "ssh-keygen knows the option in authorized_keys only"},
		{name: "empty signature", allowed: line("", key), sig: []byte{}},
		{name: "truncated", allowed: line("", key), sig: sig[:len(sig)/2]},
		{name: "inner signature cut", allowed: line("", key), sig: rewrap(t, sig, func(b []byte) []byte { return b[:len(b)-3] })},
		{name: "a bit flipped", allowed: line("", key), sig: rewrap(t, sig, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })},
		{name: "bytes behind the blob", allowed: line("", key), sig: rewrap(t, sig, func(b []byte) []byte { return append(b, 0) })},
		{name: "another magic", allowed: line("", key), sig: rewrap(t, sig, func(b []byte) []byte { b[0] = 'X'; return b })},
		{name: "another version", allowed: line("", key), sig: rewrap(t, sig, func(b []byte) []byte { b[9] = 2; return b })},
		{name: "text before the armor", allowed: line("", key), sig: append([]byte("hello\n"), sig...)},
		{name: "text behind the armor", allowed: line("", key), sig: append(bytes.Clone(sig), "hello\n"...), stricter: "nothing unsigned may travel in a signature"},
		{name: "another armor", allowed: line("", key), sig: bytes.ReplaceAll(sig, []byte("SSH SIGNATURE"), []byte("PGP SIGNATURE"))},
	}
	for i := range cases {
		if cases[i].sig == nil {
			cases[i].sig = sig
		}
	}
	cases = append(cases, kinds(t, sign)...)
	for i := range cases {
		if cases[i].msg == nil {
			cases[i].msg = msg
		}
	}
	return cases
}

// kinds are signatures of every kind of key; security keys in software, with and without touch.
func kinds(t *testing.T, sign func(ssh.Signer) []byte) []judged {
	t.Helper()
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	var cases []judged
	add := func(name string, s ssh.Signer, options string, holds bool, stricter, laxer string) {
		cases = append(cases, judged{name: name, allowed: line(options, s), sig: sign(s), holds: holds, stricter: stricter, laxer: laxer})
	}
	rsaWith := func(algorithm string) ssh.Signer { return rsaSigner{plain(t, long).(ssh.AlgorithmSigner), algorithm} }
	add("rsa-sha2-512", rsaWith(ssh.KeyAlgoRSASHA512), "", true, "", "")
	add("rsa-sha2-256", rsaWith(ssh.KeyAlgoRSASHA256), "", true, "", "")
	add("rsa with SHA-1", rsaWith(ssh.KeyAlgoRSA), "", false, "", "")
	add("rsa of 1024 bits", plain(t, short), "", false, "RSA keys have 2048 bits at least", "")
	for name, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		require.NoError(t, err)
		add("ecdsa "+name, plain(t, k), "", true, "", "")
	}
	const untouched, ours = "a security key has to be touched", "ssh-keygen knows the option in authorized_keys only"
	for name, make := range map[string]func(testing.TB, byte) ssh.Signer{"sk-ed25519": token25519, "sk-ecdsa": tokenECDSA} {
		add(name+" touched", make(t, 1), "", true, "", "")
		add(name+" touched and verified", make(t, 5), "", true, "", "")
		add(name+" not touched", make(t, 0), "", false, untouched, "")
		add(name+" not touched, PIN given", make(t, 4), "", false, untouched, "")
		add(name+" not touched, no-touch-required", make(t, 0), "no-touch-required", true, "", ours)
		add(name+" touched, verify-required", make(t, 1), "verify-required", false, "", "")
		add(name+" verified, verify-required", make(t, 5), "verify-required", true, "", ours)
		s := make(t, 1)
		cases = append(cases, judged{name: name + " other bytes", allowed: line("", s), sig: sign(s), msg: []byte("approve that")},
			judged{name: name + " presence set afterwards", allowed: line("", s), sig: rewrap(t, sign(tokenLike(s, 0)), func(b []byte) []byte { b[len(b)-5] |= 1; return b })})
	}
	return cases
}

// tokenLike is the same security key with other flags.
func tokenLike(s ssh.Signer, flags byte) ssh.Signer {
	like := s.(tokenSigner)
	like.flags = flags
	return like
}

// ours is our verdict on a case.
func (c judged) ours() error {
	allowed, err := gitops.ParseAllowedSigners([]byte(c.allowed))
	if err != nil {
		return err
	}
	trust := gitops.Trust{Allowed: allowed}
	if c.revoked != "" {
		if trust.Revoked, err = gitops.ParseRevokedKeys([]byte(c.revoked)); err != nil {
			return err
		}
	}
	_, err = trust.Verify(gitops.Claim{Namespace: c.namespace, Principal: c.principal, At: c.at}, c.msg, c.sig)
	return err
}

// theirs is ssh-keygen's.
func (c judged) theirs(t *testing.T) (string, error) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, text, 0o600))
		return path
	}
	args := []string{"-Y", "verify", "-f", write("allowed", []byte(c.allowed)), "-I", c.principal, "-n", c.namespace, "-s", write("sig", c.sig),
		"-O", "verify-time=" + c.at.UTC().Format("20060102150405Z")}
	if c.revoked != "" {
		args = append(args, "-r", write("revoked", []byte(c.revoked)))
	}
	return keygen(t, c.msg, args...)
}

// TestWeAgreeWithSSHKeygen asks both about every case. They differ only where the case says why.
func TestWeAgreeWithSSHKeygen(t *testing.T) {
	t.Parallel()
	cases := judgments(t)
	require.GreaterOrEqual(t, len(cases), 40)
	var names, differ []string
	for _, c := range cases {
		require.NotContains(t, names, c.name)
		names = append(names, c.name)
		if c.principal == "" {
			c.principal = "eve@x"
		}
		if c.namespace == "" {
			c.namespace = ns
		}
		if c.at.IsZero() {
			c.at = when()
		}
		require.True(t, c.stricter == "" || !c.holds, c.name)
		require.True(t, c.laxer == "" || c.holds, c.name)
		ours := c.ours()
		require.Equal(t, c.holds, ours == nil, "%s: we say %v", c.name, ours)
		out, theirs := c.theirs(t)
		want := c.holds
		if c.stricter != "" || c.laxer != "" {
			want, differ = !want, append(differ, c.name+": "+c.stricter+c.laxer)
		}
		require.Equal(t, want, theirs == nil, "%s: ssh-keygen says %v %s", c.name, theirs, out)
	}
	slices.Sort(differ)
	t.Logf("%d signatures judged alike, %d differently:\n%s", len(cases)-len(differ), len(differ), strings.Join(differ, "\n"))
}
