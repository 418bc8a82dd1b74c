package framework

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

var (
	// versionAlone is a line that is nothing but a version, maybe behind the program's name.
	versionAlone = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9_-]* )?v?([0-9]+\.[0-9]+[0-9A-Za-z.+_-]*)$`)
	versionIn    = regexp.MustCompile(`(?:^| )v?([0-9]+\.[0-9]+[0-9A-Za-z.+_-]*)`)
	commitID     = regexp.MustCompile(`"commit_id" *: *"([0-9a-f]{7,40})"`)
	localCommit  = regexp.MustCompile(`\+g([0-9a-f]{7,40})(?:\.|$)`)
)

// versionProgram prints a distribution's version and, for an editable or VCS install, the commit of direct_url.json.
func versionProgram(dist string) string {
	return fmt.Sprintf("import importlib.metadata as m; print(m.version('%[1]s')); print(m.distribution('%[1]s').read_text('direct_url.json') or '')", dist)
}

// parseVersion reads a version, from a line of its own where there is one (imports may warn before it), and the commit
// where a direct_url or a local version names one.
func parseVersion(text string) (Version, error) {
	v := Version{Raw: strings.TrimSpace(text)}
	for _, shape := range []*regexp.Regexp{versionAlone, versionIn} {
		for line := range strings.SplitSeq(v.Raw, "\n") {
			m := shape.FindStringSubmatch(strings.TrimSpace(line))
			if v.Version == "" && m != nil && !strings.HasPrefix(strings.TrimSpace(line), "{") {
				v.Version = m[1]
			}
		}
	}
	if m := commitID.FindStringSubmatch(v.Raw); m != nil {
		v.Commit = m[1]
	} else if m := localCommit.FindStringSubmatch(v.Version); m != nil {
		v.Commit = m[1]
	}
	if v.Version == "" {
		return v, fault.New(fault.FrameworkFailed, "no version in %q", firstLine(text)).Hint("run the version command on the host by hand")
	}
	return v, nil
}
