package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// minToken is the shortest bearer token that is taken, in bytes: 32 random ones in base64 have 43.
const minToken = 32

// entrance says who may come in over HTTP. On TCP that is whoever knows the token: every account of the machine reaches
// loopback, and so do web pages in its browsers. A Unix socket has its file's permissions.
type entrance struct {
	token [sha256.Size]byte
	tcp   bool
}

// newEntrance checks that a listener has what keeps others out.
func newEntrance(l net.Listener, token string) (entrance, error) {
	e := entrance{token: sha256.Sum256([]byte(token)), tcp: l.Addr().Network() != "unix"}
	if e.tcp && len(token) < minToken {
		return entrance{}, fault.New(fault.Denied, "refusing to serve HTTP with a token of %d bytes: every account of this machine reaches loopback", len(token)).
			At("token", "", "at least 32 random bytes").Hint("give --token-file, or serve a Unix socket with --unix")
	}
	return e, nil
}

// refuse answers a request that may not come in, and says whether it did. Addresses are judged before the token, so that a
// page in a browser learns nothing of one.
func (e entrance) refuse(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case e.tcp && !isLocalHost(r.Host):
		http.Error(w, "this server answers to its loopback address only: a foreign name that resolves to it is refused", http.StatusForbidden)
	case r.Header.Get("Origin") != "" && !isLocalOrigin(r.Header.Get("Origin")), crossSite(r.Header.Get("Sec-Fetch-Site")):
		http.Error(w, "pages of other origins may not call this server", http.StatusForbidden)
	case e.tcp && !e.admits(r):
		w.Header().Set("WWW-Authenticate", `Bearer realm="sotaloop"`)
		http.Error(w, "a bearer token is needed: the server said at its start in which file it lies (sotaloop serve --token-file)", http.StatusUnauthorized)
	default:
		return false
	}
	return true
}

// admits compares the token in a time that does not depend on it.
func (e entrance) admits(r *http.Request) bool {
	given := r.Header.Values("Authorization")
	if len(given) != 1 {
		return false
	}
	scheme, token, ok := strings.Cut(given[0], " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(sum[:], e.token[:]) == 1 && ok && strings.EqualFold(scheme, "Bearer")
}

// isLocalHost says whether a Host header names this machine for itself.
func isLocalHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return isLoopback(strings.Trim(host, "[]"))
}

// isLocalOrigin says whether a page of origin was served by this machine.
func isLocalOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && isLoopback(u.Hostname())
}

// crossSite says that a browser sends the request for a page of another site; browsers do not let pages forge it.
func crossSite(fetchSite string) bool { return fetchSite == "cross-site" }

// isLoopback says whether host is this machine for itself only.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() && ip.Zone() == ""
}
