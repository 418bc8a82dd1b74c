package genuine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options say what to look at.
type Options struct {
	Prefix  string   // folder of the environment; its executables lie in bin
	Program string   // the executable that is started
	Names   []string // distributions: the engine's own first, then what it computes with
	Import  string   // the engine's Python package
	Memory  string   // file that remembers digests between looks; empty: none
}

// look is the work on one identity.
type look struct {
	Options
	env     environment
	dists   []*dist
	listed  map[string][]string // file → digests that RECORDs give; one without a digest has an empty one
	owner   map[string]string   // file → distribution
	digests *digests
	id      *Identity
	changed map[string]string // file that differs → its digest
}

// Inspect says what the engine of an environment is. It hashes every file that a RECORD lists, once for each change of
// size, times or inode that the memory knows of. An error means that the look could not be taken.
func Inspect(ctx context.Context, o Options) (*Identity, error) {
	l := &look{Options: o, env: environmentOf(o.Prefix), listed: map[string][]string{}, owner: map[string]string{}, changed: map[string]string{},
		digests: recall(o.Memory), id: &Identity{Kind: KindNone, Prefix: o.Prefix, Packages: []Distribution{}, Startup: []Startup{}, Modified: []string{}, Notes: []string{}}}
	defer l.digests.keep()
	l.dists = l.env.dists()
	l.list()
	if err := l.programs(); err != nil {
		return nil, err
	}
	l.packages()
	if err := l.compare(ctx); err != nil {
		return nil, err
	}
	l.strangers()
	l.startup()
	l.sum()
	l.id.finish()
	return l.id, nil
}

// modified notes why the engine is not what it says it is.
func (l *look) modified(format string, args ...any) {
	l.id.Modified = append(l.id.Modified, fmt.Sprintf(format, args...))
}

func (l *look) note(format string, args ...any) {
	l.id.Notes = append(l.id.Notes, fmt.Sprintf(format, args...))
}

// list joins what all RECORDs say: several distributions may install one file.
func (l *look) list() {
	for _, d := range l.dists {
		for file, sum := range d.files {
			l.listed[file] = append(l.listed[file], sum)
			l.owner[file] = d.Name
		}
	}
}

func (l *look) isCore(name string) bool {
	return slices.ContainsFunc(l.Names, func(n string) bool { return normal(n) == name })
}

// packages names the engine's distribution and those that it computes with. The first of a name on the import path counts.
func (l *look) packages() {
	for _, name := range l.Names {
		d := l.dist(name)
		switch {
		case d == nil:
			continue
		case d.why != "":
			l.modified("%s %s: %s", d.Name, d.Version, d.why)
		}
		l.id.Packages = append(l.id.Packages, d.Distribution)
		if normal(name) == normal(l.Names[0]) {
			l.id.Kind = KindWheel
		}
		if d.Editable {
			l.editable(d, normal(name) == normal(l.Names[0]))
		}
	}
	if l.id.Kind == KindNone {
		l.modified("no distribution %q is installed in %s", strings.Join(l.Names[:min(1, len(l.Names))], ""), plain(l.Prefix))
	}
}

func (l *look) dist(name string) *dist {
	var first *dist
	for _, d := range l.dists {
		if d.Name != normal(name) {
			continue
		}
		if first != nil && first.site == d.site {
			l.modified("%s is installed twice in %s: %s and %s", d.Name, plain(d.site), first.Version, d.Version)
		}
		if first == nil {
			first = d
		}
	}
	return first
}

