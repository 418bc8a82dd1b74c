package sim

// part is a piece of a prompt in a step.
type part struct {
	req *request
	n   int
}

// batch is what one step computes, by request.
type batch struct {
	prefills []part
	decodes  []*request
}

func (b *batch) work() work {
	w := work{decodes: len(b.decodes)}
	for _, r := range b.decodes {
		w.decodeCtx += r.length()
	}
	for _, p := range b.prefills {
		w.prefills = append(w.prefills, chunk{n: p.n, ctx: p.req.computed})
	}
	return w
}

// next admits requests and composes a step; nil when there is nothing to compute.
//
// Two ways, by settings.mixed: prompts first and alone, decoding waits (SGLang's default); or decoding first, prompts
// fill what is left of the step's tokens (vLLM's). Cache room for prompt and output is reserved at admission, so
// that nothing is ever retracted; engines gamble on shorter outputs and retract, which is not modelled.
func (s *scheduler) next() *batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropCanceled()
	s.admit()
	b := &batch{}
	budget := s.set.stepTokens
	var partial []*request
	for _, r := range s.running {
		switch {
		case !r.prefilled():
			partial = append(partial, r)
		case !r.muted:
			b.decodes = append(b.decodes, r)
		}
	}
	if s.set.mixed {
		budget -= len(b.decodes)
	}
	for _, r := range partial {
		n := len(r.prompt) - r.computed
		if n > budget && !s.set.chunked && len(b.prefills) > 0 {
			break
		}
		if s.set.chunked {
			n = min(n, budget)
		}
		if n <= 0 {
			break
		}
		b.prefills = append(b.prefills, part{r, n})
		budget -= n
	}
	if len(b.prefills) > 0 && !s.set.mixed {
		b.decodes = nil
	}
	if len(b.prefills)+len(b.decodes) == 0 {
		return nil
	}
	return b
}

// admit moves requests from the queue while sequences and cache allow; order of arrival, no overtaking.
func (s *scheduler) admit() {
	for len(s.waiting) > 0 && len(s.running) < s.set.maxRunning {
		r := s.waiting[0]
		need := len(r.prompt) + r.maxTokens
		if s.used+need > s.pool {
			return
		}
		s.waiting = s.waiting[1:]
		if s.prefix != nil {
			r.cached = s.prefix.match(r.prompt)
			r.computed = r.cached
		}
		r.reserved = need
		s.used += need
		s.running = append(s.running, r)
	}
}

// dropCanceled forgets requests whose clients went away.
func (s *scheduler) dropCanceled() {
	keep := s.waiting[:0]
	for _, r := range s.waiting {
		if r.ctx.Err() == nil {
			keep = append(keep, r)
		}
	}
	clear(s.waiting[len(keep):])
	s.waiting = keep
	live := s.running[:0]
	for _, r := range s.running {
		if r.ctx.Err() != nil {
			s.used -= r.reserved
			continue
		}
		live = append(live, r)
	}
	clear(s.running[len(live):])
	s.running = live
}
