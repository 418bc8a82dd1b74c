package hosts

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// SSHKeyPlaces lists the agents' sockets and the key files that a client's configuration names for any host at all, whatever
// its Host and Match lines say: what this account could use, not what it would. Values with tokens that depend on a
// connection are left out, and so are files that cannot be read.
func SSHKeyPlaces(files []string, home string) (agents, keys []string) {
	r := &configReader{home: home}
	var read func(path string, depth int)
	read = func(path string, depth int) {
		data, err := os.ReadFile(path)
		if err != nil || depth > maxIncludeDepth {
			return
		}
		lines := bufio.NewScanner(bytes.NewReader(data))
		lines.Buffer(nil, len(data)+1)
		for lines.Scan() {
			keyword, args, err := splitDirective(lines.Text())
			if err != nil || !slices.Contains([]string{"include", "identityagent", "identityfile"}, keyword) {
				continue
			}
			for _, arg := range args {
				switch value := keyPath(r, arg); {
				case keyword == "include":
					found, _ := filepath.Glob(r.besideConfig(path, arg)) // a bad pattern includes nothing
					for _, f := range found {
						read(f, depth+1)
					}
				case value == "":
				case keyword == "identityagent":
					agents = append(agents, value)
				default:
					keys = append(keys, strings.TrimSuffix(value, ".pub"))
				}
			}
		}
	}
	for _, f := range files {
		read(f, 0)
	}
	return agents, keys
}

// keyPath expands a value that names a file; "" where it names none or depends on a connection.
func keyPath(r *configReader, value string) string {
	value = r.expandHome(strings.ReplaceAll(value, "%d", r.home))
	if !filepath.IsAbs(value) || strings.ContainsAny(value, "%$") {
		return ""
	}
	return value
}
