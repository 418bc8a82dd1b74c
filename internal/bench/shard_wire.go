package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// A load that one process cannot offer is split over several on the same host. The parent plans everything, the shards
// only send and read. Both speak JSON lines over a pair of pipes:
//
//	parent  order                        everything a shard has to know
//	shard   {"ready": true}              its connections are open, or {"error": …}
//	parent  {"start_ns": …}              the origin of the plan, on the clock that all share
//	shard   {"progress": …}              about once a second
//	shard   {"window_done": true}        its last measured request has ended
//	parent  {"stop": true}               those of all shards have; or {"cancel": "…"}
//	shard   {"audit": …, "records": n}   and n records, one a line
//
// Times of all processes are of CLOCK_MONOTONIC, which they share.
const shardVersion = 1

// shardOrder is one shard's part of a load.
type shardOrder struct {
	V        int            `json:"v"`
	Shard    int            `json:"shard"`
	Shards   int            `json:"shards"`
	BaseNS   int64          `json:"monotonic_base_ns"`
	BaseURL  string         `json:"base_url"`
	Path     string         `json:"endpoint"`
	Model    string         `json:"model"`
	Header   headers        `json:"header,omitempty"`
	Extra    map[string]any `json:"extra,omitempty"`
	Spec     Spec           `json:"spec"`
	Arrivals []shardArrival `json:"arrivals"`
	Slots    int            `json:"slots,omitempty"` // closed loop
	Ready    int            `json:"ready"`           // connections to open beforehand
	Open     bool           `json:"open,omitempty"`  // a tail follows until the parent says stop
	WindowNS time.Duration  `json:"window_ns,omitempty"`
}

// headers may hold a key: they go through a pipe, never through arguments or environment.
type headers map[string]string

// shardArrival is a planned request, after the start.
type shardArrival struct {
	AtNS  time.Duration `json:"at_ns"`
	Role  Role          `json:"role"`
	Index int           `json:"i"`
}

// shardSays is a message of a shard.
type shardSays struct {
	Ready      bool      `json:"ready,omitempty"`
	Error      string    `json:"error,omitempty"`
	Limit      bool      `json:"socket_limit,omitempty"` // the error is this machine's own limit
	Progress   *Progress `json:"progress,omitempty"`
	WindowDone bool      `json:"window_done,omitempty"`
	Audit      *Audit    `json:"audit,omitempty"`
	Records    int       `json:"records,omitempty"`
}

// shardTold is a message to a shard.
type shardTold struct {
	StartNS *Offset `json:"start_ns,omitempty"`
	Stop    bool    `json:"stop,omitempty"`
	Cancel  string  `json:"cancel,omitempty"` // deadline or canceled
}

// The words of shardTold.Cancel.
const (
	cancelDeadline = "deadline"
	cancelPerson   = "canceled"
)

// errShard says that a shard did not keep to the protocol or went away.
var errShard = errors.New("shard")

// ofShard gives a shard its part of a plan: every nth arrival of each role. The parts of all shards are the plan.
func ofShard(planned []arrival, shard, shards int) []shardArrival {
	out := []shardArrival{}
	for _, a := range planned {
		if a.index%shards == shard {
			out = append(out, shardArrival{AtNS: a.at, Role: a.role, Index: a.index})
		}
	}
	return out
}

// share splits a number into parts that differ by at most one.
func share(n, shard, shards int) int { return (n - shard + shards - 1) / shards }

// check refuses an order that this release cannot carry out.
func (o shardOrder) check() error {
	switch {
	case o.V != shardVersion:
		return fmt.Errorf("%w: order of version %d, not %d", errShard, o.V, shardVersion)
	case o.Shards < 1 || o.Shard < 0 || o.Shard >= o.Shards || o.BaseNS == 0:
		return fmt.Errorf("%w: order for shard %d of %d at base %d", errShard, o.Shard, o.Shards, o.BaseNS)
	}
	return o.target().Validate()
}

func (o shardOrder) target() Target {
	return Target{BaseURL: o.BaseURL, Path: o.Path, Model: o.Model, Header: o.Header, Extra: o.Extra}
}

// pipe is one end of the conversation.
type pipe struct {
	in  *json.Decoder
	out *json.Encoder
}

func newPipe(in io.Reader, out io.Writer) *pipe {
	return &pipe{in: json.NewDecoder(in), out: json.NewEncoder(out)}
}
