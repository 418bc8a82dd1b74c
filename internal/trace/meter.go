package trace

import "sync"

// meter adds up the progress of several files.
type meter struct {
	mu          sync.Mutex
	done, total int64
	tell        func(done, total int64)
}

// newMeter makes a meter for the inputs.
func newMeter(inputs []input, tell func(done, total int64)) *meter {
	m := &meter{tell: tell}
	for _, in := range inputs {
		m.total += in.size
	}
	return m
}

// add counts n more bytes read.
func (m *meter) add(n int) {
	if m.tell == nil || n == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += int64(n)
	m.tell(m.done, m.total)
}
