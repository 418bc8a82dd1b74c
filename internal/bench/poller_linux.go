package bench

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pollBuffer takes one read; a thousand events fit.
const pollBuffer = 256 << 10

// poller reads many connections on few threads, past the runtime's own poller. There, every event wakes a goroutine, and
// the scheduler's idle threads with it: measured on two shared cores, 72 µs of CPU an event at 3,200 events/s and 37 µs
// at 10,000. Here one thread waits, reads and parses.
type poller struct {
	loops []*pollLoop
	turn  atomic.Uint32
}

// pollLoop is one thread with an epoll instance.
type pollLoop struct {
	clk  *clock
	ep   int
	bell int // eventfd: the loop is to end
	raw  bool

	mu    sync.Mutex
	links map[int32]pollable
	done  sync.WaitGroup
}

// pollable is what a loop watches. ready is called on the loop's thread.
type pollable interface {
	ready(events uint32, buf []byte)
}

// pollLink is the transport of one connection. Its descriptor is closed by the loop only.
type pollLink struct {
	loop     *pollLoop
	fd       int
	conn     *conn
	released func()

	mu     sync.Mutex
	rest   []byte // still to be written
	closed bool
}

// newPoller starts the loops.
func newPoller(clk *clock, loops int) (*poller, error) {
	p := &poller{}
	for range loops {
		l, err := newPollLoop(clk)
		if err != nil {
			p.close()
			return nil, err
		}
		p.loops = append(p.loops, l)
	}
	return p, nil
}

func newPollLoop(clk *clock) (*pollLoop, error) {
	l := &pollLoop{clk: clk, links: map[int32]pollable{}, raw: slotsToSpare()}
	var err error
	if l.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if l.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		_ = unix.Close(l.ep)
		return nil, err
	}
	if err = l.control(unix.EPOLL_CTL_ADD, l.bell, unix.EPOLLIN); err != nil {
		_, _ = unix.Close(l.bell), unix.Close(l.ep)
		return nil, err
	}
	l.done.Go(l.run)
	return l, nil
}

func (l *pollLoop) control(op, fd int, events uint32) error {
	return unix.EpollCtl(l.ep, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}) //nolint:gosec // descriptors are small
}

// add takes over a connection: its descriptor is duplicated out of the runtime's poller, the original closed.
func (p *poller) add(tcp *net.TCPConn, c *conn, released func()) error {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	if ctlErr := raw.Control(func(own uintptr) { fd, err = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); ctlErr != nil || err != nil {
		return errors.Join(ctlErr, err)
	}
	_ = tcp.Close()
	l := p.loops[int(p.turn.Add(1))%len(p.loops)]
	link := &pollLink{loop: l, fd: fd, conn: c, released: released}
	c.connect(link)
	if err := l.watch(fd, link); err != nil {
		l.forget(link)
		return err
	}
	return nil
}

// watch adds a descriptor to the loop.
func (l *pollLoop) watch(fd int, p pollable) error {
	l.mu.Lock()
	l.links[int32(fd)] = p //nolint:gosec // descriptors are small
	l.mu.Unlock()
	return l.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLRDHUP)
}

// close ends the loops. No connection may be left.
func (p *poller) close() {
	for _, l := range p.loops {
		_, _ = unix.Write(l.bell, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		l.done.Wait()
		_, _ = unix.Close(l.bell), unix.Close(l.ep)
	}
}

// run waits, reads and passes on until the bell rings.
func (l *pollLoop) run() {
	events, buf := make([]unix.EpollEvent, 512), make([]byte, pollBuffer)
	for {
		for _, e := range events[:l.wait(events)] {
			if int(e.Fd) == l.bell {
				return
			}
			l.mu.Lock()
			watched := l.links[e.Fd]
			l.mu.Unlock()
			if watched != nil {
				watched.ready(e.Events, buf)
			}
		}
	}
}

// pollPatience bounds a raw wait, in milliseconds.
const pollPatience = 10

// wait waits for events. Where the runtime has slots to spare, the raw call keeps one: handing it back and taking it
// again wakes the runtime's monitor thread each time, which costs more than the event. The runtime stays in charge,
// since its preemption signal ends the wait, and the wait is short where signals are switched off.
func (l *pollLoop) wait(events []unix.EpollEvent) int {
	if !l.raw {
		n, err := unix.EpollWait(l.ep, events, -1)
		if err != nil {
			return 0
		}
		return n
	}
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(l.ep), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), pollPatience, 0, 0) //nolint:gosec // the kernel fills the slice
	if errno != 0 {
		return 0
	}
	return int(n) //nolint:gosec // at most len(events)
}

// ready writes and reads what the socket takes and has.
func (k *pollLink) ready(events uint32, buf []byte) {
	if events&unix.EPOLLOUT != 0 {
		k.flush()
	}
	if events&^unix.EPOLLOUT != 0 {
		k.read(buf)
	}
}

// read takes what the socket has.
func (k *pollLink) read(buf []byte) {
	n, err := unix.Read(k.fd, buf)
	stamp := k.loop.clk.now()
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return
	case err != nil:
		n = 0
	case n == 0:
		err = io.EOF
	}
	if !k.conn.input(buf[:n], err, stamp) {
		k.loop.forget(k)
		k.released()
	}
}

// forget closes a connection's descriptor.
func (l *pollLoop) forget(k *pollLink) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	l.drop(k.fd)
}

// drop stops watching a descriptor and closes it.
func (l *pollLoop) drop(fd int) {
	l.mu.Lock()
	delete(l.links, int32(fd)) //nolint:gosec // descriptors are small
	l.mu.Unlock()
	_ = unix.Close(fd)
}

// write sends p; the rest goes when the socket takes it.
func (k *pollLink) write(p []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return net.ErrClosed
	}
	n, err := k.push(p)
	if err != nil || n == len(p) {
		return err
	}
	k.rest = p[n:]
	return k.loop.control(unix.EPOLL_CTL_MOD, k.fd, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLOUT)
}

// push writes until the socket is full.
func (k *pollLink) push(p []byte) (n int, err error) {
	for n < len(p) {
		m, err := unix.Write(k.fd, p[n:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			return n, nil
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return n, err
		default:
			n += m
		}
	}
	return n, nil
}

// flush writes more of the rest.
func (k *pollLink) flush() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	n, err := k.push(k.rest)
	k.rest = k.rest[n:]
	if err != nil || len(k.rest) == 0 {
		k.rest = nil // after an error the reader sees the connection's end
		_ = k.loop.control(unix.EPOLL_CTL_MOD, k.fd, unix.EPOLLIN|unix.EPOLLRDHUP)
	}
}

// shut makes the loop see the connection's end.
func (k *pollLink) shut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.closed {
		_ = unix.Shutdown(k.fd, unix.SHUT_RDWR)
	}
}
