//go:build !linux

package bench

import (
	"net"
	"time"
)

// poller is for systems with epoll; elsewhere every connection has a goroutine.
type poller struct{}

func newPoller(*clock, int) (*poller, error) { return nil, nil } //nolint:nilnil // no poller is no error here

func (*poller) add(*net.TCPConn, *conn, func()) error { return net.ErrClosed }

func (*poller) probe(*clock, time.Duration, func(Offset)) (func(), error) { return nil, net.ErrClosed }

func (*poller) close() {}
