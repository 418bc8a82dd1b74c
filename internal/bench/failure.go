package bench

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
)

// failure is a request's failure with its class.
type failure struct {
	class ErrorClass
	err   error
}

func (f *failure) Error() string { return string(f.class) + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// fail makes a failure.
func fail(class ErrorClass, err error) *failure { return &failure{class: class, err: err} }

// inStep says whether a request that ended this way has left its connection between two responses.
func inStep(err error) bool {
	var f *failure
	return err == nil || errors.As(err, &f) && slices.Contains([]ErrorClass{ErrHTTPStatus, ErrRedirect, ErrEncoded, ErrWrongLength, ErrWrongUsage, ErrNoUsage, ErrNoToken}, f.class)
}

// settleRecord writes the outcome into the record.
func settleRecord(ctx context.Context, rec *Record, err error, clk *clock) {
	if err == nil {
		rec.Outcome = OutcomeOK
		return
	}
	var f *failure
	switch {
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		rec.Outcome, rec.ErrorClass = OutcomeUnfinished, ErrTimeout
	case ctx.Err() != nil:
		rec.Outcome, rec.ErrorClass = OutcomeUnfinished, ErrCanceled
	case errors.Is(err, os.ErrDeadlineExceeded):
		rec.Outcome, rec.ErrorClass = OutcomeUnfinished, ErrTimeout
	case errors.As(err, &f):
		rec.Outcome, rec.ErrorClass = OutcomeFailed, f.class
	default:
		rec.Outcome, rec.ErrorClass = OutcomeFailed, ErrReset
	}
	if !rec.End.Happened() && rec.Outcome == OutcomeFailed {
		rec.End = clk.now()
	}
	rec.Error = excerpt([]byte(err.Error()))
}

// keepAliveRace bounds the time within which a request finds out that its idle connection had been closed by the server:
// the kernel answers at once, so that it is a way there and back. A request that is lost later was lost by the server.
const keepAliveRace = time.Second

// lostIdle says whether an error looks like a connection that the server had closed while it rested, after a request has
// waited for so long.
func lostIdle(err error, waited time.Duration) bool {
	return waited < keepAliveRace && lost(err)
}

// lost says whether an error is the end of a connection.
func lost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// dialClass classifies an error of opening a connection.
func dialClass(err error) ErrorClass {
	var name *net.DNSError
	switch {
	case socketLimit(err):
		return ErrSocketLimit
	case errors.As(err, &name):
		return ErrResolve
	}
	return ErrConnect
}

// socketLimit says whether an error is the client's own lack of descriptors, ports or buffers.
func socketLimit(err error) bool {
	var shard *shardLimit
	if errors.As(err, &shard) {
		return true
	}
	for _, limit := range []error{syscall.EMFILE, syscall.ENFILE, syscall.EADDRNOTAVAIL, syscall.ENOBUFS} {
		if errors.Is(err, limit) {
			return true
		}
	}
	return false
}

// excerpt makes a short single line of a server's words.
func excerpt(raw []byte) string {
	const most = 400
	text := strings.ToValidUTF8(strings.Join(strings.Fields(string(raw[:min(len(raw), 4*most)])), " "), "?")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
