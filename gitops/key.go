package gitops

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"

	"github.com/sotaloop/sotaloop/internal/fault"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// KeyInfo names a public key.
type KeyInfo struct {
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	SecurityKey bool   `json:"security_key"`
}

// DescribeSigner names a signer's key.
func DescribeSigner(s ssh.Signer) KeyInfo { return describe(s.PublicKey()) }

func describe(key ssh.PublicKey) KeyInfo {
	return KeyInfo{Type: key.Type(), Fingerprint: ssh.FingerprintSHA256(key), SecurityKey: isSecurityKey(key.Type())}
}

// LoadSigner reads a private key file. passphrase is asked only for an encrypted key; nil refuses those. A key file
// that others may read is refused, as ssh refuses it. Security keys sign through an agent only.
func LoadSigner(path string, passphrase func() ([]byte, error)) (ssh.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "read key").At("key", path)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Denied, "key file %q may be read by others (mode %04o)", path, info.Mode().Perm()).At("key", path).
			Hint("run chmod 600 %s", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fault.Wrap(fault.Denied, err, "read key").At("key", path)
	}
	signer, err := ssh.ParsePrivateKey(text)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) && passphrase != nil {
		secret, askErr := passphrase()
		if askErr != nil {
			return nil, fault.Wrap(fault.Denied, askErr, "unlock key").At("key", path)
		}
		signer, err = ssh.ParsePrivateKeyWithPassphrase(text, secret)
		clear(secret)
	}
	if err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "use key").At("key", path).
			Hint("name an OpenSSH private key; load a security key with ssh-add and sign through the agent")
	}
	if err := checkKey(signer.PublicKey()); err != nil {
		return nil, fault.Wrap(fault.InvalidInput, err, "use key").At("key", path)
	}
	return signer, nil
}

// Agent is a connection to an ssh-agent. Its signers work until Close.
type Agent struct {
	conn   net.Conn
	client agent.ExtendedAgent
}

// AgentSigners connects to the agent at a Unix socket.
func AgentSigners(ctx context.Context, socket string) (*Agent, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "reach ssh-agent").At("socket", socket)
	}
	return &Agent{conn: conn, client: agent.NewClient(conn)}, nil
}

// Signers gives the agent's keys of the kinds that may approve. Certificates and other kinds are left out.
func (a *Agent) Signers() ([]ssh.Signer, error) {
	all, err := a.client.Signers()
	if err != nil {
		return nil, fault.Wrap(fault.Denied, err, "list the agent's keys")
	}
	usable := []ssh.Signer{}
	for _, s := range all {
		if checkKey(s.PublicKey()) == nil {
			usable = append(usable, s)
		}
	}
	return usable, nil
}

// Close ends the connection.
func (a *Agent) Close() error { return a.conn.Close() }
