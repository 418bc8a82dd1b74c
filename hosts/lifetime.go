package hosts

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// lifetime is that of a connection: it ends the calls in flight when the connection is closed, and waits for them.
type lifetime struct {
	host   string
	ctx    context.Context
	cancel context.CancelCauseFunc

	mu    sync.Mutex // orders begin and end
	calls sync.WaitGroup
}

func newLifetime(host string) *lifetime {
	l := &lifetime{host: host}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	return l
}

// begin registers a call; its context ends with ctx or with the lifetime. The call must end by the function given.
func (l *lifetime) begin(ctx context.Context) (context.Context, func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return nil, nil, ErrClosed
	}
	l.calls.Add(1)
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.ctx, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		l.calls.Done()
	}, nil
}

// end ends all calls and waits for them.
func (l *lifetime) end() {
	l.mu.Lock()
	l.cancel(ErrClosed)
	l.mu.Unlock()
	l.calls.Wait()
}

// stopped is the error of a call whose context has ended, nil while it lives; unconfirmed says why it is not known
// that its command has ended as well.
func (l *lifetime) stopped(ctx context.Context, unconfirmed error) error {
	cause := context.Cause(ctx)
	if cause == nil {
		return nil
	}
	isClosed := errors.Is(cause, ErrClosed)
	if unconfirmed != nil {
		cause = fmt.Errorf("%w (the command may still run on the host: %w)", cause, unconfirmed)
	}
	if isClosed {
		return cause
	}
	return interrupted(l.host, cause)
}

// interrupted says that the caller's context ended.
func interrupted(host string, cause error) *fault.Error {
	if errors.Is(cause, context.DeadlineExceeded) {
		return fault.Wrap(fault.Timeout, cause, "host %q: time is up", host)
	}
	return fault.Wrap(fault.Canceled, cause, "host %q: cancelled", host)
}
