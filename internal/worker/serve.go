package worker

import (
	"context"
	"encoding/json"
	"io"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// HostOptions is what the worker gets from the account it runs in.
type HostOptions struct {
	In        io.Reader
	Out       io.Writer
	Home      string                                    // absolute home folder, "~" in paths
	LookupEnv func(name string) (value string, ok bool) // the account's environment: PATH for nvidia-smi, secrets by name
}

const (
	deviceCPU  = "cpu"
	deviceCUDA = "cuda"
)

// Serve carries out one verb on the host: it reads the JSON request from o.In and writes one JSON answer, an answer or a
// fault, to o.Out. VerbRun has no request; see Run. The error is about reading and writing only.
func Serve(ctx context.Context, o HostOptions, verb string) error {
	return answerTo(o.Out, func() (any, error) { return dispatch(ctx, o, verb) })
}

// answerTo writes one answer.
func answerTo(w io.Writer, ask func() (any, error)) error {
	answer, err := ask()
	e := envelope{V: PlanVersion}
	if err != nil {
		e.Fault = toWire(err)
	} else if e.Answer, err = json.Marshal(answer); err != nil {
		e.Answer, e.Fault = nil, toWire(err)
	}
	return json.NewEncoder(w).Encode(e)
}

// request reads a verb's request.
func request[T any](o HostOptions) (T, error) {
	var r T
	if err := json.NewDecoder(io.LimitReader(o.In, maxAnswer)).Decode(&r); err != nil {
		return r, fault.Wrap(fault.InvalidInput, err, "the request cannot be read")
	}
	return r, nil
}
