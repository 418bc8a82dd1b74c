package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/policy"
)

// revokedFile lists keys that may approve no more.
const revokedFile = "revoked_keys"

// allowedSigners is who may approve.
func (h home) allowedSigners() (*gitops.AllowedSigners, error) {
	raw, err := h.approvers()
	if err != nil {
		return nil, err
	}
	return gitops.ParseAllowedSigners(raw)
}

// revokedBeside is the list that lies beside the approvers file.
func (h home) revokedBeside() string {
	return filepath.Join(filepath.Dir(h.file(policy.ApproversFile)), revokedFile)
}

// revoked reads the revoked keys as they are now: those beside the approvers file, and the user's, who may add to them.
func (h home) revoked() ([]byte, error) {
	var all []byte
	for _, path := range slices.Compact([]string{h.revokedBeside(), filepath.Join(h.config, revokedFile)}) {
		raw, err := policy.Self().ReadFile(path, "revoked keys")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		all = append(append(all, raw...), '\n')
	}
	return all, nil
}

// approversExposed says why this account could change who approves, "" where it could not.
func (h home) approversExposed() string {
	self := policy.Self()
	return cmp.Or(self.Exposed(h.file(policy.ApproversFile)), self.Exposed(h.revokedBeside()))
}

// sshConfigs are the client configurations of this account: its own, the system's, and this home's.
func (h home) sshConfigs() []string {
	own, _ := h.sshFiles()
	return append(own, filepath.Join(h.user, ".ssh", "config"), "/etc/ssh/ssh_config")
}

// agents are the sockets at which a person's ssh-agent is looked for: SSH_AUTH_SOCK, then what the SSH configuration names.
func (h home) agents() []string {
	named, _ := hosts.SSHKeyPlaces(h.sshConfigs(), h.user)
	return slices.DeleteFunc(append([]string{os.Getenv("SSH_AUTH_SOCK")}, named...), func(s string) bool { return s == "" })
}

// keyPlaces are where this account might find an approver's key: agents of its environment, of its SSH configuration and at the
// places where agents put their sockets; key files of ~/.ssh, of the SSH configuration and of this home.
func (h home) keyPlaces() gitops.Places {
	agents, files := hosts.SSHKeyPlaces(h.sshConfigs(), h.user)
	p := gitops.Places{
		Agents:  append(agents, os.Getenv("SSH_AUTH_SOCK"), filepath.Join(h.user, ".gnupg", "S.gpg-agent.ssh"), filepath.Join(h.user, ".1password", "agent.sock")),
		Folders: []string{filepath.Join(h.user, ".ssh"), h.config, h.state},
		Files:   files,
	}
	patterns := []string{filepath.Join(os.TempDir(), "ssh-*", "agent.*"), "/tmp/ssh-*/agent.*", filepath.Join(h.user, ".ssh", "agent", "*")}
	if run := os.Getenv("XDG_RUNTIME_DIR"); run != "" {
		for _, name := range []string{"ssh-agent*", "openssh_agent", "keyring/ssh", "gcr/ssh", "gnupg/S.gpg-agent.ssh"} {
			patterns = append(patterns, filepath.Join(run, filepath.FromSlash(name)))
		}
	}
	for _, pattern := range patterns {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		p.Agents = append(p.Agents, found...)
	}
	return p
}

// reachable says where this account can use a key, "" where it was not found. Paths below the home folder begin with ~.
func (h home) reachable(ctx context.Context, fingerprint string) string {
	return h.tilde(h.keyPlaces().Find(ctx, fingerprint))
}

func (h home) tilde(text string) string {
	if h.user == "" || h.user == "/" {
		return text
	}
	return strings.ReplaceAll(text, h.user+string(filepath.Separator), "~/")
}

// approversInReach lists approvers' keys that need no touch and that this account can use.
func (h home) approversInReach(ctx context.Context) ([]string, error) {
	allowed, err := h.allowedSigners()
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, k := range h.keyPlaces().Keys(ctx) {
		if names := allowed.Principals(k.Fingerprint); len(names) > 0 && !k.SecurityKey {
			out = append(out, fmt.Sprintf("%s of %s at %s", k.Fingerprint, strings.Join(names, ", "), h.tilde(k.Where)))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
