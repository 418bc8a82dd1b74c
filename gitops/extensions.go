package gitops

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// checkExtensions refuses repositories whose format we cannot read right. go-git refuses more than that (a sparse
// checkout's worktreeConfig, for one), so its own check is not used. Only the [extensions] section is read: a
// full parse would refuse honest files for reasons that do not concern objects.
func checkExtensions(config string) error {
	text, err := os.ReadFile(config)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fault.Wrap(fault.Denied, err, "read %q", config)
	}
	for key, value := range extensionsIn(string(text)) {
		switch key {
		case "noop", "noop-v1", "partialclone", "preciousobjects", "worktreeconfig", "relativeworktrees", "compatobjectformat":
		case "objectformat":
			if !strings.EqualFold(value, "sha1") {
				return fault.New(fault.InvalidInput, "repository has object format %q", value).
					At("extensions.objectFormat", value, "sha1").Hint("clone the target with --object-format=sha1")
			}
		case "refstorage":
			if !strings.EqualFold(value, "files") {
				return fault.New(fault.InvalidInput, "repository stores refs as %q", value).
					At("extensions.refStorage", value, "files").Hint("run git refs migrate --ref-format=files")
			}
		default:
			return fault.New(fault.InvalidInput, "repository uses unknown extension %q", key).At("extensions", key).
				Hint("use a checkout without this extension")
		}
	}
	return nil
}

// extensionsIn gives the keys (lower case) and values of the [extensions] section of a git config file.
func extensionsIn(text string) map[string]string {
	found, inside := map[string]string{}, false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			name, rest, _ := strings.Cut(line[1:], "]")
			inside, line = strings.EqualFold(strings.TrimSpace(name), "extensions"), strings.TrimSpace(rest)
		}
		if !inside || line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		value, _, _ = strings.Cut(value, "#")
		value, _, _ = strings.Cut(value, ";")
		found[strings.ToLower(strings.TrimSpace(key))] = strings.Trim(strings.TrimSpace(value), `"`)
	}
	return found
}
