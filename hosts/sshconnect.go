package hosts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/user"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// maxHops bounds jumps through jumps; a configuration that jumps through itself ends here.
const maxHops = 8

// connector makes client connections to one destination, through its jump hosts.
type connector struct {
	dest      hop
	localUser string
	opt       DialOptions
	log       *slog.Logger
}

// newConnector checks what can be checked without the network.
func newConnector(dest string, opt DialOptions, log *slog.Logger) (*connector, error) {
	h, err := parseHop(dest)
	if err != nil {
		return nil, fault.New(fault.InvalidInput, "ssh %q %v", dest, err).At("ssh", dest)
	}
	c := &connector{dest: h, opt: opt, log: log}
	if u, err := user.Current(); err == nil {
		c.localUser = u.Username
	}
	return c, nil
}

// connect makes a connection to the destination.
func (c *connector) connect(ctx context.Context) (*ssh.Client, error) {
	return c.hop(ctx, c.dest, nil, 0)
}

// hop connects to one host. Jumps that are given replace those of its configuration: OpenSSH starts itself with -J
// for all but the last of a list, and only the first of a list looks at its own.
func (c *connector) hop(ctx context.Context, h hop, jumps []hop, depth int) (*ssh.Client, error) {
	if depth > maxHops {
		return nil, fault.New(fault.InvalidInput, "host %q: more than %d jumps, or a ProxyJump that leads back", h.host, maxHops).
			At("ProxyJump", h.String()).Hint("run `ssh -G %s` and follow proxyjump", h.host)
	}
	t, err := newTarget(h, c.opt, c.localUser)
	if err != nil {
		return nil, err
	}
	if len(jumps) == 0 {
		jumps = t.jumps
	}
	if len(jumps) == 0 {
		return c.handshake(ctx, t, nil)
	}
	last := len(jumps) - 1
	via, err := c.hop(ctx, jumps[last], jumps[:last], depth+1)
	if err != nil {
		return nil, err
	}
	client, err := c.handshake(ctx, t, via)
	if err != nil {
		_ = via.Close()
		return nil, err
	}
	go func() {
		_ = client.Wait()
		_ = via.Close()
	}()
	return client, nil
}

// handshake connects to a target directly or through a jump host, checks its key and authenticates.
func (c *connector) handshake(ctx context.Context, t target, via *ssh.Client) (*ssh.Client, error) {
	keys, err := newHostKeys(t)
	if err != nil {
		return nil, err
	}
	algorithms, err := keys.algorithms()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, t.timeout, errConnectTimeout)
	defer cancel()
	conn, err := dialTarget(ctx, t, via)
	if err != nil {
		return nil, dialFault(ctx, t, via != nil, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	ids := loadIdentities(t, c.log)
	defer ids.close()
	var refused *HostKeyError
	config := &ssh.ClientConfig{
		Config:            ssh.Config{Ciphers: t.policy.ciphers, MACs: t.policy.macs, KeyExchanges: t.policy.kex},
		User:              t.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(ids.signers...)},
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(name string, remote net.Addr, key ssh.PublicKey) error {
			err := keys.check(name, remote, key)
			if err == nil && c.opt.KeyAccepted != nil {
				c.opt.KeyAccepted(knownhosts.Normalize(name), key.Type(), ssh.FingerprintSHA256(key))
			}
			errors.As(err, &refused)
			return err
		},
	}
	sc, channels, requests, err := ssh.NewClientConn(conn, t.keyName(), config)
	if err == nil {
		return ssh.NewClient(sc, channels, requests), nil
	}
	_ = conn.Close()
	if f := keyFault(keys, refused, err); f != nil {
		return nil, f
	}
	if strings.Contains(err.Error(), "unable to authenticate") || strings.Contains(err.Error(), "Too many authentication failures") {
		return nil, authFault(t, ids, err)
	}
	return nil, dialFault(ctx, t, via != nil, err)
}

// keyFault says that a handshake failed over the host's key, nil where it failed over something else.
func keyFault(keys *hostKeys, refused *HostKeyError, err error) error {
	if refused != nil {
		return keys.fault(refused)
	}
	name := keys.target.keyName()
	var negotiation *ssh.AlgorithmNegotiationError
	if errors.As(err, &negotiation) && strings.Contains(negotiation.What, "host key") && len(keys.db.HostKeys(name)) > 0 {
		return keys.fault(&HostKeyError{Problem: KeyUnoffered, Name: name, Cause: err})
	}
	return nil
}

// dialTarget opens the byte stream to a target; the jump host resolves the name where there is one.
func dialTarget(ctx context.Context, t target, via *ssh.Client) (net.Conn, error) {
	if via != nil {
		return via.DialContext(ctx, "tcp", t.address())
	}
	var d net.Dialer
	return d.DialContext(ctx, t.network, t.address())
}

// errConnectTimeout tells our limit from the caller's.
var errConnectTimeout = errors.New("no answer within the connect timeout")

// dialFault says that a host could not be reached.
func dialFault(ctx context.Context, t target, jumped bool, err error) error {
	cause := context.Cause(ctx)
	if cause != nil && !errors.Is(cause, errConnectTimeout) {
		return interrupted(t.alias, cause)
	}
	if cause != nil {
		err = fmt.Errorf("%w of %v", cause, t.timeout)
	}
	f := fault.Wrap(fault.HostUnreachable, err, "host %q: cannot connect to %s", t.alias, t.address()).At("ssh", t.address())
	if jumped {
		return f.Hint("the jump hosts answered; check that they reach %s", t.address())
	}
	return f.Hint("run `ssh %s true` in a terminal; check that the host is up and the network or VPN is connected", t.alias)
}

// authFault says that the host is there and would not have us.
func authFault(t target, ids *identities, err error) error {
	shown := strings.Join(ids.tried, ", ")
	if shown == "" {
		shown = "none"
	}
	f := fault.Wrap(fault.HostUnreachable, err, "host %q: %s does not accept user %q with the keys shown (%s)", t.alias, t.address(), t.user, shown).
		At("ssh", t.user)
	for _, s := range ids.skipped {
		f.Hint("not shown: %s", s)
	}
	return f.Hint("load the key with `ssh-add`, or set User and IdentityFile for %q in the SSH configuration", t.alias)
}
