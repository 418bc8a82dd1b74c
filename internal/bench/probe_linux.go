package bench

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// pollProbe is a timer that a poll loop watches like a connection: how late the loop comes to it is how late it comes to
// a stream's bytes.
type pollProbe struct {
	loop  *pollLoop
	clk   *clock
	fd    int
	due   Offset
	every Offset
	late  func(Offset)
}

// probe starts a timer on the first loop, which carries as much as any other. The returned function ends it.
func (p *poller) probe(clk *clock, every time.Duration, late func(Offset)) (end func(), err error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, err
	}
	q := &pollProbe{loop: p.loops[0], clk: clk, fd: fd, due: clk.now() + Offset(every), every: Offset(every), late: late}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(clk.base + int64(q.due)), Interval: unix.NsecToTimespec(int64(every))}
	if err = unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &spec, nil); err == nil {
		err = q.loop.watch(fd, q)
	}
	if err != nil {
		q.loop.drop(fd)
		return nil, err
	}
	return func() { q.loop.drop(fd) }, nil
}

// ready notes the delay behind the oldest expiry that has not been seen.
func (q *pollProbe) ready(_ uint32, buf []byte) {
	n, err := unix.Read(q.fd, buf[:8])
	if err != nil || n != 8 {
		return
	}
	q.late(q.clk.now() - q.due)
	q.due += Offset(binary.NativeEndian.Uint64(buf[:8])) * q.every //nolint:gosec // a count of expiries
}
