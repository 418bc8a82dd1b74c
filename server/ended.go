package server

import "sync"

// maxEnded bounds how many ended sessions are remembered. Their ids are random, so that one that is forgotten is not met
// again by chance.
const maxEnded = 4096

// endedSessions are sessions of the older era that their clients ended: the protocol wants them refused. A session that is
// merely unknown is served, so that clients outlive a restart of the server; nothing of a campaign is kept in a session.
type endedSessions struct {
	mu    sync.Mutex
	ids   map[string]bool
	order []string
}

// add remembers a session's end.
func (e *endedSessions) add(id string) {
	if id == "" || len(id) > 100 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ids == nil {
		e.ids = map[string]bool{}
	}
	if e.ids[id] {
		return
	}
	if len(e.order) == maxEnded {
		delete(e.ids, e.order[0])
		e.order = e.order[1:]
	}
	e.ids[id] = true
	e.order = append(e.order, id)
}

// has says whether a session was ended.
func (e *endedSessions) has(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ids[id]
}
