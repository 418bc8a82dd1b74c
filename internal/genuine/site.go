package genuine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// site is a folder of installed packages with the prefix of the environment that it belongs to.
type site struct{ prefix, dir string }

// environment is what an interpreter imports from.
type environment struct {
	prefix string
	home   string   // of the base interpreter, as pyvenv.cfg says; empty without one
	sites  []site   // first on the path first
	libs   []string // standard libraries
}

// environmentOf reads an environment's folders from its layout and its pyvenv.cfg.
func environmentOf(prefix string) environment {
	e := environment{prefix: prefix}
	e.sites = sitesOf(prefix)
	config := readConfig(filepath.Join(prefix, "pyvenv.cfg"))
	e.home = config["home"]
	base := prefix
	if e.home != "" {
		base = filepath.Dir(e.home)
		if strings.EqualFold(config["include-system-site-packages"], "true") {
			e.sites = append(e.sites, sitesOf(base)...)
		}
	}
	for _, pattern := range []string{base, real(base)} {
		found, _ := filepath.Glob(filepath.Join(quoteGlob(pattern), "lib", "python3.*"))
		for _, dir := range found {
			if dir = real(dir); !slices.Contains(e.libs, dir) {
				e.libs = append(e.libs, dir)
			}
		}
	}
	return e
}

// sitesOf finds an environment's package folders, each once however it is linked.
func sitesOf(prefix string) []site {
	var out []site
	have := map[string]bool{}
	for _, lib := range []string{"lib", "lib64", "local/lib"} {
		for _, name := range []string{"site-packages", "dist-packages"} {
			dirs, _ := filepath.Glob(filepath.Join(quoteGlob(prefix), filepath.FromSlash(lib), "python3*", name))
			for _, dir := range dirs {
				if info, err := os.Stat(dir); err != nil || !info.IsDir() || have[real(dir)] {
					continue
				}
				have[real(dir)] = true
				out = append(out, site{prefix, dir})
			}
		}
	}
	return out
}

// readConfig reads pyvenv.cfg: lines of key = value.
func readConfig(path string) map[string]string {
	out := map[string]string{}
	raw, _ := readCapped(path, 1<<16)
	for l := range strings.Lines(string(raw)) {
		if k, v, ok := strings.Cut(l, "="); ok {
			out[strings.ToLower(strings.TrimSpace(k))] = strings.TrimSpace(v)
		}
	}
	return out
}

// dists reads every distribution of an environment.
func (e environment) dists() []*dist {
	var out []*dist
	for _, s := range e.sites {
		infos, _ := filepath.Glob(filepath.Join(quoteGlob(s.dir), "*.dist-info"))
		for _, info := range infos {
			out = append(out, readDist(s.prefix, s.dir, info))
		}
	}
	return out
}

func real(path string) string {
	if r, err := filepath.EvalSymlinks(path); err == nil {
		return r
	}
	return path
}

func quoteGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
