package bench

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// exchange sends one request on a connection and reads its response into the record.
type exchange struct {
	dialer  *dialer
	timeout time.Duration
	options receiveOptions
	until   time.Time // the point's deadline, zero without one
}

// failure is a request's failure with its class.
type failure struct {
	class ErrorClass
	err   error
	lost  bool // the connection must not carry another request
}

func (f *failure) Error() string { return string(f.class) + ": " + f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// fail makes a failure.
func fail(class ErrorClass, err error) *failure { return &failure{class: class, err: err} }

// send stamps and writes the request. It only fails with the connection.
func (x *exchange) send(c *conn, j *job) error {
	c.got = 0
	_ = c.raw.SetDeadline(x.limit())
	j.rec.Outcome = OutcomeUnfinished
	j.rec.Sent = c.clk.now()
	_, err := c.raw.Write(j.wire)
	return err
}

// limit is the instant at which a request sent now is given up.
func (x *exchange) limit() time.Time {
	limit := time.Now().Add(x.timeout)
	if !x.until.IsZero() && x.until.Before(limit) {
		return x.until
	}
	return limit
}

// finish reads the response to a request that was sent (sendErr is what sending said), sends it once more on a fresh
// connection if the idle one turned out to be closed, and closes the record. It gives the connection to use again, nil
// if it was lost.
func (x *exchange) finish(ctx context.Context, c *conn, j *job, sendErr error) *conn {
	stop := context.AfterFunc(ctx, func() { _ = c.raw.SetDeadline(time.Unix(1, 0)) })
	err := sendErr
	if err == nil {
		err = x.receive(c, j.rec)
	}
	stop()
	if err != nil && c.got == 0 && !j.rec.Retried && lostIdle(err) && ctx.Err() == nil {
		x.dialer.close(c)
		return x.again(ctx, j)
	}
	x.settle(ctx, j.rec, err, c.clk)
	if err != nil && !reusable(err) {
		x.dialer.close(c)
		return nil
	}
	c.served++
	c.idle = c.clk.now()
	return c
}

// again opens a connection and sends the request on it.
func (x *exchange) again(ctx context.Context, j *job) *conn {
	j.rec.Retried = true
	return x.fresh(ctx, j)
}

// fresh opens a connection, sends the request on it and finishes it.
func (x *exchange) fresh(ctx context.Context, j *job) *conn {
	c, err := x.dialer.dial(ctx)
	if err != nil {
		x.settle(ctx, j.rec, fail(dialClass(err), err), x.dialer.clk)
		return nil
	}
	return x.finish(ctx, c, j, x.send(c, j))
}

// receive reads status and body.
func (x *exchange) receive(c *conn, rec *Record) error {
	response, err := http.ReadResponse(c.br, &http.Request{Method: http.MethodPost})
	if err != nil {
		return x.lost(c, err)
	}
	rec.HTTPStatus = response.StatusCode
	if response.StatusCode != http.StatusOK {
		text, readErr := io.ReadAll(io.LimitReader(response.Body, 64<<10))
		rec.End = c.stamp
		f := fail(ErrHTTPStatus, errors.New(response.Status+": "+excerpt(text)))
		f.lost = readErr != nil || response.Close || len(text) == 64<<10
		return f
	}
	in := newReception(rec, c, x.options)
	if err := in.read(response.Body); err != nil {
		return err
	}
	rec.End = c.stamp
	if err := in.close(); err != nil {
		return err
	}
	if response.Close {
		return errNotReusable
	}
	return nil
}

// lost classifies an error of reading the response's head.
func (x *exchange) lost(c *conn, err error) error {
	if c.got == 0 {
		return fail(ErrReset, err)
	}
	return fail(ErrTruncated, err)
}

// errNotReusable says that the request succeeded and the connection must not carry another one.
var errNotReusable = errors.New("connection is to be closed")

// reusable says whether the connection is still in step after a failure: the response was read to its end.
func reusable(err error) bool {
	var f *failure
	return errors.As(err, &f) && !f.lost &&
		(f.class == ErrHTTPStatus || f.class == ErrWrongLength || f.class == ErrNoUsage || f.class == ErrNoToken)
}

// settle writes the outcome into the record.
func (x *exchange) settle(ctx context.Context, rec *Record, err error, clk *clock) {
	var f *failure
	switch {
	case err == nil || errors.Is(err, errNotReusable):
		rec.Outcome = OutcomeOK
		return
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

// lostIdle says whether an error looks like a connection that the server had closed while it rested.
func lostIdle(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// dialClass classifies an error of opening a connection.
func dialClass(err error) ErrorClass {
	if socketLimit(err) {
		return ErrSocketLimit
	}
	return ErrConnect
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
