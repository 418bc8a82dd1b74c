// Package fault holds the one error kind that is written for a person or an agent to read.
//
// A fault is made where the helpful sentence is known and rendered only at the edges (server and cmd).
// Messages are lower case, quote the offending value and end without a period; hints are imperatives.
// Everything else in this module returns ordinary sentinel or typed errors.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Code says what kind of fault it is. The set is closed.
type Code string

// The codes of faults.
const (
	InvalidInput    Code = "invalid_input"
	NotFound        Code = "not_found"
	Conflict        Code = "conflict"
	RuleViolation   Code = "rule_violation"
	NeedsApproval   Code = "needs_approval"
	Denied          Code = "denied"
	HostUnreachable Code = "host_unreachable"
	HostKey         Code = "host_key"
	Busy            Code = "busy"
	FrameworkFailed Code = "framework_failed"
	Timeout         Code = "timeout"
	Canceled        Code = "canceled"
	Corrupt         Code = "corrupt"
	Internal        Code = "internal"
)

// Next is a call that would be allowed now, and why one would make it.
type Next struct {
	Tool string `json:"tool"`
	Why  string `json:"why"`
}

// Error is a fault: what is wrong, where, and how to go on.
type Error struct {
	Code    Code
	Rule    string   // rule id where a rule refused, else empty
	Message string   // lower case, offending value quoted
	Field   string   // input field or file position at fault
	Got     string   // offending value
	Want    []string // valid values
	Hints   []string // imperatives
	Next    []Next   // calls allowed now
	Cause   error
}

// Error renders message and cause on one line, then the valid values.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Rule != "" {
		b.WriteString(e.Rule + ": ")
	}
	b.WriteString(e.Message)
	if e.Cause != nil {
		b.WriteString(": " + e.Cause.Error())
	}
	if len(e.Want) > 0 {
		b.WriteString(" (valid: " + strings.Join(e.Want, ", ") + ")")
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// New makes a fault from a format.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault that keeps cause; the cause's text follows the message.
func Wrap(code Code, cause error, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Cause: cause}
}

// Hint adds imperatives that say how to go on.
func (e *Error) Hint(format string, args ...any) *Error {
	e.Hints = append(e.Hints, fmt.Sprintf(format, args...))
	return e
}

// At names the field at fault, the value found there and the valid ones.
func (e *Error) At(field, got string, want ...string) *Error {
	e.Field, e.Got, e.Want = field, got, want
	return e
}

// ByRule names the rule that refused.
func (e *Error) ByRule(id string) *Error {
	e.Rule = id
	return e
}

// Then adds a call that is allowed now.
func (e *Error) Then(tool, why string) *Error {
	e.Next = append(e.Next, Next{Tool: tool, Why: why})
	return e
}

// As finds a fault in err's chain.
func As(err error) (*Error, bool) {
	var f *Error
	ok := errors.As(err, &f)
	return f, ok
}

// CodeOf gives the code of the fault in err's chain, Internal where there is none.
func CodeOf(err error) Code {
	if f, ok := As(err); ok {
		return f.Code
	}
	return Internal
}
