package genuine

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
)

// mapped is one entry of the table in setuptools' finder: package and folder.
var mapped = regexp.MustCompile(`'([A-Za-z_][A-Za-z0-9_.]*)': '((?:[^'\\]|\\.)*)'`)

// editable describes an install whose files lie elsewhere: every folder that its finder points to has to lie in one git
// checkout, whose files are those of its commit.
func (l *look) editable(d *dist, engine bool) { //nolint:revive // whether it is the engine itself, which the record shows
	folders := l.pointed(d)
	if len(folders) == 0 {
		l.modified("the editable install of %s points to no folder that can be found", d.Name)
		return
	}
	root := checkoutOf(folders[0])
	for _, f := range folders {
		if r := checkoutOf(f); r == "" || r != root {
			l.modified("the editable install of %s points to %s, which is not in one git checkout with the rest", d.Name, plain(f))
			return
		}
	}
	c, err := checkout(root, folders)
	if err != nil {
		l.modified("the checkout %s of %s cannot be read: %s", plain(root), d.Name, plain(err.Error()))
		return
	}
	for _, file := range c.Changed {
		l.modified("%s of %s differs from commit %.12s", file, d.Name, c.Commit)
		l.changed[file], _ = l.digests.of(filepath.Join(root, filepath.FromSlash(file)))
	}
	for _, file := range c.Built {
		l.changed[file], _ = l.digests.of(filepath.Join(root, filepath.FromSlash(file)))
	}
	if len(c.Built) > 0 {
		l.note("%d compiled or generated files of %s are in no commit", len(c.Built), d.Name)
	}
	l.shadows(d, folders)
	if engine {
		l.id.Kind, l.id.Checkout = KindEditable, c
	} else {
		l.note("%s is an editable install of commit %.12s of %s", d.Name, c.Commit, plain(root))
	}
}

// shadows finds packages and modules that are imported before those of an editable install, whose finder is asked last.
func (l *look) shadows(d *dist, folders []string) {
	for _, s := range l.env.sites {
		for _, f := range folders {
			found, _ := filepath.Glob(filepath.Join(quoteGlob(s.dir), filepath.Base(f)))
			more, _ := filepath.Glob(filepath.Join(quoteGlob(s.dir), filepath.Base(f)+".*"))
			for _, at := range append(found, more...) {
				if info, err := os.Stat(at); err == nil && (info.IsDir() || isCode(at)) {
					l.modified("%s is imported before the editable install of %s", l.short(at), d.Name)
				}
			}
		}
	}
}

// pointed gives the package folders that the listed .pth files and finders of an editable install name.
func (l *look) pointed(d *dist) []string {
	var out []string
	add := func(dir string) {
		if info, err := os.Stat(dir); err == nil && info.IsDir() && !slices.Contains(out, real(dir)) {
			out = append(out, real(dir))
		}
	}
	for file := range d.files {
		base := filepath.Base(file)
		raw, err := readCapped(file, 1<<20)
		switch {
		case err != nil || filepath.Dir(file) != d.site:
		case strings.HasSuffix(base, ".pth"):
			for text := range strings.Lines(string(raw)) {
				if text = strings.TrimSpace(text); filepath.IsAbs(text) {
					add(filepath.Join(text, l.importOf(d)))
				}
			}
		case strings.HasPrefix(base, "__editable__") && strings.HasSuffix(base, ".py"):
			for _, m := range mapped.FindAllStringSubmatch(string(raw), -1) {
				if filepath.IsAbs(m[2]) {
					add(strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(m[2]))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// importOf is the package of an editable distribution: the engine's is known, of others the name tells.
func (l *look) importOf(d *dist) string {
	if d.Name == normal(l.Names[0]) && l.Import != "" {
		return l.Import
	}
	return strings.ReplaceAll(d.Name, "-", "_")
}

// checkoutOf is the root of the git checkout that holds a folder; empty where none does.
func checkoutOf(dir string) string {
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// checkout compares the folders of a working tree with its commit.
func checkout(root string, folders []string) (*Checkout, error) {
	repo, err := gitops.Open(root)
	if err != nil {
		return nil, err
	}
	head, err := repo.Head()
	if err != nil {
		return nil, err
	}
	c := &Checkout{Root: root, Commit: head.Commit, Folders: []string{}, Changed: []string{}, Built: []string{}}
	for _, dir := range folders {
		rel, err := filepath.Rel(root, dir)
		if err != nil {
			return nil, err
		}
		if rel = filepath.ToSlash(rel); rel == "." {
			rel = ""
		}
		c.Folders = append(c.Folders, rel)
		d, err := repo.Differences(head.Commit, rel, dir)
		if err != nil {
			return nil, err
		}
		for _, f := range d.Changed {
			c.Changed = append(c.Changed, plain(f))
		}
		for _, f := range d.Untracked {
			switch {
			case !isCode(f) || strings.Contains("/"+f, "/__pycache__/"):
			case strings.HasSuffix(f, ".py") && !isVersion(f):
				c.Changed = append(c.Changed, plain(f))
			default:
				c.Built = append(c.Built, plain(f))
			}
		}
	}
	return c, nil
}

// isVersion says whether a file is one that build backends write the version into.
func isVersion(file string) bool {
	return slices.Contains([]string{"_version.py", "version.py", "__version__.py", "_commit_id.py"}, filepath.Base(file))
}
