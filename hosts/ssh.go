package hosts

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/internal/fault"
)

const (
	// maxSessions leaves room under OpenSSH's default of ten sessions a connection, for the session that kills another.
	maxSessions = 8
	// defaultKeepAlive is how often a connection is asked for a sign of life.
	defaultKeepAlive = 15 * time.Second
	// graceAfterKill is how long a killed command may take to be gone.
	graceAfterKill = 5 * time.Second
)

// SSH is a host reached by SSH. All calls share one connection; a broken one is replaced by the next call.
type SSH struct {
	name      string
	connector *connector
	keepAlive time.Duration
	log       *slog.Logger

	slots   chan struct{} // one token a session
	killing chan struct{} // one token for a session that kills
	dialing chan struct{} // one token for who connects

	life *lifetime

	mu     sync.Mutex
	client *ssh.Client
}

// NewSSH connects to dest, an alias of the client configuration or [user@]host[:port]; name is for messages.
func NewSSH(ctx context.Context, name, dest string, opt DialOptions) (*SSH, error) {
	log := opt.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	c, err := newConnector(dest, opt, log.With("host", name))
	if err != nil {
		return nil, err
	}
	s := &SSH{
		name: name, connector: c, keepAlive: opt.KeepAlive, log: log.With("host", name), slots: make(chan struct{}, maxSessions),
		killing: make(chan struct{}, 1), dialing: make(chan struct{}, 1),
		life: newLifetime(name),
	}
	if s.keepAlive == 0 {
		s.keepAlive = defaultKeepAlive
	}
	if _, err := s.connection(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// connection gives the live connection, making one where there is none.
func (s *SSH) connection(ctx context.Context) (*ssh.Client, error) {
	select {
	case s.dialing <- struct{}{}:
		defer func() { <-s.dialing }()
	case <-ctx.Done():
		return nil, interrupted(s.name, context.Cause(ctx))
	}
	s.mu.Lock()
	live := s.client
	s.mu.Unlock()
	if live != nil {
		return live, nil
	}
	client, err := s.connector.connect(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.client = client
	s.mu.Unlock()
	s.log.Debug("connected", "server", string(client.ServerVersion()))
	go s.watch(client)
	return client, nil
}

// watch asks for signs of life and forgets the connection when it has ended.
func (s *SSH) watch(client *ssh.Client) {
	ended := make(chan struct{})
	go s.pulse(client, ended)
	err := client.Wait()
	close(ended)
	s.drop(client)
	s.log.Debug("connection ended", "error", err)
}

// drop forgets a connection that is of no use.
func (s *SSH) drop(client *ssh.Client) {
	_ = client.Close()
	s.mu.Lock()
	if s.client == client {
		s.client = nil
	}
	s.mu.Unlock()
}

// pulse ends a connection that does not answer twice in a row. Any answer counts, a refusal too.
func (s *SSH) pulse(client *ssh.Client, ended <-chan struct{}) {
	tick := time.NewTicker(s.keepAlive)
	defer tick.Stop()
	answers := make(chan error, 1)
	waiting, missed := false, 0
	for {
		select {
		case <-ended:
			return
		case <-answers:
			waiting, missed = false, 0
		case <-tick.C:
			if waiting {
				if missed++; missed >= 2 {
					s.log.Warn("connection is silent, ending it", "after", 2*s.keepAlive)
					s.drop(client)
					return
				}
				continue
			}
			waiting = true
			go func() {
				_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
				answers <- err
			}()
		}
	}
}

// maxRoomWait bounds the waits for room for a session; the last of them is the longest.
const maxRoomWait = 800 * time.Millisecond

// session opens a session: over a new connection where the old one turns out to be dead, and after a moment where the
// server has not yet cleared away the session before. Nothing has begun on the host until it returns, so that these
// repetitions are safe.
func (s *SSH) session(ctx context.Context) (*ssh.Session, error) {
	lost := false
	for wait := 50 * time.Millisecond; ; {
		client, err := s.connection(ctx)
		if err != nil {
			return nil, err
		}
		session, err := openSession(ctx, client)
		var refused *ssh.OpenChannelError
		switch {
		case err == nil:
			return session, nil
		case ctx.Err() != nil:
			return nil, interrupted(s.name, context.Cause(ctx))
		case errors.As(err, &refused) && wait > maxRoomWait:
			return nil, fault.Wrap(fault.Busy, err, "host %q: no further session", s.name).
				Hint("raise MaxSessions in the host's sshd_config to %d or more, or wait for other work there", maxSessions+1)
		case refused != nil:
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			wait *= 2
		case lost:
			return nil, fault.Wrap(fault.HostUnreachable, err, "host %q: connection lost", s.name).Hint("call again")
		default:
			lost = true
			s.drop(client)
		}
	}
}

// openSession opens a session without outlasting ctx: to a host that went silent, opening blocks.
func openSession(ctx context.Context, client *ssh.Client) (*ssh.Session, error) {
	type opened struct {
		session *ssh.Session
		err     error
	}
	done := make(chan opened, 1)
	go func() {
		session, err := client.NewSession()
		done <- opened{session, err}
	}()
	select {
	case o := <-done:
		return o.session, o.err
	case <-ctx.Done():
		go func() {
			if o := <-done; o.err == nil {
				_ = o.session.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

// Close implements [Conn].
func (s *SSH) Close() error {
	s.life.end()
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	if client != nil {
		s.drop(client)
	}
	return nil
}
