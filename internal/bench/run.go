package bench

import "context"

// Run offers the load of spec to the target and measures it. progress may be nil; it is called about once a second
// from one goroutine. An error means that the load could not be offered or observed; failed requests are no error.
// When ctx is cancelled the point so far is given together with the error.
func Run(ctx context.Context, target Target, spec Spec, progress func(Progress)) (*Point, error) {
	return nil, nil
}
