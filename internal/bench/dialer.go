package bench

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// dialer opens the connections of one point, counts them, and sees that they are closed.
type dialer struct {
	target  Target
	address string
	host    string
	tls     *tls.Config
	clk     *clock
	poll    *poller // nil where connections have goroutines of their own

	resolver resolver

	mu    sync.Mutex
	conns map[*conn]struct{}
	all   sync.WaitGroup // connections whose transport is not released

	most, dials, inLoad atomic.Int64 // inLoad: dials the load had to wait for
	loading             atomic.Bool
}

// dialTimeout bounds the opening of one connection.
const dialTimeout = 30 * time.Second

// newDialer prepares to connect to a validated target.
func newDialer(target Target, clk *clock, loops int) (*dialer, error) {
	u, err := url.Parse(target.BaseURL)
	if err != nil {
		return nil, err
	}
	d := &dialer{target: target, address: u.Host, host: u.Host, clk: clk, conns: map[*conn]struct{}{}}
	port := "80"
	if u.Scheme == "https" {
		port = "443"
		d.tls = &tls.Config{ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	}
	if u.Port() == "" {
		d.address = net.JoinHostPort(u.Hostname(), port)
	}
	d.resolver.lookup = target.Lookup
	if d.tls == nil && target.Dial == nil {
		d.poll, err = newPoller(clk, loops)
	}
	return d, err
}

// dial opens a connection; ended is its callback.
func (d *dialer) dial(ctx context.Context, ended func(*conn, *job, error)) (*conn, error) {
	dial := d.target.Dial
	if dial == nil {
		dial = d.resolved
	}
	raw, err := dial(ctx, "tcp", d.address)
	if err != nil {
		return nil, err
	}
	if d.tls != nil {
		secured := tls.Client(raw, d.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			return nil, err
		}
		raw = secured
	}
	c := &conn{clk: d.clk, ended: ended}
	d.enter(c)
	if err := d.attach(raw, c); err != nil {
		_ = raw.Close()
		d.leave(c)
		return nil, err
	}
	return c, nil
}

// resolved dials the addresses of the host in turn, resolving its name before the first time only: name servers are no
// part of what is measured.
func (d *dialer) resolved(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, stop := context.WithTimeout(ctx, dialTimeout)
	defer stop()
	addresses, err := d.resolver.addresses(ctx, address)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, at := range addresses {
		c, err := (&net.Dialer{}).DialContext(ctx, network, at)
		if err == nil {
			return c, nil
		}
		failed = err
	}
	return nil, failed
}

// attach gives a connection its transport and its reader.
func (d *dialer) attach(raw net.Conn, c *conn) error {
	released := func() { d.leave(c) }
	if tcp, ok := raw.(*net.TCPConn); ok && d.poll != nil {
		return d.poll.add(tcp, c, released)
	}
	r := reader{raw: raw}
	c.connect(r)
	go r.readAll(c, released)
	return nil
}

func (d *dialer) enter(c *conn) {
	d.all.Add(1)
	d.dials.Add(1)
	if d.loading.Load() {
		d.inLoad.Add(1)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns[c] = struct{}{}
	d.most.Store(max(d.most.Load(), int64(len(d.conns))))
}

func (d *dialer) leave(c *conn) {
	d.mu.Lock()
	delete(d.conns, c)
	d.mu.Unlock()
	d.all.Done()
}

// each calls f for every open connection.
func (d *dialer) each(f func(*conn)) {
	d.mu.Lock()
	open := make([]*conn, 0, len(d.conns))
	for c := range d.conns {
		open = append(open, c)
	}
	d.mu.Unlock()
	for _, c := range open {
		f(c)
	}
}

// close ends every connection and waits until the last is released.
func (d *dialer) close() {
	d.each(func(c *conn) { c.abandon(net.ErrClosed) })
	d.all.Wait()
	if d.poll != nil {
		d.poll.close()
	}
}
