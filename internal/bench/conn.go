package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"
)

// idleLimit is how long a connection that has served a request may rest before it is replaced. Python servers close
// theirs after five seconds (uvicorn's default).
const idleLimit = 3 * time.Second

// readBuffer holds a few dozen events; larger ones pass through it.
const readBuffer = 8 << 10

// conn is one HTTP/1.1 connection. The client speaks the protocol itself (over net/http's response reader), because it
// needs the instants of the socket: stamp is when the last read returned, before anything was parsed.
type conn struct {
	raw    net.Conn
	br     *bufio.Reader
	clk    *clock
	stamp  Offset // return of the last read
	got    int64  // bytes read since the last request was sent
	idle   Offset // when the last response was finished
	served int    // requests served
	work   chan *job
}

// Read reads from the socket and stamps the return.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.raw.Read(p)
	c.stamp = c.clk.now()
	c.got += int64(n)
	return n, err
}

// stale says whether the server may have closed the connection for resting too long.
func (c *conn) stale() bool {
	return c.served > 0 && time.Duration(c.clk.now()-c.idle) > idleLimit
}

// dialer opens the connections of one point and counts them.
type dialer struct {
	target  Target
	address string
	host    string
	tls     *tls.Config
	clk     *clock
	open    atomic.Int64
	most    atomic.Int64
	dials   atomic.Int64
	inLoad  atomic.Int64 // dials because no idle connection was left
	loading atomic.Bool
}

// newDialer prepares to connect to a validated target.
func newDialer(target Target, clk *clock) (*dialer, error) {
	u, err := url.Parse(target.BaseURL)
	if err != nil {
		return nil, err
	}
	d := &dialer{target: target, address: u.Host, host: u.Host, clk: clk}
	if u.Port() == "" {
		port := "80"
		if u.Scheme == "https" {
			port = "443"
		}
		d.address = net.JoinHostPort(u.Hostname(), port)
	}
	if u.Scheme == "https" {
		d.tls = &tls.Config{ServerName: u.Hostname(), NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	}
	return d, nil
}

// dial opens a connection.
func (d *dialer) dial(ctx context.Context) (*conn, error) {
	dial := d.target.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 30 * time.Second}).DialContext
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
	d.dials.Add(1)
	open := d.open.Add(1)
	for most := d.most.Load(); open > most && !d.most.CompareAndSwap(most, open); most = d.most.Load() {
	}
	c := &conn{raw: raw, clk: d.clk}
	c.br = bufio.NewReaderSize(c, readBuffer)
	return c, nil
}

// close closes a connection.
func (d *dialer) close(c *conn) {
	d.open.Add(-1)
	_ = c.raw.Close()
}

// socketLimit says whether an error is the client's own lack of descriptors, ports or buffers.
func socketLimit(err error) bool {
	for _, limit := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS} {
		if errors.Is(err, limit) {
			return true
		}
	}
	return false
}

// countLoadDial counts a connection that the load had to wait for.
func (d *dialer) countLoadDial() {
	if d.loading.Load() {
		d.inLoad.Add(1)
	}
}
