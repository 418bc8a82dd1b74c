package discover

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
)

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// engines names the environments and images that hold an engine. here says that the host is this machine. Without a GPU on a
// machine of a cluster they are named in comments: they were built for its other nodes.
func (f *Found) engines(e *Entry, here, gpus bool) { //nolint:revive // two facts of the host, both of the entry's
	var all []Engine
	for _, d := range f.Dists {
		x, note := f.installed(d)
		if note != "" {
			e.Notes = append(e.Notes, note)
			continue
		}
		if also := f.source(&x, d, here); also != "" {
			e.Also = append(e.Also, also)
		}
		all = append(all, x)
	}
	for _, i := range f.Images {
		if x, note := i.entry(); note != "" {
			e.Notes = append(e.Notes, note)
		} else {
			all = append(all, x)
		}
	}
	name(all)
	if !gpus && f.Programs["sinfo"] != "" {
		for _, x := range all {
			e.Also = append(e.Also, fmt.Sprintf("For an entry of a node with GPUs: %s (%s)", x.place(), x.Why))
		}
		return
	}
	e.Engines = all
}

func (x Engine) place() string {
	if x.Image != "" {
		return "image: " + x.Image
	}
	return "venv: " + x.Venv
}

// installed makes an engine entry of an environment, or says why it is none.
func (f *Found) installed(d dist) (Engine, string) {
	at := fault.ForeignName(d.prefix, 200)
	version := fault.ForeignName(d.version, 60)
	switch {
	case !usable(d.prefix):
		return Engine{}, "an environment has a name that hosts.yaml cannot hold: " + at
	case !d.python:
		return Engine{}, fmt.Sprintf("%s %s in %s is not written: there is no bin/python beside it (install it in a virtual environment)", d.kind, version, at)
	case !d.runs:
		return Engine{}, fmt.Sprintf("%s %s in %s is not written: it has no program %s", d.kind, version, at, fault.ForeignName(programOf(d), 200))
	}
	x := Engine{Type: d.kind, Venv: f.tilde(d.prefix)}
	u := readDirectURL(d.url)
	switch {
	case u.Dir.Editable:
		x.Why = fmt.Sprintf("%s %s, editable", d.kind, version)
		if d.checkout != "" {
			x.Why += fmt.Sprintf(" of %s at commit %.12s", fault.ForeignName(f.tilde(d.checkout), 200), fault.ForeignName(d.commit, 60))
		}
	default:
		x.Why = fmt.Sprintf("%s %s, wheel", d.kind, version)
		if u.VCS.Commit != "" {
			x.Why += fmt.Sprintf(" of commit %.12s", fault.ForeignName(u.VCS.Commit, 60))
		}
	}
	return x, ""
}

// source names the checkout of an editable install: where the host is this machine, as the checkout that patches go to, else
// in words.
func (f *Found) source(x *Engine, d dist, here bool) string { //nolint:revive // as above
	if d.checkout == "" || !usable(d.checkout) {
		return ""
	}
	_, importName := framework.Distributions(contract.Framework(d.kind))
	inside := strings.TrimPrefix(strings.TrimPrefix(editableFolder(d.url), d.checkout), "/")
	root := path.Join(inside, importName)
	if !here {
		return fmt.Sprintf("To patch the engine in %s, clone commit %.12s on the server's machine, and add to its entry: checkout: FOLDER, package_root: %s",
			x.Venv, fault.ForeignName(d.commit, 60), fault.ForeignName(root, 100))
	}
	x.Checkout, x.PackageRoot, x.ImportName = f.tilde(d.checkout), root, importName
	return ""
}

// entry makes an engine entry of an image, or says why it is none.
func (i image) entry() (Engine, string) {
	title := fault.ForeignName(i.name, 160)
	if len(i.tags) > 0 {
		title += ":" + fault.ForeignName(i.tags[0], 80)
	}
	if i.digest == "" {
		return Engine{}, fmt.Sprintf("%s of %s is not written: an image that was built here has no digest; push it to a registry first", title, i.engine)
	}
	if !imageName.MatchString(i.name) {
		return Engine{}, fmt.Sprintf("%s of %s has a name that hosts.yaml cannot hold", title, i.engine)
	}
	why := fmt.Sprintf("%s, %s in %s", title, fault.ForeignName(i.size, 20), i.engine)
	if i.commit != "" {
		why += fmt.Sprintf(", commit %.12s by its label", i.commit)
	}
	why += "; the type is a guess by its name"
	return Engine{Type: i.kind, Image: i.name + "@" + i.digest, Why: why}, ""
}

// imageName is what hosts.yaml takes before the digest.
var imageName = regexp.MustCompile(`^[a-z0-9][A-Za-z0-9._:/-]*$`)

// unfit are characters that names of entries have not.
var unfit = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// name gives every engine a name of its own: its type where that says it, else with its environment's name, or image.
func name(all []Engine) {
	count := map[string]int{}
	for _, x := range all {
		count[x.Type]++
	}
	taken := map[string]bool{}
	for i, x := range all {
		n := x.Type
		if count[x.Type] > 1 {
			n = x.Type + "-" + hint(x)
		}
		n = strings.Trim(unfit.ReplaceAllString(n, "-"), "-.")
		n = n[:min(len(n), 50)]
		base := n
		for k := 2; taken[n]; k++ {
			n = fmt.Sprintf("%s-%d", base, k)
		}
		taken[n] = true
		all[i].Name = n
	}
}

// hint is a word that tells one environment or image from another of its type.
func hint(x Engine) string {
	if x.Image != "" {
		title, _, _ := strings.Cut(x.Why, ",")
		if _, tag, ok := strings.Cut(path.Base(title), ":"); ok {
			return tag
		}
		return "image"
	}
	base := path.Base(x.Venv)
	if slices.Contains([]string{".venv", "venv", "env", ".env"}, base) {
		base = path.Base(path.Dir(x.Venv))
	}
	return strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(base, "."), x.Type), "-")
}

// scheduler tells what Slurm has, and how a node of it becomes a host.
func (f *Found) scheduler(e *Entry, t Target, gpus bool) { //nolint:revive // as above
	if f.Programs["sinfo"] == "" {
		return
	}
	for _, p := range f.Partitions {
		e.Also = append(e.Also, "Slurm partition "+p+".")
	}
	if gpus || t.SSH == "" {
		return
	}
	e.Also = append(e.Also, fmt.Sprintf("This is a login node, which others share: do not measure on it. Allocate a node (salloc --exclusive, in a partition above), reach it through this one "+
		"(in ~/.ssh/config: Host NODE, ProxyJump %s), then: sotaloop hosts add NODE", t.SSH))
}
