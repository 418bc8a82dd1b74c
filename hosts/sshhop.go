package hosts

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"unicode"
)

// hop is a destination as a person writes it; zero fields come from the client configuration.
type hop struct {
	user string
	host string // alias or address
	port int
}

// String writes the hop as OpenSSH takes it.
func (h hop) String() string {
	s := h.host
	if h.port != 0 {
		s = net.JoinHostPort(h.host, strconv.Itoa(h.port))
	}
	if h.user != "" {
		s = h.user + "@" + s
	}
	return s
}

// parseHop reads [user@]host[:port], with or without ssh:// before it. An IPv6 address with a port stands in brackets.
func parseHop(s string) (hop, error) {
	var h hop
	rest := strings.TrimPrefix(s, "ssh://")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		h.user, rest = rest[:i], rest[i+1:]
		if h.user == "" {
			return hop{}, errors.New("has an empty user")
		}
	}
	h.host = rest
	if strings.HasPrefix(rest, "[") || strings.Count(rest, ":") == 1 {
		host, port, err := net.SplitHostPort(rest)
		if bare, ok := strings.CutSuffix(strings.TrimPrefix(rest, "["), "]"); err != nil && ok {
			host, port, err = bare, "", nil
		}
		if err != nil {
			return hop{}, errors.New("is not [user@]host[:port]")
		}
		h.host = host
		if port != "" {
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil || n == 0 {
				return hop{}, errors.New("has a port that is not a number from 1 to 65535")
			}
			h.port = int(n)
		}
	}
	return h, h.check()
}

// check refuses what could be taken for something else than a name.
func (h hop) check() error {
	for _, part := range []string{h.user, h.host} {
		if strings.HasPrefix(part, "-") {
			return errors.New("begins with a dash")
		}
		if strings.ContainsFunc(part, func(r rune) bool {
			return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("'`\"$\\;&<>|(){}/", r)
		}) {
			return errors.New("has a character that no user or host has")
		}
	}
	if h.host == "" {
		return errors.New("has no host")
	}
	return nil
}
