package hosts

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// identities are the keys that a target's user can show, and why others could not be used.
type identities struct {
	signers []ssh.Signer
	tried   []string // what is shown, for messages
	skipped []string // key files that could not be used, with the reason
	agent   net.Conn // open until the handshake is over; nil without an agent
}

// close ends the connection to the agent.
func (i *identities) close() {
	if i.agent != nil {
		_ = i.agent.Close()
	}
}

// loadIdentities collects keys in OpenSSH's order: configured ones that the agent holds, the agent's others (unless
// IdentitiesOnly), then key files. A server hangs up after a few wrong keys, so that order matters.
func loadIdentities(t target, log *slog.Logger) *identities {
	ids := &identities{}
	held := ids.fromAgent(t.agentSocket)
	var files []ssh.Signer
	var first, rest []ssh.Signer
	for _, file := range t.identities {
		public, signer, err := readIdentity(file)
		if err != nil && !os.IsNotExist(err) {
			ids.skipped = append(ids.skipped, fmt.Sprintf("%s: %v", file, err))
			log.Debug("ssh key file skipped", "file", file, "error", err)
		}
		if s := findSigner(held, public); s != nil {
			first = append(first, s)
		} else if signer != nil {
			files = append(files, signer)
		}
	}
	for _, s := range held {
		if !t.identitiesOnly && findSigner(first, s.PublicKey()) == nil {
			rest = append(rest, s)
		}
	}
	for _, s := range append(append(first, rest...), files...) {
		ids.add(s, t)
	}
	return ids
}

// add lists a signer, its certificates first.
func (i *identities) add(s ssh.Signer, t target) {
	candidates := t.certificates
	for _, file := range t.identities {
		candidates = append(candidates[:len(candidates):len(candidates)], file+"-cert.pub")
	}
	for _, file := range candidates {
		key := readPublic(file)
		if cert, ok := key.(*ssh.Certificate); ok && bytes.Equal(cert.Key.Marshal(), s.PublicKey().Marshal()) {
			if cs, err := ssh.NewCertSigner(cert, s); err == nil {
				i.signers, i.tried = append(i.signers, cs), append(i.tried, file)
			}
		}
	}
	i.signers = append(i.signers, s)
	i.tried = append(i.tried, s.PublicKey().Type()+" "+ssh.FingerprintSHA256(s.PublicKey()))
}

// fromAgent gives the keys of the agent at a socket. One that does not answer is a reason, not a failure: key files may do.
func (i *identities) fromAgent(socket string) []ssh.Signer {
	if socket == "" {
		return nil
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		i.skipped = append(i.skipped, fmt.Sprintf("agent: %v", err))
		return nil
	}
	i.agent = conn
	signers, err := agent.NewClient(conn).Signers()
	if err != nil {
		i.skipped = append(i.skipped, fmt.Sprintf("agent: %v", err))
	}
	return signers
}

// readIdentity reads a key file: a private key, or only a public one whose private half the agent holds.
func readIdentity(file string) (ssh.PublicKey, ssh.Signer, error) {
	public := readPublic(file + ".pub")
	data, err := os.ReadFile(file)
	if err != nil {
		return public, nil, err
	}
	if key, _, _, _, err := ssh.ParseAuthorizedKey(data); err == nil {
		return key, nil, nil
	}
	if info, err := os.Stat(file); err == nil && isExposed(info) {
		return public, nil, fmt.Errorf("others may read it (mode %04o)", info.Mode().Perm())
	}
	signer, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		if locked.PublicKey != nil {
			public = locked.PublicKey
		}
		return public, nil, errors.New("it has a passphrase and the agent does not hold it")
	}
	if err != nil {
		return public, nil, errors.New(strings.TrimPrefix(err.Error(), "ssh: "))
	}
	return signer.PublicKey(), signer, nil
}

// readPublic reads a public key or certificate; nil where there is none.
func readPublic(file string) ssh.PublicKey {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		return nil
	}
	return key
}

// findSigner finds the signer of a public key; nil where there is none.
func findSigner(signers []ssh.Signer, key ssh.PublicKey) ssh.Signer {
	if key == nil {
		return nil
	}
	for _, s := range signers {
		if bytes.Equal(s.PublicKey().Marshal(), key.Marshal()) {
			return s
		}
	}
	return nil
}
