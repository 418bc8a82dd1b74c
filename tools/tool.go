// Package tools holds the fifteen tools of the server, one file each.
//
// A tool is a typed In, one domain call and a typed Out: no logic and no protocol type lives here. The server
// package turns a Tool into schemas, decodes its In strictly and renders its Out; see All for the list.
package tools

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// Hints tell a client what a call may do. All four are always sent: the protocol's defaults are the alarming ones.
type Hints struct {
	ReadOnly    bool // changes nothing that lasts
	Destructive bool // may undo or stop something
	Idempotent  bool // repeating the call adds nothing
	OpenWorld   bool // reaches beyond this machine
}

// Tool is one callable, free of any protocol library. In and Out are struct types; Call expects an In and gives an Out.
type Tool struct {
	Name, Title, Doc string
	Hints            Hints
	In, Out          reflect.Type
	Call             func(ctx context.Context, in any) (any, error)
}

// Define makes a Tool of a typed function.
func Define[In, Out any](name, title, doc string, hints Hints, call func(ctx context.Context, in In) (Out, error)) Tool {
	return Tool{
		Name: name, Title: title, Doc: doc, Hints: hints,
		In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out](),
		Call: func(ctx context.Context, in any) (any, error) {
			typed, ok := in.(In)
			if !ok {
				return nil, fmt.Errorf("tool %s: called with %T, expected %s", name, in, reflect.TypeFor[In]())
			}
			out, err := call(ctx, typed)
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

// Answer is embedded in every Out: where the call stands, what to know about it and how to go on.
type Answer = loop.Answer

// StateDone is the state of an answer that has its result.
const StateDone = loop.StateDone

// progressKey carries the progress function in a context.
type progressKey struct{}

// WithProgress gives a context whose calls report their progress to report.
func WithProgress(ctx context.Context, report func(done, total float64, message string)) context.Context {
	return context.WithValue(ctx, progressKey{}, report)
}

// Progress gives the function to report progress with; it does nothing where nobody asked. total 0 means unknown.
// Progress is a courtesy: clients may lose it, so nothing is said in it alone.
func Progress(ctx context.Context) func(done, total float64, message string) {
	if report, ok := ctx.Value(progressKey{}).(func(done, total float64, message string)); ok {
		return report
	}
	return func(float64, float64, string) {}
}

// Names lists the names of tools in their order.
func Names(tools []Tool) []string {
	return slices.Collect(func(yield func(string) bool) {
		for _, t := range tools {
			if !yield(t.Name) {
				return
			}
		}
	})
}
