package bench

import (
	"fmt"
	"slices"
)

// finishes are the reasons that servers are known to give; any other word of theirs could be anything.
func finishes() []string {
	return []string{"", "stop", "length", "eos", "tool_calls", "function_call", "content_filter", "abort", "error", "stop_sequence", "repetition"}
}

// seal takes a server's own words out of a record of a private dataset: an error, as a rule, quotes the request.
func (r *Record) seal() {
	r.Output, r.Logprobs = "", nil
	if r.ErrorClass != "" {
		r.Error = "the server's words are not kept of a private dataset"
	}
	if r.ErrorClass == ErrHTTPStatus {
		r.Error = fmt.Sprintf("status %d; %s", r.HTTPStatus, r.Error)
	}
	if !slices.Contains(finishes(), r.Finish) {
		r.Finish = "other"
	}
}
