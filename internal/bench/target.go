package bench

import (
	"context"
	"net"
	"net/url"
	"slices"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// The endpoints the client speaks.
const (
	PathCompletions = "/v1/completions"
	PathChat        = "/v1/chat/completions"
	PathGenerate    = "/generate"
)

// Paths lists the valid endpoints.
func Paths() []string { return []string{PathCompletions, PathChat, PathGenerate} }

// Target is the endpoint under load. The client follows no redirect and uses no proxy.
type Target struct {
	BaseURL string            // http://127.0.0.1:30000
	Path    string            // one of Paths
	Model   string            // model name sent in every body; /generate has none
	Header  map[string]string // added to every request, for example an authorization
	Extra   map[string]any    // fields added to every body alike; they may not replace the client's own
	Preopen int               // open loop: connections kept ready; 0 chooses by rate. Closed loop opens one a slot
	// Dial opens a connection; nil dials TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Lookup resolves the host's name to addresses; nil asks the system. It is called until it has succeeded once.
	Lookup func(ctx context.Context, host string) ([]string, error)
}

// Validate refuses an address or endpoint the client cannot speak to.
func (t Target) Validate() error {
	u, err := url.Parse(t.BaseURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return fault.New(fault.InvalidInput, "target address %q is not an http address", t.BaseURL).At("base_url", t.BaseURL).
			Hint("give scheme, host and port, for example http://127.0.0.1:30000")
	}
	if !slices.Contains(Paths(), t.Path) {
		return fault.New(fault.InvalidInput, "unknown endpoint %q", t.Path).At("path", t.Path, Paths()...)
	}
	for key := range t.Extra {
		if slices.Contains(ownFields(), key) {
			return fault.New(fault.InvalidInput, "extra request field %q is set by the client itself", key).At("extra."+key, key).
				Hint("set it in the scenario, so that every side gets the same")
		}
	}
	return nil
}

// ownFields are the body fields that scenario and client set.
func ownFields() []string {
	return []string{"model", "prompt", "messages", "input_ids", "sampling_params", "max_tokens", "max_completion_tokens",
		"temperature", "ignore_eos", "stream", "seed", "n", "logprobs", "top_logprobs", "return_logprob"}
}
