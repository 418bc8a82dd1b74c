package gitops_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts/hoststest"
)

// keyFile writes a private key and gives its fingerprint; a passphrase locks it.
func keyFile(t *testing.T, path, passphrase string) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	s, err := ssh.NewSignerFromKey(key)
	require.NoError(t, err)
	return ssh.FingerprintSHA256(s.PublicKey())
}

func TestKeysWithinReach(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plainKey, locked := keyFile(t, filepath.Join(dir, "id"), ""), keyFile(t, filepath.Join(dir, "safe"), "open sesame")
	single := keyFile(t, filepath.Join(t.TempDir(), "elsewhere"), "")
	for name, text := range map[string]string{"known_hosts": "box ssh-ed25519 AAAA\n", "notes": "-----BEGIN OPENSSH PRIVATE KEY-----\nnonsense\n", "empty": ""} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	ring := agent.NewKeyring()
	_, loaded, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	require.NoError(t, ring.Add(agent.AddedKey{PrivateKey: loaded}))
	inAgent := ssh.FingerprintSHA256(plain(t, loaded).PublicKey())
	p := gitops.Places{Agents: []string{hoststest.ServeAgent(t, ring), filepath.Join(dir, "id"), filepath.Join(dir, "none"), ""}, Folders: []string{dir, filepath.Join(dir, "none")}, Patience: time.Minute}
	for fingerprint, where := range map[string]string{plainKey: "key file " + filepath.Join(dir, "id"), locked: "passphrase", inAgent: "ssh-agent "} {
		require.Contains(t, p.Find(t.Context(), fingerprint), where)
	}
	require.Empty(t, p.Find(t.Context(), single))
	require.Len(t, p.Keys(t.Context()), 3)
}

// A security key's handle names its key without being one.
func TestAHandleIsFound(t *testing.T) {
	t.Parallel()
	s := token25519(t, 1)
	blob := append([]byte("openssh-key-v1\x00"), ssh.Marshal(struct {
		Cipher, KDF, Options string
		N                    uint32
		Public, Private      string
	}{"none", "none", "", 1, string(s.PublicKey().Marshal()), "handle"})...)
	path := filepath.Join(t.TempDir(), "id_sk")
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: blob}), 0o600))
	keys := gitops.Places{Files: []string{path}}.Keys(t.Context())
	require.Len(t, keys, 1)
	require.True(t, keys[0].SecurityKey)
	require.Equal(t, ssh.FingerprintSHA256(s.PublicKey()), keys[0].Fingerprint)
}

// An agent that takes connections and says nothing holds a look up for a moment, not for ever, and may have any key: a stopped
// agent hides nothing.
func TestASilentAgentMayHaveAnyKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	elsewhere := keyFile(t, filepath.Join(dir, "id"), "")
	socket := hoststest.ServeAgent(t, nil)
	p := gitops.Places{Agents: []string{socket}, Patience: 100 * time.Millisecond}
	require.Empty(t, p.Keys(t.Context()))
	require.Equal(t, "ssh-agent "+socket+", which does not say which keys it has", p.Find(t.Context(), elsewhere))
	p.Folders = []string{dir}
	require.Equal(t, "key file "+filepath.Join(dir, "id"), p.Find(t.Context(), elsewhere), "what is found is told first")
}

// A socket that nobody listens at any more is no agent.
func TestADeadAgentHasNoKeys(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "ag")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	require.FileExists(t, socket)
	require.Empty(t, gitops.Places{Agents: []string{socket}}.Find(t.Context(), "SHA256:any"))
}

func TestReadCommit(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "checkout")
	base, err := gitops.Create(dir, map[string][]byte{"a.txt": []byte("a\n")}, "Import", when())
	require.NoError(t, err)
	repo, err := gitops.Open(dir)
	require.NoError(t, err)
	raw, err := repo.CommitObject(base)
	require.NoError(t, err)
	c, err := gitops.ReadCommit(raw)
	require.NoError(t, err)
	require.Equal(t, base, c.ID)
	require.Empty(t, c.Parents)
	require.Empty(t, c.Trailers)
	for message, want := range map[string]string{
		"s\n\nb\n\nKey: v\nOther: w\n": "v", "s\n\nKey: v\nKey: w\n": "", "Key: v\n": "", "s\n\nKey: v\nprose\n": "", "s\n\nKey: v\n\nprose: and more\n": "",
	} {
		head := raw[:len(raw)-len("Import\n")]
		c, err := gitops.ReadCommit(append(append([]byte{}, head...), message...))
		require.NoError(t, err)
		require.Equal(t, want, c.Trailer("Key"), "%q", message)
		require.NotEqual(t, base, c.ID)
	}
	for _, bad := range []string{"", "tree", "blob\n\nx", "parent x\n\n"} {
		_, err := gitops.ReadCommit([]byte(bad))
		require.Error(t, err, "%q", bad)
	}
}
