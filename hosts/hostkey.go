package hosts

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// KeyProblem says why a host key was not accepted.
type KeyProblem string

// The problems of a host key.
const (
	KeyUnknown   KeyProblem = "unknown"   // no key of this host, or none of this type, is known
	KeyChanged   KeyProblem = "changed"   // a key of the same type is known and differs
	KeyRevoked   KeyProblem = "revoked"   // known_hosts marks the key @revoked
	KeyUnusable  KeyProblem = "unusable"  // known, but excluded by the configuration
	KeyUnoffered KeyProblem = "unoffered" // the host has no key of the types that are known
)

// HostKeyError is the cause of a [fault.HostKey].
type HostKeyError struct {
	Problem     KeyProblem
	Name        string   // the host as known_hosts spells it
	Type        string   // of the key shown, empty where none was
	Fingerprint string   // SHA256:… of the key shown
	Known       []string // file:line of the keys that are known
	Cause       error
}

// Error says the problem in one clause.
func (e *HostKeyError) Error() string {
	switch e.Problem {
	case KeyUnoffered:
		return fmt.Sprintf("%s offers no host key of a known type", e.Name)
	case KeyUnusable:
		return fmt.Sprintf("%s key %s of %s: %v", e.Type, e.Fingerprint, e.Name, e.Cause)
	}
	return fmt.Sprintf("%s key %s of %s is %s", e.Type, e.Fingerprint, e.Name, e.Problem)
}

// Unwrap gives the cause.
func (e *HostKeyError) Unwrap() error { return e.Cause }

// hostKeys checks the keys of one target.
type hostKeys struct {
	target target
	db     *knownhosts.HostKeyDB
}

// newHostKeys reads the known_hosts files that exist.
func newHostKeys(t target) (*hostKeys, error) {
	var files []string
	for _, file := range t.knownHosts {
		if _, err := os.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	db, err := knownhosts.NewDB(files...)
	if err != nil {
		return nil, fault.Wrap(fault.HostKey, err, "host %q: known_hosts cannot be read", t.alias).
			Hint("correct or remove the line it names")
	}
	return &hostKeys{t, db}, nil
}

// algorithms are those to offer to the host.
func (k *hostKeys) algorithms() ([]string, error) {
	known := k.db.HostKeyAlgorithms(k.target.keyName())
	offer := k.target.policy.offer(known)
	if len(offer) == 0 {
		return nil, k.fault(&HostKeyError{Problem: KeyUnoffered, Name: knownhosts.Normalize(k.target.keyName()),
			Cause: fmt.Errorf("known_hosts has %s, HostKeyAlgorithms excludes them", strings.Join(known, ", "))})
	}
	return offer, nil
}

// check is the callback of the handshake; it gives a *HostKeyError.
func (k *hostKeys) check(name string, remote net.Addr, key ssh.PublicKey) error {
	e := &HostKeyError{Name: knownhosts.Normalize(name), Type: key.Type(), Fingerprint: ssh.FingerprintSHA256(key)}
	err := k.db.HostKeyCallback()(name, remote, key)
	if err == nil {
		if e.Cause = k.target.policy.check(key); e.Cause != nil {
			e.Problem = KeyUnusable
			return e
		}
		return nil
	}
	e.Problem = KeyUnknown
	var revoked *xknownhosts.RevokedError
	var mismatch *xknownhosts.KeyError
	switch {
	case errors.As(err, &revoked):
		e.Problem, e.Known = KeyRevoked, []string{knownPlace(revoked.Revoked)}
	case errors.As(err, &mismatch):
		for _, want := range mismatch.Want {
			e.Known = append(e.Known, knownPlace(want))
			if want.Key.Type() == key.Type() {
				e.Problem = KeyChanged
			}
		}
		slices.Sort(e.Known)
	default: // a certificate that no known authority signed, or for another name or time
		e.Cause = err
	}
	return e
}

func knownPlace(k xknownhosts.KnownKey) string { return fmt.Sprintf("%s:%d", k.Filename, k.Line) }

// fault says what to do about e. Nothing here ever writes to known_hosts.
func (k *hostKeys) fault(e *HostKeyError) *fault.Error {
	f := fault.Wrap(fault.HostKey, e, "host %q: host key not accepted", k.target.alias).At("ssh", e.Fingerprint)
	places := strings.Join(e.Known, ", ")
	switch e.Problem {
	case KeyUnknown:
		return f.Hint("run `ssh %s` once in a terminal and accept the key only if its owner confirms %s %s",
			k.target.alias, e.Type, e.Fingerprint)
	case KeyChanged:
		return f.ByRule("host.changed").Hint("ask the host's owner whether its %s key was replaced by %s; if not, someone else may be answering",
			e.Type, e.Fingerprint).Hint("if it was, remove %s and run `ssh %s` once in a terminal", places, k.target.alias)
	case KeyRevoked:
		return f.Hint("do not use this host: its key is revoked at %s", places)
	case KeyUnoffered:
		return f.Hint("ask the host's owner for its present host keys and add one to %s", strings.Join(k.target.knownHosts, " or "))
	}
	return f.Hint("ask the host's owner for a stronger host key")
}
