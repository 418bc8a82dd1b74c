package hoststest

import (
	"net"
	"sync"
)

// gate is a connection that can go silent: it neither reads nor writes any more, until it is closed.
type gate struct {
	net.Conn
	frozen chan struct{}
	closed chan struct{}
	freeze func()
	once   sync.Once
}

func newGate(conn net.Conn) *gate {
	g := &gate{Conn: conn, frozen: make(chan struct{}), closed: make(chan struct{})}
	g.freeze = sync.OnceFunc(func() { close(g.frozen) })
	return g
}

// Read implements net.Conn.
func (g *gate) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	return n, g.wait(err)
}

// Write implements net.Conn.
func (g *gate) Write(p []byte) (int, error) {
	if err := g.wait(nil); err != nil {
		return 0, err
	}
	return g.Conn.Write(p)
}

// wait blocks a silent connection.
func (g *gate) wait(err error) error {
	select {
	case <-g.frozen:
		<-g.closed
		return net.ErrClosed
	default:
		return err
	}
}

// Close implements net.Conn.
func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Conn.Close()
}
