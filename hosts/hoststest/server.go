//go:build unix

package hoststest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// ServerOptions describe an SSH server. The zero value of a field is its default.
type ServerOptions struct {
	HostKeys    []ssh.Signer    // default: a new Ed25519 key
	Accept      []ssh.PublicKey // keys that may log in; none: nobody may
	Home        string          // folder of the account; default: a temporary one
	Shell       string          // login shell; default /bin/sh
	MaxSessions int             // sessions of one connection at a time; default 10, as OpenSSH
	Greeting    string          // shell text that runs before every command, as a start-up file does
}

// Server is an SSH server in this process, on the loopback. Commands run as this process's user in a session of their own,
// through a login shell, as under OpenSSH; it passes no signals on, like one before OpenSSH 7.9.
type Server struct {
	Addr string // host:port

	opt         ServerOptions
	listener    net.Listener
	connections atomic.Int64
	jumps       atomic.Int64

	mu   sync.Mutex
	live map[*gate]struct{}
}

// NewServer starts a server that ends with the test.
func NewServer(t testing.TB, opt ServerOptions) *Server {
	t.Helper()
	if opt.HostKeys == nil {
		opt.HostKeys = []ssh.Signer{NewKey(t)}
	}
	if opt.Home == "" {
		opt.Home = t.TempDir()
	}
	if opt.Shell == "" {
		opt.Shell = "/bin/sh"
	}
	if opt.MaxSessions == 0 {
		opt.MaxSessions = 10
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &Server{Addr: listener.Addr().String(), opt: opt, listener: listener, live: map[*gate]struct{}{}}
	go s.accept()
	t.Cleanup(func() {
		_ = listener.Close()
		s.Sever()
	})
	return s
}

// NewKey makes an Ed25519 key.
func NewKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	return signer
}

// Keys are the public host keys.
func (s *Server) Keys() []ssh.PublicKey {
	var keys []ssh.PublicKey
	for _, k := range s.opt.HostKeys {
		keys = append(keys, k.PublicKey())
	}
	return keys
}

// Connections counts those that authenticated.
func (s *Server) Connections() int { return int(s.connections.Load()) }

// Jumps counts those that were passed on to another host.
func (s *Server) Jumps() int { return int(s.jumps.Load()) }

// Sever ends all connections, as a network that goes away and says so.
func (s *Server) Sever() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for g := range s.live {
		_ = g.Close()
	}
}

// Freeze makes all connections silent, as a network that goes away without a word. New ones are answered.
func (s *Server) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for g := range s.live {
		g.freeze()
	}
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		g := newGate(conn)
		s.mu.Lock()
		s.live[g] = struct{}{}
		s.mu.Unlock()
		go s.serve(g)
	}
}

// serve speaks SSH on one connection to its end.
func (s *Server) serve(g *gate) {
	defer func() {
		_ = g.Close()
		s.mu.Lock()
		delete(s.live, g)
		s.mu.Unlock()
	}()
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		for _, k := range s.opt.Accept {
			if bytes.Equal(k.Marshal(), key.Marshal()) {
				return &ssh.Permissions{}, nil
			}
		}
		return nil, errors.New("this key may not log in")
	}}
	for _, k := range s.opt.HostKeys {
		config.AddHostKey(k)
	}
	conn, channels, requests, err := ssh.NewServerConn(g, config)
	if err != nil {
		return
	}
	s.connections.Add(1)
	go func() { _ = conn.Wait() }()
	go ssh.DiscardRequests(requests)
	var sessions atomic.Int64
	for c := range channels {
		switch c.ChannelType() {
		case "session":
			if sessions.Add(1) > int64(s.opt.MaxSessions) {
				sessions.Add(-1)
				_ = c.Reject(ssh.Prohibited, "open failed")
				continue
			}
			go func() {
				defer sessions.Add(-1)
				s.session(c)
			}()
		case "direct-tcpip":
			go s.forward(c)
		default:
			_ = c.Reject(ssh.UnknownChannelType, c.ChannelType())
		}
	}
}
