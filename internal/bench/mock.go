package bench

import (
	"bufio"
	"container/heap"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Mock is a completions server that generates nothing: every request gets max_tokens events on an absolute schedule.
// The client's certificate is measured against it, in a process of its own, and so are other clients. The text of an event
// is the instant of its sending on CLOCK_MONOTONIC and how late that was, both in nanoseconds: "instant/late ". That of
// a response's first event also has the instant at which the request's head had been read: "instant/late/received ". A
// client that keeps the outputs therefore has the truth of what it measured beside it.
//
// It answers POST /v1/completions with a stream, whatever the prompt is, and GET /v1/models; usage comes last, if
// stream_options ask for it.
type Mock struct {
	TTFT time.Duration // to the first event; phases spread by up to one ITL are added
	ITL  time.Duration // between events

	clk      *clock
	started  atomic.Int64
	emitters []*mockEmitter
}

// mockEmitter sends the events of some streams, on a thread of its own.
type mockEmitter struct {
	mock *Mock
	mu   sync.Mutex
	due  mockQueue
	wake chan struct{}
}

// mockStream is one response under way.
type mockStream struct {
	conn     net.Conn
	received Offset
	next     Offset // when the next event is due
	left     int    // events still to come
	in       int
	total    int
	usage    bool
	finish   chan struct{}
	buf      []byte
	place    int // in the queue
}

// mockQueue is a heap of streams by their next event.
type mockQueue []*mockStream

func (q mockQueue) Len() int           { return len(q) }
func (q mockQueue) Less(i, j int) bool { return q[i].next < q[j].next }
func (q mockQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push adds a stream.
func (q *mockQueue) Push(x any) {
	s := x.(*mockStream) //nolint:forcetypeassert // a heap of streams
	s.place = len(*q)
	*q = append(*q, s)
}

// Pop removes the last stream.
func (q *mockQueue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// Serve answers requests on l until ctx ends.
func (m *Mock) Serve(ctx context.Context, l net.Listener) error {
	m.clk = newClock()
	var all sync.WaitGroup
	for range mockThreads(runtime.NumCPU()) {
		e := &mockEmitter{mock: m, wake: make(chan struct{}, 1)}
		m.emitters = append(m.emitters, e)
		all.Go(func() { e.emit(ctx) })
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			all.Wait()
			return nil //nolint:nilerr // closing the listener is how serving ends
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go m.connection(ctx, c)
	}
}

// connection answers one request after another.
func (m *Mock) connection(ctx context.Context, c net.Conn) {
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	br := bufio.NewReader(c)
	for {
		request, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		received := m.clk.now()
		asked, err := readMockRequest(request)
		if answer := mockAnswer(request, asked, err); answer != "" {
			_, _ = io.WriteString(c, answer)
			continue
		}
		s := &mockStream{conn: c, left: asked.MaxTokens, total: asked.MaxTokens, in: asked.promptTokens(), usage: asked.StreamOptions.IncludeUsage,
			received: received, finish: make(chan struct{})}
		m.add(s)
		select {
		case <-s.finish:
		case <-ctx.Done():
			return
		}
	}
}

// add queues a stream. Golden-ratio phases spread the streams' events evenly, however they arrive.
func (m *Mock) add(s *mockStream) {
	const golden = 0.6180339887498949
	number := m.started.Add(1)
	turns := float64(number) * golden
	phase := (turns - float64(int(turns))) * float64(m.ITL)
	s.next = s.received + Offset(m.TTFT) + Offset(phase)
	m.emitters[number%int64(len(m.emitters))].add(s)
}

// add queues a stream.
func (m *mockEmitter) add(s *mockStream) {
	m.mu.Lock()
	defer m.mu.Unlock()
	heap.Push(&m.due, s)
	if m.due[0] == s {
		select {
		case m.wake <- struct{}{}:
		default:
		}
	}
}

// emit sends what is due until ctx ends.
func (m *mockEmitter) emit(ctx context.Context) {
	clk := m.mock.clk
	p := newPacer(clk)
	for ctx.Err() == nil {
		m.mu.Lock()
		if len(m.due) == 0 {
			m.mu.Unlock()
			select {
			case <-m.wake:
			case <-ctx.Done():
			}
			continue
		}
		s := m.due[0]
		m.mu.Unlock()
		if left := time.Duration(s.next - clk.now()); left > mockPatience {
			p.until(ctx, clk.now()+Offset(mockPatience)) // an earlier stream may come in
			continue
		}
		if !p.until(ctx, s.next) {
			return
		}
		m.send(s)
	}
}

// mockPatience is how long the mock sleeps before it looks for an earlier stream. It is below any TTFT.
const mockPatience = time.Millisecond

// send writes a stream's next event and queues the one after it.
func (m *mockEmitter) send(s *mockStream) {
	now := m.mock.clk.now()
	s.left--
	s.buf = m.mock.event(s, now)
	_, err := s.conn.Write(s.buf)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil || s.left == 0 {
		heap.Remove(&m.due, s.place)
		close(s.finish)
		return
	}
	s.next += Offset(m.mock.ITL)
	heap.Fix(&m.due, s.place)
}

// event renders one event as an HTTP chunk: the head before the first one, finish, usage and the closing mark with the last.
func (m *Mock) event(s *mockStream, now Offset) []byte {
	text := strconv.FormatInt(m.clk.base+int64(now), 10) + "/" + strconv.FormatInt(int64(now-s.next), 10)
	if s.left == s.total-1 {
		text += "/" + strconv.FormatInt(m.clk.base+int64(s.received), 10)
	}
	finish, rest := "null", ""
	if s.left == 0 {
		finish, rest = `"length"`, s.closing()
	}
	body := `data: {"id":"cmpl-mock","object":"text_completion","created":1700000000,"model":"mock","choices":[{"index":0,"text":"` + text +
		` ","logprobs":null,"finish_reason":` + finish + "}],\"usage\":null}\n\n" + rest
	buf := s.buf[:0]
	if s.left == s.total-1 {
		buf = append(buf, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"...)
	}
	buf = strconv.AppendInt(buf, int64(len(body)), 16)
	buf = append(buf, "\r\n"...)
	buf = append(buf, body...)
	buf = append(buf, "\r\n"...)
	if s.left == 0 {
		buf = append(buf, "0\r\n\r\n"...)
	}
	return buf
}
