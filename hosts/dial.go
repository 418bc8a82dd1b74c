package hosts

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// ErrClosed is returned by every call on a Conn after its Close.
var ErrClosed = errors.New("connection to host is closed")

// DialOptions say where a client's SSH files are. The zero value of a field is its default.
type DialOptions struct {
	// SSHConfig are the client configuration files in order of precedence; a missing one is skipped.
	// Nil: ~/.ssh/config, then /etc/ssh/ssh_config. Empty and not nil: none.
	SSHConfig []string
	// KnownHosts replace the files that the configuration names.
	// Nil: UserKnownHostsFile and GlobalKnownHostsFile, else OpenSSH's defaults.
	KnownHosts []string
	// HomeDir is the home folder of the user on this machine ("~" in the files above and on a local host).
	HomeDir string
	// AgentSocket is the path of an ssh-agent's socket; empty is no agent. IdentityAgent overrides it.
	AgentSocket string
	// KeepAlive is how often a silent connection is asked for a sign of life; two missed answers end it.
	// Zero: 15 s.
	KeepAlive time.Duration
	// KeyAccepted is told the key of every host that proved who it is: its name as known_hosts spells it, the key's type and
	// SHA256 fingerprint. Jump hosts come first. It may be called while Dial runs, and again after a reconnection.
	KeyAccepted func(name, kind, fingerprint string)
	// Log gets what was skipped and retried. Nil: nothing is logged.
	Log *slog.Logger
}

// Dial connects to the host that entry e describes; name is its name in the inventory, for messages.
func Dial(ctx context.Context, name string, e HostEntry, opt DialOptions) (Conn, error) {
	if e.Local {
		l, err := NewLocal(name, opt.HomeDir)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
	s, err := NewSSH(ctx, name, e.SSH, opt)
	if err != nil {
		return nil, err
	}
	return s, nil
}
