package hosts

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// maxIncludeDepth is OpenSSH's.
const maxIncludeDepth = 16

// setting is one directive that applies, with the place it stands at.
type setting struct {
	args  []string
	place string // file:line
}

// configReader reads client configurations for one destination. The first value of a directive wins, as in OpenSSH;
// IdentityFile and CertificateFile gather.
//
// kevinburke/ssh_config was tried: it compares Match host with the alias instead of the HostName, ignores the
// home folder it is told, knows no Match user and no Match final (Fedora's own configuration needs it), and hides what
// stands in included files, so that a directive there could not be refused.
type configReader struct {
	home, localUser string
	alias           string
	settings        map[string]setting
	gathered        map[string][]setting
	ignoreUnknown   []string
	isFinal         bool // the second pass, in which Match final holds
	sawFinal        bool
}

// readSSHConfig gives the settings for a destination; user and port of h, if any, come before all files.
func readSSHConfig(files []string, h hop, home, localUser string) (*configReader, error) {
	r := &configReader{
		home: home, localUser: localUser, alias: h.host, settings: map[string]setting{}, gathered: map[string][]setting{},
	}
	if h.user != "" {
		r.settings["user"] = setting{[]string{h.user}, "destination"}
	}
	if h.port != 0 {
		r.settings["port"] = setting{[]string{fmt.Sprint(h.port)}, "destination"}
	}
	for _, isFinal := range []bool{false, true} {
		if r.isFinal = isFinal; isFinal && !r.sawFinal {
			break
		}
		for _, file := range files {
			if err := r.file(file, 0); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// file reads one configuration file; a missing one is empty.
func (r *configReader) file(path string, depth int) error {
	if depth > maxIncludeDepth {
		return fault.New(fault.InvalidInput, "%s: Include is nested more than %d deep", path, maxIncludeDepth).At(path, "")
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.Wrap(fault.InvalidInput, err, "cannot read the SSH configuration").At(path, "")
	}
	active := true
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data)+1)
	for n := 1; lines.Scan(); n++ {
		place := fmt.Sprintf("%s:%d", path, n)
		keyword, args, err := splitDirective(lines.Text())
		if err != nil {
			return fault.Wrap(fault.InvalidInput, err, "%s", place).At(place, lines.Text())
		}
		if active, err = r.directive(directive{keyword, args, place, path, depth}, active); err != nil {
			return err
		}
	}
	return lines.Err()
}

// directive is one line.
type directive struct {
	keyword string
	args    []string
	place   string // file:line
	file    string
	depth   int
}

// value is the directive's arguments as one text.
func (d directive) value() string { return strings.Join(d.args, " ") }

// directive follows one line and says whether the lines after it apply.
func (r *configReader) directive(d directive, active bool) (bool, error) {
	switch d.keyword {
	case "":
		return active, nil
	case "host":
		return matchList(d.args, r.alias), nil
	case "match":
		return r.match(d)
	}
	if !active {
		return false, nil
	}
	switch d.keyword {
	case "include":
		return true, r.include(d)
	case "ignoreunknown":
		r.ignoreUnknown = append(r.ignoreUnknown, strings.Split(d.value(), ",")...)
		return true, nil
	}
	return true, r.set(d)
}

// set keeps the first value of a directive that is followed and refuses one that would be missed.
func (r *configReader) set(d directive) error {
	if _, jumps := r.settings["proxyjump"]; jumps && d.keyword == "proxycommand" {
		return nil // the first of the two wins
	}
	if _, isSet := r.settings[d.keyword]; isSet {
		return nil
	}
	switch handlingOf(d.keyword, d.value()) {
	case refused:
		return r.refuse(d, "is not supported and would change the connection")
	case unknown:
		if !matchList(r.ignoreUnknown, d.keyword) {
			return r.refuse(d, "is not known, so that it cannot be said to be harmless")
		}
	case obeyed:
		s := setting{d.args, d.place}
		if d.keyword == "identityfile" || d.keyword == "certificatefile" {
			if !slices.ContainsFunc(r.gathered[d.keyword], func(o setting) bool { return slices.Equal(o.args, s.args) }) {
				r.gathered[d.keyword] = append(r.gathered[d.keyword], s)
			}
			return nil
		}
		if d.keyword == "proxyjump" && r.hasProxyCommandNone() {
			return nil
		}
		r.settings[d.keyword] = s
	case harmless:
		r.settings[d.keyword] = setting{d.args, d.place} // a later value of it is not looked at
	}
	return nil
}

// hasProxyCommandNone says that an earlier line switched proxies off; OpenSSH then skips ProxyJump as well.
func (r *configReader) hasProxyCommandNone() bool {
	_, off := r.settings["proxycommand"]
	return off
}

func (r *configReader) refuse(d directive, why string) error {
	return fault.New(fault.InvalidInput, "%s: directive %q of the SSH configuration for %q %s", d.place, d.keyword, r.alias, why).
		At(d.place, d.keyword+" "+d.value()).
		Hint("give this host an alias of its own without %s, or name the alias in a Host line that excludes it", d.keyword)
}

// include reads the files that the arguments name; relative ones lie beside the user's or the system's configuration.
func (r *configReader) include(d directive) error {
	for _, arg := range d.args {
		path := r.besideConfig(d.file, arg)
		files, err := filepath.Glob(path)
		if err != nil {
			return fault.Wrap(fault.InvalidInput, err, "%s: Include %q", d.place, arg).At(d.place, arg)
		}
		for _, file := range files {
			if err := r.file(file, d.depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// besideConfig gives the path that an Include names in a file.
func (r *configReader) besideConfig(file, arg string) string {
	path := r.expandHome(arg)
	if filepath.IsAbs(path) {
		return path
	}
	base := filepath.Join(r.home, ".ssh")
	if strings.HasPrefix(file, "/etc/ssh/") {
		base = "/etc/ssh"
	}
	return filepath.Join(base, path)
}

// expandHome replaces a leading "~/".
func (r *configReader) expandHome(path string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(r.home, rest)
	}
	return path
}

// first gives the first argument of a directive, def where it is not set.
func (r *configReader) first(keyword, def string) string {
	if s, ok := r.settings[keyword]; ok {
		return cmp.Or(s.args[0], def)
	}
	return def
}
