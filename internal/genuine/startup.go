package genuine

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	// namespacePth is what setuptools writes for old namespace packages: it makes empty modules and imports nothing else.
	namespacePth = regexp.MustCompile(`^import sys, types, os;\s*(has_mfs = sys\.version_info > \(3, 5\);)?p = os\.path\.join\(sys\._getframe\(1\)\.f_locals\['sitedir'\], \*\('[A-Za-z0-9_', ]+\)\);` +
		`importlib = has_mfs and __import__\('importlib\.util'\);has_mfs and __import__\('importlib\.machinery'\);` +
		`m = has_mfs and sys\.modules\.setdefault\('[A-Za-z0-9_.]+', importlib\.util\.module_from_spec\(importlib\.machinery\.PathFinder\.find_spec\('[A-Za-z0-9_.]+', \[os\.path\.dirname\(p\)\]\)\)\);` +
		`m = m or sys\.modules\.setdefault\('[A-Za-z0-9_.]+', types\.ModuleType\('[A-Za-z0-9_.]+'\)\);mp = \(m or \[\]\) and m\.__dict__\.setdefault\('__path__',\[\]\);\(p not in mp\) and mp\.append\(p\)(;m and setattr\(sys\.modules\['[A-Za-z0-9_.]+'\], '[A-Za-z0-9_]+', m\))?$`)
	// finderPth is what setuptools writes for an editable install.
	finderPth = regexp.MustCompile(`^import (__editable___[A-Za-z0-9_]+_finder); (__editable___[A-Za-z0-9_]+_finder)\.install\(\)$`)
	// distutilsPth is setuptools' own.
	distutilsPth = regexp.MustCompile(`^import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os\.environ\.get\(var, '(local|stdlib)'\) == 'local'; enabled and __import__\('_distutils_hack'\)(\.add_shim\(\))?;?\s*$`)
)

// apport is Debian's sitecustomize of the system's interpreter, without comments.
const apport = "try:\n    import apport_python_hook\nexcept ImportError:\n    pass\nelse:\n    apport_python_hook.install()"

// isStartup says whether interpreters import a module of this name by themselves.
func isStartup(name string) bool {
	return slices.Contains([]string{"sitecustomize", "usercustomize"}, stem(name))
}

// startup looks at everything that an interpreter reads before the engine.
func (l *look) startup() {
	for _, s := range l.env.sites {
		entries, _ := os.ReadDir(s.dir)
		for _, e := range entries {
			at := filepath.Join(s.dir, e.Name())
			switch {
			case strings.HasSuffix(e.Name(), ".pth"):
				l.pth(s, at)
			case isStartup(e.Name()):
				l.custom(at)
			}
		}
	}
	for _, lib := range l.env.libs {
		for _, name := range []string{"sitecustomize", "usercustomize"} {
			found, _ := filepath.Glob(filepath.Join(quoteGlob(lib), name+"*"))
			for _, at := range found {
				l.custom(at)
			}
		}
	}
}

// custom judges a sitecustomize or usercustomize: it runs before everything, so that only Debian's is let be.
func (l *look) custom(at string) {
	sum, err := l.digests.of(at)
	raw, _ := readCapped(at, 1<<20)
	if err != nil && len(raw) == 0 {
		sum = "" // a package of that name
	}
	l.id.Startup = append(l.id.Startup, Startup{Name: plain(filepath.Base(at)), SHA256: sum, Owner: l.owner[at], Runs: true})
	if filepath.Ext(at) == ".py" && bare(string(raw)) == apport {
		return
	}
	l.modified("%s runs code before the engine", plain(at))
}

// bare is Python source without comments on lines of their own and empty lines.
func bare(text string) string {
	var keep []string
	for l := range strings.Lines(text) {
		l = strings.TrimRight(l, " \t\r\n")
		if t := strings.TrimSpace(l); t != "" && !strings.HasPrefix(t, "#") {
			keep = append(keep, l)
		}
	}
	return strings.Join(keep, "\n")
}

// pth judges a .pth file line by line, as module site reads it: a line that begins with import is run, another is a folder
// behind the others on the import path.
func (l *look) pth(s site, at string) {
	sum, err := l.digests.of(at)
	raw, rerr := readCapped(at, 1<<20)
	entry := Startup{Name: plain(filepath.Base(at)), SHA256: sum, Owner: l.owner[at]}
	if err != nil || rerr != nil {
		l.modified("%s cannot be read", l.short(at))
		return
	}
	for text := range strings.Lines(strings.TrimPrefix(string(raw), "\ufeff")) {
		text = strings.TrimRight(text, " \t\r\n")
		switch {
		case text == "" || strings.HasPrefix(text, "#"):
		case strings.HasPrefix(text, "import ") || strings.HasPrefix(text, "import\t"):
			entry.Runs = true
			if why := l.unknownLine(s, at, text); why != "" {
				l.modified("%s runs code before the engine: %s", l.short(at), why)
			}
		default:
			l.adds(s, at, text)
		}
	}
	l.id.Startup = append(l.id.Startup, entry)
}

// unknownLine says why an import line of a .pth file is none of those that installers write.
func (l *look) unknownLine(s site, at, text string) string {
	switch {
	case namespacePth.MatchString(text):
		return ""
	case distutilsPth.MatchString(text):
		return l.unlisted(filepath.Join(s.dir, "_distutils_hack", "__init__.py"))
	case text == "import _virtualenv":
		module := filepath.Join(s.dir, "_virtualenv.py")
		if sum, err := l.digests.of(module); err != nil || !isVirtualenv(sum) {
			return "_virtualenv.py is none of those that virtualenv and uv write"
		}
		return ""
	}
	if m := finderPth.FindStringSubmatch(text); m != nil && m[1] == m[2] {
		return l.unlisted(filepath.Join(s.dir, m[1]+".py"))
	}
	if owner := l.owner[at]; l.isCore(owner) {
		return ""
	}
	if len(text) > 100 {
		text = strings.ToValidUTF8(text[:100], "?") + "…"
	}
	return plain(text)
}

// unlisted says that a module is in no RECORD; what differs from its RECORD has been said.
func (l *look) unlisted(module string) string {
	if _, ok := l.listed[module]; ok {
		return ""
	}
	return l.short(module) + " is in no RECORD"
}

// adds judges a folder that a .pth file puts on the import path. It stands behind the packages' own folder, so it matters
// where it holds what is imported first from there: a sitecustomize, or a package of the engine that is not installed.
func (l *look) adds(s site, at, text string) {
	dir := text
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(s.dir, dir)
	}
	for _, name := range []string{"sitecustomize.py", "usercustomize.py", "sitecustomize", "usercustomize"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			l.modified("%s puts %s on the import path, which holds a %s", l.short(at), plain(dir), stem(name))
		}
	}
	if l.owner[at] != "" || l.Import == "" {
		return
	}
	if _, err := os.Stat(filepath.Join(dir, l.Import)); err == nil {
		l.modified("%s puts %s on the import path, which holds a package %s", l.short(at), plain(dir), l.Import)
		return
	}
	l.note("%s puts %s on the import path", l.short(at), plain(dir))
}
