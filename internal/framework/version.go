package framework

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

var (
	versionLine = regexp.MustCompile(`[0-9]+\.[0-9]+[0-9A-Za-z.+_-]*`)
	commitWord  = regexp.MustCompile(`\b[0-9a-f]{7,40}\b`)
)

// versionProgram prints a distribution's version and, for an editable or VCS install, the commit of direct_url.json.
func versionProgram(dist string) string {
	return fmt.Sprintf("import importlib.metadata as m; print(m.version('%[1]s')); print(m.distribution('%[1]s').read_text('direct_url.json') or '')", dist)
}

// parseVersion reads the first version number, and a commit where a direct_url or a local version names one.
func parseVersion(text string) (Version, error) {
	v := Version{Raw: strings.TrimSpace(text)}
	for _, line := range strings.Split(v.Raw, "\n") {
		if v.Version == "" && !strings.HasPrefix(strings.TrimSpace(line), "{") {
			v.Version = versionLine.FindString(line)
		}
		if i := strings.Index(line, `"commit_id"`); i >= 0 {
			v.Commit = commitWord.FindString(line[i:])
		}
	}
	if i := strings.Index(v.Version, "+g"); v.Commit == "" && i >= 0 {
		v.Commit = commitWord.FindString(v.Version[i+2:])
	}
	if v.Version == "" {
		return v, fault.New(fault.FrameworkFailed, "no version in %q", firstLine(text)).Hint("run the version command on the host by hand")
	}
	return v, nil
}