// compare holds every listed file against its digests. A file that is gone matters where the engine or what it computes
// with lists it; elsewhere people strip tests and documentation.
func (l *look) compare(ctx context.Context) error {
	var files []string
	for file, sums := range l.listed {
		if slices.ContainsFunc(sums, func(s string) bool { return s != "" }) {
			files = append(files, file)
		}
	}
	slices.Sort(files)
	got := l.digests.all(ctx, files)
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, file := range files {
		f := got[file]
		switch {
		case f.err == errGone && l.isCore(l.owner[file]): //nolint:errorlint // made by this package, never wrapped
			l.modified("%s of %s is gone", l.short(file), l.owner[file])
		case f.err == errGone: //nolint:errorlint // as above
			l.note("%s of %s is gone", l.short(file), l.owner[file])
		case f.err != nil:
			l.modified("%s of %s cannot be read: %s", l.short(file), l.owner[file], plain(f.err.Error()))
		case !slices.Contains(l.listed[file], f.sum):
			l.modified("%s of %s differs from its RECORD", l.short(file), l.owner[file])
			l.changed[l.short(file)] = f.sum
		}
		l.id.Files++
	}
	return nil
}

// short is a file's path below its package folder or environment.
func (l *look) short(file string) string {
	for _, s := range l.env.sites {
		if rel, ok := strings.CutPrefix(file, s.dir+string(filepath.Separator)); ok {
			return plain(filepath.ToSlash(rel))
		}
	}
	return plain(filepath.ToSlash(strings.TrimPrefix(file, l.Prefix+string(filepath.Separator))))
}

// strangers finds code that no RECORD lists: inside what the engine computes with it takes the place of listed code, since
// an extension module wins over a source file and a folder over a module. Elsewhere it is named.
func (l *look) strangers() {
	for _, s := range l.env.sites {
		entries, err := os.ReadDir(s.dir)
		if err != nil {
			continue
		}
		core := l.coreTops(s.dir)
		for _, e := range entries {
			at := filepath.Join(s.dir, e.Name())
			switch _, listed := l.listed[at]; {
			case core[e.Name()] && (e.IsDir() || e.Type()&fs.ModeSymlink != 0):
				l.strange(real(at), at)
			case listed || e.Name() == "__pycache__" || strings.HasSuffix(e.Name(), ".dist-info") || strings.HasSuffix(e.Name(), ".pth"):
			case isCode(e.Name()) && core[stem(e.Name())]:
				l.modified("%s stands beside %s and no RECORD lists it", plain(e.Name()), stem(e.Name()))
				l.changed[plain(e.Name())], _ = l.digests.of(at)
			case isCode(e.Name()) && !isStartup(e.Name()):
				l.note("%s is in no RECORD", plain(e.Name()))
			}
		}
	}
}

// coreTops are the packages and modules of the engine and of what it computes with.
func (l *look) coreTops(dir string) map[string]bool {
	out := map[string]bool{}
	for _, d := range l.dists {
		if d.site == dir && l.isCore(d.Name) && !d.Editable {
			maps.Copy(out, d.tops)
		}
	}
	return out
}

// strange walks one package folder; name is how its RECORD calls it.
func (l *look) strange(dir, name string) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // what cannot be read cannot be imported either
		}
		if d.IsDir() {
			if d.Name() == "__pycache__" {
				return filepath.SkipDir
			}
			return nil
		}
		at := name + strings.TrimPrefix(path, dir)
		if _, listed := l.listed[at]; !listed && isCode(d.Name()) {
			l.modified("%s is in no RECORD", l.short(at))
			l.changed[l.short(at)], _ = l.digests.of(path)
		}
		return nil
	})
}

// isCode says whether Python or the dynamic linker runs a file by its name.
func isCode(name string) bool {
	switch filepath.Ext(name) {
	case ".py", ".so", ".pyc", ".pth", ".zip", ".egg":
		return true
	}
	return strings.Contains(name, ".so.")
}

// stem is a module's name.
func stem(name string) string {
	base, _, _ := strings.Cut(name, ".")
	return base
}

// sum digests what is too long to be listed.
func (l *look) sum() {
	var others, changed []string
	for _, d := range l.dists {
		if !l.isCore(d.Name) {
			others = append(others, fmt.Sprintf("%s %s %s", d.Name, d.Version, d.Content))
		}
	}
	for file, sum := range l.changed {
		changed = append(changed, file+" "+sum)
	}
	l.id.Others = len(others)
	l.id.OthersSum, l.id.ChangedSum = sumOf(others), sumOf(changed)
}

func sumOf(lines []string) string {
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:])
}
