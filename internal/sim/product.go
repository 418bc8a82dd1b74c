package sim

import (
	"path"
	"strings"
)

const pythonVersion = "3.12.11"

// product is one installable framework.
type product struct {
	id      string // canonical id
	folder  string // below venvs, also the import name
	dist    string // distribution name
	version string
	scripts []string
}

func productOf(id string) (product, bool) {
	for _, p := range []product{
		{"sglang", "sglang", "sglang", "0.5.15.post1", []string{"sglang"}},
		{"vllm", "vllm", "vllm", "0.26.0", []string{"vllm"}},
		{"tensorrt_llm", "tensorrt_llm", "tensorrt_llm", "1.2.1", []string{"trtllm-serve"}},
		{"tokenspeed", "tokenspeed", "tokenspeed", "0.1.1", []string{"tokenspeed", "ts"}},
	} {
		if p.id == id {
			return p, true
		}
	}
	return product{}, false
}

// installed are the files below site-packages. Only SGLang comes with source: its trace locations and its
// switch are read from it. The others get the two files that tell a package and its version.
func (p product) installed(opt Options) map[string][]byte {
	info := p.dist + "-" + p.version + ".dist-info"
	out := map[string][]byte{
		info + "/METADATA":  []byte("Metadata-Version: 2.1\nName: " + p.dist + "\nVersion: " + p.version + "\nSummary: simulated by sotaloop\n"),
		info + "/INSTALLER": []byte("sotaloop-simulator\n"),
	}
	if p.id != "sglang" {
		out[p.folder+"/__init__.py"] = []byte("\"\"\"Simulated " + p.dist + ".\"\"\"\n\nfrom .version import __version__\n")
		out[p.folder+"/version.py"] = []byte("__version__ = \"" + p.version + "\"\n")
		return out
	}
	for name, data := range SourceFiles() {
		if rest, ok := strings.CutPrefix(name, "python/"); ok && strings.HasPrefix(rest, "sglang/") {
			out[path.Clean(rest)] = data
		}
	}
	if opt.Commit != "" {
		out[info+"/direct_url.json"] = render(map[string]any{"url": opt.Source,
			"vcs_info": map[string]string{"vcs": "git", "commit_id": opt.Commit}})
	}
	return out
}
