package server

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpgo "github.com/mark3labs/mcp-go/server"
)

// deliveryTimeout is how long an answer waits for the notifications before it. They are written by another goroutine of
// this process, so that only a stalled machine needs longer.
const deliveryTimeout = 5 * time.Second

// deliveries count the notifications of one answer over HTTP. The library writes them and the answer from different
// goroutines, and what is not written when the answer is ready is lost; so the answer waits. Over standard output our own
// loop keeps the order.
type deliveries struct {
	sent, passed atomic.Int64
	moved        chan struct{} // has room for one
}

func newDeliveries() *deliveries { return &deliveries{moved: make(chan struct{}, 1)} }

// expect notes that a notification was sent; nil where nobody has to wait.
func (d *deliveries) expect() {
	if d != nil {
		d.sent.Add(1)
	}
}

// pass notes that a notification left.
func (d *deliveries) pass() {
	if d == nil {
		return
	}
	d.passed.Add(1)
	select {
	case d.moved <- struct{}{}:
	default:
	}
}

// wait returns when all that was sent has left.
func (d *deliveries) wait(ctx context.Context) {
	if d == nil {
		return
	}
	late := time.NewTimer(deliveryTimeout)
	defer late.Stop()
	for d.passed.Load() < d.sent.Load() {
		select {
		case <-d.moved:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// exchange is one message and what is sent before its answer.
type exchange struct {
	raw    []byte      // the message as the client wrote it
	events *deliveries // nil where the order is kept anyway, or nothing but the answer can be sent
}

type exchangeKey struct{}

// withExchange tells handlers which message they answer.
func withExchange(ctx context.Context, e exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, e)
}

// exchangeOf gives the message that is being answered.
func exchangeOf(ctx context.Context) exchange {
	e, _ := ctx.Value(exchangeKey{}).(exchange)
	return e
}

// streams says whether a client over HTTP takes more than one message as the answer.
func streams(accept string) bool { return strings.Contains(accept, "text/event-stream") }

// acknowledged lets the acknowledgement of a subscription leave before its end, which follows at once: nothing that could
// be subscribed to changes.
func acknowledged() *mcpgo.Hooks {
	hooks := &mcpgo.Hooks{}
	hooks.AddAfterSubscriptionsListen(func(ctx context.Context, _ any, _ *mcp.SubscriptionsListenRequest, _ *mcp.SubscriptionsListenResult) {
		events := exchangeOf(ctx).events
		events.expect()
		events.wait(ctx)
	})
	return hooks
}
