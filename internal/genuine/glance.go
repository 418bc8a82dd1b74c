package genuine

import (
	"encoding/json"
	"path/filepath"
	"regexp"

	"github.com/sotaloop/sotaloop/gitops"
)

// Build is what the metadata of an environment says of an engine. Nothing was hashed, so nothing is proved: Inspect does that.
type Build struct {
	Kind    string `json:"kind"`    // KindWheel, KindEditable or KindNone
	Version string `json:"version"` // "" where no distribution of the engine was found
	Commit  string `json:"commit"`  // of the checkout, of direct_url.json or of the version itself; "" where none says
	Root    string `json:"root"`    // checkout of an editable install
}

// versionCommit is the commit in a version's local part, as setuptools-scm writes it.
var versionCommit = regexp.MustCompile(`\+g([0-9a-f]{7,40})(?:\.|$)`)

// Glance reads what is installed in the environment o.Prefix as o.Names[0], imported as o.Import. It reads metadata only.
func Glance(o Options) Build {
	l := &look{Options: o, env: environmentOf(o.Prefix), id: &Identity{}}
	l.dists = l.env.dists()
	d := l.dist(o.Names[0])
	if d == nil {
		return Build{Kind: KindNone}
	}
	b := Build{Kind: KindWheel, Version: plain(d.Version), Commit: commitOf(d)}
	if !d.Editable {
		return b
	}
	b.Kind = KindEditable
	for _, dir := range l.pointed(d) {
		root := checkoutOf(dir)
		repo, err := gitops.Open(root)
		if root == "" || err != nil {
			continue
		}
		if head, err := repo.Head(); err == nil {
			b.Root, b.Commit = plain(root), head.Commit
			break
		}
	}
	return b
}

// commitOf is the commit that a distribution was built from, as far as its metadata says.
func commitOf(d *dist) string {
	var url struct {
		VCS struct {
			Commit string `json:"commit_id"`
		} `json:"vcs_info"`
	}
	raw, err := readCapped(filepath.Join(d.info, "direct_url.json"), 1<<16)
	if err == nil && json.Unmarshal(raw, &url) == nil && url.VCS.Commit != "" {
		return plain(url.VCS.Commit)
	}
	if m := versionCommit.FindStringSubmatch(d.Version); m != nil {
		return m[1]
	}
	return ""
}
