package gitops_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/gitops"
)

const inToto = "application/vnd.in-toto+json"

func sealKey(t *testing.T, seed byte) (ssh.Signer, ed25519.PublicKey) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	return signer, key.Public().(ed25519.PublicKey)
}

func signersFile(t *testing.T, namespace string, signers ...ssh.Signer) *gitops.AllowedSigners {
	t.Helper()
	var b bytes.Buffer
	for i, s := range signers {
		fmt.Fprintf(&b, "signer-%d namespaces=%q %s", i, namespace, ssh.MarshalAuthorizedKey(s.PublicKey()))
	}
	a, err := gitops.ParseAllowedSigners(b.Bytes())
	require.NoError(t, err)
	return a
}

// TestAnEnvelopeIsDSSE checks the signature with nothing but Ed25519 over the encoding that DSSE's protocol document
// spells out.
func TestAnEnvelopeIsDSSE(t *testing.T) {
	t.Parallel()
	signer, public := sealKey(t, 7)
	payload := []byte("{\"a\": \"ü\"}\n")
	raw, err := gitops.SignEnvelope(t.Context(), signer, inToto, payload)
	require.NoError(t, err)
	var e struct {
		PayloadType, Payload string
		Signatures           []struct{ KeyID, Sig string }
	}
	require.NoError(t, json.Unmarshal(raw, &e))
	body, err := base64.StdEncoding.DecodeString(e.Payload)
	require.NoError(t, err)
	require.Equal(t, payload, body)
	sig, err := base64.StdEncoding.DecodeString(e.Signatures[0].Sig)
	require.NoError(t, err)
	require.True(t, ed25519.Verify(public, fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(inToto), inToto, len(payload), payload), sig))

	parsed, err := gitops.ParseEnvelope(raw)
	require.NoError(t, err)
	require.Equal(t, []string{ssh.FingerprintSHA256(signer.PublicKey())}, parsed.Keys)
	other, _ := sealKey(t, 8)
	got, err := parsed.Verify(t.Context(), signersFile(t, gitops.NamespaceSeal, other, signer, signer), gitops.NamespaceSeal, time.Now())
	require.NoError(t, err)
	require.Equal(t, "signer-1", got.Principal)
}

func TestEnvelopesOfOthersDoNotVerify(t *testing.T) {
	t.Parallel()
	signer, _ := sealKey(t, 7)
	other, _ := sealKey(t, 8)
	raw, err := gitops.SignEnvelope(t.Context(), signer, inToto, []byte("{}"))
	require.NoError(t, err)
	verify := func(raw []byte, a *gitops.AllowedSigners) error {
		e, err := gitops.ParseEnvelope(raw)
		if err != nil {
			return err
		}
		_, err = e.Verify(t.Context(), a, gitops.NamespaceSeal, time.Now())
		return err
	}
	own := signersFile(t, gitops.NamespaceSeal, signer)
	require.NoError(t, verify(raw, own))
	require.ErrorContains(t, verify(raw, signersFile(t, gitops.NamespaceSeal, other)), "no listed key signed")
	require.ErrorContains(t, verify(raw, signersFile(t, gitops.NamespaceApproval, signer)), "may not sign")
	require.ErrorContains(t, verify(raw, signersFile(t, gitops.NamespaceSeal)), "no Ed25519 key")
	for name, broken := range map[string][]byte{
		"another type":     bytes.Replace(raw, []byte("in-toto"), []byte("other"), 1),
		"another spelling": bytes.Replace(raw, []byte(`"e30="`), []byte(`"e31="`), 1),
		"another payload":  bytes.Replace(raw, []byte(`"e30="`), []byte(`"e3s="`), 1),
		"no signature":     []byte(`{"payloadType":"x","payload":"e30=","signatures":[]}`),
		"a field more":     bytes.Replace(raw, []byte(`{"payloadType"`), []byte(`{"x":1,"payloadType"`), 1),
		"a field twice":    bytes.Replace(raw, []byte(`{"payloadType"`), []byte(`{"payload":"e30=","payloadType"`), 1),
		"nothing":          nil,
	} {
		require.NotEqual(t, string(raw), string(broken))
		require.Error(t, verify(broken, own), name)
	}
}

func TestOtherKindsOfKeysDoNotSeal(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	_, err = gitops.SignEnvelope(t.Context(), signer, inToto, []byte("{}"))
	require.ErrorContains(t, err, "ecdsa")
}
