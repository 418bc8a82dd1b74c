package hosts

import (
	"cmp"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// defaultConnectTimeout bounds connecting and authenticating one hop where ConnectTimeout does not.
const defaultConnectTimeout = 15 * time.Second

// target is a destination with everything that the client configuration says about it.
type target struct {
	alias, host, user string
	port              int
	network           string // tcp, tcp4 or tcp6
	timeout           time.Duration
	jumps             []hop // in order from here

	hostKeyAlias string
	knownHosts   []string
	policy       algorithmPolicy

	identities     []string // key files, the defaults where none is configured
	certificates   []string
	identitiesOnly bool
	agentSocket    string // empty: no agent
}

// address is what is dialled.
func (t target) address() string { return net.JoinHostPort(t.host, strconv.Itoa(t.port)) }

// keyName is what known_hosts has the host's key under, in the form host:port.
func (t target) keyName() string {
	if t.hostKeyAlias != "" {
		return net.JoinHostPort(t.hostKeyAlias, "22")
	}
	return t.address()
}

// newTarget reads the configuration files for a destination.
func newTarget(h hop, opt DialOptions, localUser string) (target, error) {
	files := opt.SSHConfig
	if files == nil {
		files = []string{filepath.Join(opt.HomeDir, ".ssh", "config"), "/etc/ssh/ssh_config"}
	}
	r, err := readSSHConfig(files, h, opt.HomeDir, localUser)
	if err != nil {
		return target{}, err
	}
	t := target{alias: h.host, host: r.hostName(), user: r.first("user", localUser), hostKeyAlias: r.first("hostkeyalias", "")}
	t.identitiesOnly = r.first("identitiesonly", "no") == "yes"
	for _, read := range []func(*configReader, DialOptions) error{t.readNetwork, t.readHostKeys, t.readIdentities} {
		if err := read(r, opt); err != nil {
			return target{}, err
		}
	}
	return t, nil
}

// readNetwork sets how the host is reached.
func (t *target) readNetwork(r *configReader, _ DialOptions) error {
	port, err := strconv.ParseUint(r.first("port", "22"), 10, 16)
	if err != nil || port == 0 {
		return r.bad("port", "a number from 1 to 65535")
	}
	t.port = int(port)
	t.timeout = defaultConnectTimeout
	if s := r.first("connecttimeout", "none"); s != "none" {
		seconds, err := strconv.ParseUint(s, 10, 20)
		if err != nil {
			return r.bad("connecttimeout", "a number of seconds")
		}
		if seconds > 0 {
			t.timeout = time.Duration(seconds) * time.Second
		}
	}
	networks := map[string]string{"any": "tcp", "inet": "tcp4", "inet6": "tcp6"}
	if t.network = networks[r.first("addressfamily", "any")]; t.network == "" {
		return r.bad("addressfamily", "any", "inet", "inet6")
	}
	if err := (hop{host: t.host, user: t.user}).check(); err != nil {
		return r.bad("hostname", "a host name or address")
	}
	jumps := r.first("proxyjump", "none")
	if strings.EqualFold(jumps, "none") {
		return nil
	}
	for _, s := range strings.Split(jumps, ",") {
		h, err := parseHop(s)
		if err != nil {
			return r.bad("proxyjump", "[user@]host[:port], …")
		}
		t.jumps = append(t.jumps, h)
	}
	return nil
}

// readHostKeys sets by what the host is known.
func (t *target) readHostKeys(r *configReader, opt DialOptions) error {
	policy, err := newAlgorithmPolicy(r)
	if err != nil {
		return err
	}
	t.policy = policy
	if t.knownHosts = opt.KnownHosts; t.knownHosts != nil {
		return nil
	}
	for _, d := range []struct {
		keyword string
		def     []string
	}{
		{"userknownhostsfile", []string{"~/.ssh/known_hosts", "~/.ssh/known_hosts2"}},
		{"globalknownhostsfile", []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"}},
	} {
		s, ok := r.settings[d.keyword]
		if !ok {
			s = setting{args: d.def}
		}
		for _, arg := range s.args {
			path, err := t.expand(r, d.keyword, setting{[]string{arg}, s.place})
			if err != nil {
				return err
			}
			if path != "none" {
				t.knownHosts = append(t.knownHosts, path)
			}
		}
	}
	return nil
}

// readIdentities sets what the user can show.
func (t *target) readIdentities(r *configReader, opt DialOptions) error {
	t.agentSocket = opt.AgentSocket
	if s, ok := r.settings["identityagent"]; ok && s.args[0] != "SSH_AUTH_SOCK" {
		path, err := t.expand(r, "identityagent", s)
		if err != nil {
			return err
		}
		if t.agentSocket = path; path == "none" {
			t.agentSocket = ""
		}
	}
	for keyword, dst := range map[string]*[]string{"identityfile": &t.identities, "certificatefile": &t.certificates} {
		for _, s := range r.gathered[keyword] {
			path, err := t.expand(r, keyword, s)
			if err != nil {
				return err
			}
			*dst = append(*dst, path)
		}
	}
	if len(t.identities) == 0 {
		for _, name := range []string{"id_ed25519", "id_ed25519_sk", "id_ecdsa", "id_ecdsa_sk", "id_rsa"} {
			t.identities = append(t.identities, filepath.Join(opt.HomeDir, ".ssh", name))
		}
	}
	t.identities = slices.DeleteFunc(t.identities, func(p string) bool { return p == "none" })
	return nil
}

// expand replaces "~/" and the tokens of OpenSSH in a file name. The environment is not at hand here.
func (t *target) expand(r *configReader, keyword string, s setting) (string, error) {
	tokens := map[byte]string{
		'%': "%", 'd': r.home, 'h': t.host, 'n': t.alias, 'p': strconv.Itoa(t.port), 'r': t.user, 'u': r.localUser,
		'i': strconv.Itoa(os.Getuid()), 'k': cmp.Or(t.hostKeyAlias, t.alias),
	}
	var b strings.Builder
	path := r.expandHome(s.args[0])
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			b.WriteByte(path[i])
			continue
		}
		i++
		if i == len(path) || tokens[path[i]] == "" {
			return "", r.refuse(directive{keyword: keyword, args: s.args, place: s.place}, "has a token that is not supported")
		}
		b.WriteString(tokens[path[i]])
	}
	if strings.Contains(b.String(), "${") || strings.HasPrefix(b.String(), "$") {
		return "", r.refuse(directive{keyword: keyword, args: s.args, place: s.place}, "uses an environment variable, which is not supported")
	}
	return b.String(), nil
}

// bad is a value that the directive cannot have.
func (r *configReader) bad(keyword string, want ...string) error {
	s := r.settings[keyword]
	value := strings.Join(s.args, " ")
	return fault.New(fault.InvalidInput, "%s: %s %q is not possible", s.place, keyword, value).At(s.place, value, want...)
}
