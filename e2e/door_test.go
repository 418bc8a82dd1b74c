//go:build linux

package e2e_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// door is a TCP relay in front of an SSH server: shut, nobody reaches the host and every connection is cut.
type door struct {
	t        *testing.T
	addr     string
	back     string
	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	passed   int // connections that were let in
}

func newDoor(t *testing.T, back string) *door {
	t.Helper()
	d := &door{t: t, back: back, conns: map[net.Conn]bool{}}
	for range 100 { // below the ephemeral ports: while the door is shut, no outgoing connection may take its port
		d.addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000)))
		if l, err := net.Listen("tcp", d.addr); err == nil { //nolint:noctx // closed below
			require.NoError(t, l.Close())
			break
		}
	}
	d.open()
	t.Cleanup(d.shut)
	return d
}

func (d *door) port() string     { _, p, _ := net.SplitHostPort(d.addr); return p }
func (d *door) backPort() string { _, p, _ := net.SplitHostPort(d.back); return p }

// open listens, at the same address as before. A process that the simulated host starts holds a copy of the shut listener
// between fork and exec, and the address is taken for that long.
func (d *door) open() {
	d.t.Helper()
	l, err := net.Listen("tcp", d.addr) //nolint:noctx // closed by shut
	for deadline := time.Now().Add(10 * time.Second); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		l, err = net.Listen("tcp", d.addr) //nolint:noctx // closed by shut
	}
	require.NoError(d.t, err)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.listener = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go d.relay(c)
		}
	}()
}

func (d *door) relay(front net.Conn) {
	back, err := net.Dial("tcp", d.back) //nolint:noctx // a loopback address that listens
	if err != nil {
		_ = front.Close()
		return
	}
	d.mu.Lock()
	d.conns[front], d.conns[back], d.passed = true, true, d.passed+1
	d.mu.Unlock()
	go func() { _, _ = io.Copy(back, front); _ = back.Close() }()
	_, _ = io.Copy(front, back)
	_ = front.Close()
	d.mu.Lock()
	delete(d.conns, front)
	delete(d.conns, back)
	d.mu.Unlock()
}

// shut cuts every connection and refuses new ones.
func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	_ = d.listener.Close()
	for c := range d.conns {
		_ = c.Close()
	}
}
