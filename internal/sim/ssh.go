package sim

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// sshServer is one listener; its connections and commands end with it.
type sshServer struct {
	layout   Layout
	listener net.Listener
	config   *ssh.ServerConfig
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

// ServeSSH starts an SSH server on a free port of 127.0.0.1 and writes ssh_config, known_hosts and id_ed25519
// into Layout.ClientDir, so that an ordinary client reaches the host as Layout.Alias. It serves until ctx ends or
// Close is called. Commands run as `/bin/sh -c` in a session of their own with HOME, PATH, LANG, USER, LOGNAME
// and SHELL only; one whose channel closes is ended unless it has left its session. Both keys are made once.
func (h *Host) ServeSSH(ctx context.Context) (addr string, err error) {
	if runtime.GOOS == "windows" {
		return "", errors.New("a simulated host needs a Unix shell")
	}
	hostKey, err := loadOrMakeKey(filepath.Join(h.layout.ClientDir, "host_ed25519"))
	if err != nil {
		return "", err
	}
	clientKey, err := loadOrMakeKey(h.layout.IdentityFile)
	if err != nil {
		return "", err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen for ssh: %w", err)
	}
	if err := h.layout.writeClientFiles(listener.Addr(), hostKey.PublicKey()); err != nil {
		_ = listener.Close()
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	s := &sshServer{layout: h.layout, listener: listener, cancel: cancel, config: serverConfig(hostKey, clientKey.PublicKey())}
	h.mu.Lock()
	h.servers = append(h.servers, s)
	h.mu.Unlock()
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	s.done.Go(func() { s.accept(ctx) })
	return listener.Addr().String(), nil
}

func serverConfig(hostKey ssh.Signer, client ssh.PublicKey) *ssh.ServerConfig {
	want := string(client.Marshal())
	c := &ssh.ServerConfig{
		ServerVersion: "SSH-2.0-sotaloop-simulated",
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if string(key.Marshal()) != want {
				return nil, errors.New("unknown key")
			}
			return &ssh.Permissions{}, nil
		},
	}
	c.AddHostKey(hostKey)
	return c
}

// close ends the listener, every connection and every command that is still in its session.
func (s *sshServer) close() {
	s.cancel()
	_ = s.listener.Close()
	s.done.Wait()
}

func (s *sshServer) accept(ctx context.Context) {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.done.Go(func() { s.serve(ctx, conn) })
	}
}

func (s *sshServer) serve(ctx context.Context, raw net.Conn) {
	conn, channels, requests, err := ssh.NewServerConn(raw, s.config)
	if err != nil {
		_ = raw.Close()
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	var open sync.WaitGroup
	// Keepalives are global requests that want any answer at all.
	open.Go(func() { ssh.DiscardRequests(requests) })
	for ch := range channels {
		switch ch.ChannelType() {
		case "session":
			open.Go(func() { s.session(ch) })
		case "direct-tcpip":
			open.Go(func() { forward(ctx, ch) })
		default:
			_ = ch.Reject(ssh.UnknownChannelType, "only session and direct-tcpip")
		}
	}
	open.Wait()
	_ = conn.Close()
}

// writeClientFiles makes the folder that a client is pointed at.
func (l Layout) writeClientFiles(addr net.Addr, hostKey ssh.PublicKey) error {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return err
	}
	config := fmt.Sprintf("# Written by sotaloop's simulated GPU host.\nHost %s\n  HostName %s\n  Port %s\n  User sim\n"+
		"  IdentityFile %s\n  IdentitiesOnly yes\n  UserKnownHostsFile %s\n  StrictHostKeyChecking yes\n",
		l.Alias, host, port, quoted(l.IdentityFile), quoted(l.KnownHosts))
	known := fmt.Sprintf("[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(hostKey))
	if err := replaceFile(l.SSHConfig, []byte(config), 0o600); err != nil {
		return fmt.Errorf("write ssh_config: %w", err)
	}
	if err := replaceFile(l.KnownHosts, []byte(known), 0o600); err != nil {
		return fmt.Errorf("write known_hosts: %w", err)
	}
	return nil
}

// quoted is a path as ssh_config wants it; quotes only where a space makes them necessary.
func quoted(path string) string {
	if strings.ContainsAny(path, " \t") {
		return `"` + path + `"`
	}
	return path
}

// loadOrMakeKey reads an OpenSSH private key, or makes one with mode 0600 where there is none.
func loadOrMakeKey(path string) (ssh.Signer, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		return ssh.ParsePrivateKey(b)
	}
	if !os.IsNotExist(err) {
		return nil, fmt.Errorf("read key: %w", err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(key, "simulated host")
	if err != nil {
		return nil, fmt.Errorf("render key: %w", err)
	}
	if err := replaceFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, fmt.Errorf("write key: %w", err)
	}
	return ssh.NewSignerFromKey(key)
}
