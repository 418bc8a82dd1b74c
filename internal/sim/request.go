package sim

import "context"

// request is one sequence on its way through the scheduler.
type request struct {
	ctx       context.Context // the client's
	prompt    []int
	maxTokens int
	sampling  sampling
	stops     map[int]bool // token ids that end it
	out       chan token   // room for every token: the scheduler never waits for a client

	gen      *generator
	cached   int // prompt tokens found in the prefix cache
	computed int // prompt tokens in the cache by now
	produced int
	reserved int // cache tokens held
	muted    bool
	cut      bool
}

// token is one generated token.
type token struct {
	id       int
	position int // from 1
	logprob  float64
	altIDs   []int
	altLogs  []float64
	finish   string // stop or length on the last one
}

// prefilled tells whether the prompt has been computed.
func (r *request) prefilled() bool { return r.computed >= len(r.prompt) }

// length is the number of tokens that attention reads for its next one.
func (r *request) length() int { return r.computed + r.produced }

// emit makes the next token and hands it out; it returns true when the request is finished.
func (r *request) emit() bool {
	if r.muted {
		return false
	}
	id, logprob := r.gen.next()
	r.produced++
	t := token{id: id, position: r.produced, logprob: logprob}
	switch {
	case (!r.sampling.ignoreEOS && id == r.gen.model.EOS) || r.stops[id]:
		t.finish = "stop"
	case r.produced >= r.maxTokens:
		t.finish = "length"
	}
	r.out <- t
	if t.finish != "" || (r.cut && r.produced >= max(1, r.maxTokens/2)) {
		close(r.out)
		return true
	}
	return false
}
