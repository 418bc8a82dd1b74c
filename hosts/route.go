package hosts

import (
	"log/slog"

	"github.com/skeema/knownhosts"
)

// Route is where an SSH destination leads by the client's files. Nothing was asked of the network.
type Route struct {
	Address    string // host:port that is dialled; by the last jump host where there are any
	User       string
	Jumps      []string // in order from here
	KeyName    string   // as known_hosts spells the host
	KnownHosts []string // files that are asked for its key, whether they are there or not
	KnownTypes []string // of the keys that they have for it
}

// ReadRoute reads the client's configuration and known hosts for dest, an alias or [user@]host[:port]. A directive or line
// that cannot be used is refused as it would be by Dial.
func ReadRoute(dest string, opt DialOptions) (Route, error) {
	c, err := newConnector(dest, opt, slog.New(slog.DiscardHandler))
	if err != nil {
		return Route{}, err
	}
	t, err := newTarget(c.dest, opt, c.localUser)
	if err != nil {
		return Route{}, err
	}
	keys, err := newHostKeys(t)
	if err != nil {
		return Route{}, err
	}
	r := Route{Address: t.address(), User: t.user, KeyName: knownhosts.Normalize(t.keyName()), KnownHosts: t.knownHosts}
	for _, j := range t.jumps {
		r.Jumps = append(r.Jumps, j.String())
	}
	for _, k := range keys.db.HostKeys(t.keyName()) {
		r.KnownTypes = append(r.KnownTypes, k.Type())
	}
	return r, nil
}
