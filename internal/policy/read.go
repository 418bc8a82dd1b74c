package policy

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/sotaloop/sotaloop/internal/yamlfile"
)

//go:embed policy.schema.json
var schema string

// Schema is the JSON Schema (draft 2020-12) of policy.yaml.
func Schema() []byte { return []byte(schema) }

// frameworks are the types of engines, as hosts.yaml has them.
var frameworks = []string{"sglang", "vllm", "tensorrt_llm", "tokenspeed"}

// most bounds for numbers of a patch's size.
const (
	mostLines = 1_000_000
	mostFiles = 10_000
)

// reader reads one policy file and remembers on which line each key stands.
type reader struct {
	*yamlfile.Walker
	lines map[string]int
}

// Parse reads a policy. The first defect is a fault whose Field is file:line:column.
func Parse(raw []byte, path string) (Policy, error) {
	r := reader{&yamlfile.Walker{File: path, One: "keep the policy in one document"}, map[string]int{}}
	p := Policy{File: path, lines: r.lines, raw: raw}
	if root := r.Parse(raw); root != nil {
		r.Mapping(root, "the policy file", r.keys(&p))
	}
	if err := r.Err(); err != nil {
		return Policy{}, err
	}
	sum := sha256.Sum256(raw)
	p.digest = hex.EncodeToString(sum[:])
	return p, nil
}

func (r reader) keys(p *Policy) yamlfile.Fields {
	return r.noted("", yamlfile.Fields{
		"read_only":           r.Boolean("read_only", &p.ReadOnly),
		"require_independent": r.Boolean("require_independent", &p.RequireIndependent),
		"hosts":               r.list("hosts", &p.Hosts, checkPattern),
		"engines":             r.list("engines", &p.Engines, checkPattern),
		"frameworks":          r.list("frameworks", &p.Frameworks, checkFramework),
		"models":              r.list("models", &p.Models, checkPattern),
		"flags":               r.flags(p),
		"trust_remote_code":   r.list("trust_remote_code", &p.TrustRemoteCode, checkCheckpoint),
		"branch":              r.Text("branch", &p.Branch, checkBranch),
		"approvers":           r.list("approvers", &p.Approvers, checkPrincipal),
		"budgets": r.section("budgets", yamlfile.Fields{
			"gpu_hours_per_campaign":  r.Amount("gpu_hours_per_campaign", &p.Budgets.GPUHoursPerCampaign),
			"gpu_hours_per_host_day":  r.Amount("gpu_hours_per_host_day", &p.Budgets.GPUHoursPerHostDay),
			"wall_hours_per_campaign": r.Amount("wall_hours_per_campaign", &p.Budgets.WallHoursPerCampaign),
			"launches_per_day":        r.Amount("launches_per_day", &p.Budgets.LaunchesPerDay),
		}),
		"patch": r.section("patch", yamlfile.Fields{
			"max_lines": r.count("max_lines", &p.Patch.MaxLines, mostLines),
			"max_files": r.count("max_files", &p.Patch.MaxFiles, mostFiles),
			"over":      r.Choice("over", &p.Patch.Over, OverWarn, OverRefuse),
		}),
	})
}

// noted makes each key of a table remember its line.
func (r reader) noted(prefix string, known yamlfile.Fields) yamlfile.Fields {
	out := yamlfile.Fields{}
	for name, read := range known {
		out[name] = func(key, value ast.Node) {
			r.lines[prefix+name], _ = yamlfile.Position(key)
			read(key, value)
		}
	}
	return out
}

// section reads a mapping under a key; nothing written after the key is an empty one.
func (r reader) section(name string, known yamlfile.Fields) yamlfile.Reads {
	return func(_, value ast.Node) {
		if v := r.Resolve(value); v != nil && v.Type() == ast.NullType {
			return
		}
		r.Mapping(value, name, r.noted(name+".", known))
	}
}

// list reads a list of texts; an empty one is not the same as none.
func (r reader) list(name string, dst *[]string, check func(string) string) yamlfile.Reads {
	return func(key, value ast.Node) {
		*dst = []string{}
		r.Texts(name, dst, check)(key, value)
	}
}

// count reads a whole number above 0.
func (r reader) count(name string, dst *int, most int) yamlfile.Reads {
	return func(key, value ast.Node) {
		var n *int
		r.Number(name, &n, most)(key, value)
		switch {
		case n == nil:
		case *n == 0:
			r.Fail(value, "%s 0 allows no patch at all", name).Hint("leave the key out for the default, or set read_only: true")
		default:
			*dst = *n
		}
	}
}

// flags reads the lists of free-text flags, by framework.
func (r reader) flags(p *Policy) yamlfile.Reads {
	p.Flags = map[string][]string{}
	return r.Each("flags", checkFramework, func(name string, key, value ast.Node) {
		var list []string
		r.Texts("flags of "+name, &list, checkFlag)(key, value)
		p.Flags[name] = list
	})
}

var (
	patternText   = regexp.MustCompile(`^[A-Za-z0-9*][A-Za-z0-9._@/*-]{0,199}$`)
	flagText      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	checkpointIs  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}@[0-9A-Za-z][0-9A-Za-z._-]{0,99}$`)
	branchSegment = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	control       = regexp.MustCompile(`[\x00-\x20\x7f]`)
)

func checkPattern(s string) string {
	if !patternText.MatchString(s) {
		return `is no name: letters, digits and . _ - @ /, with "*" for any of them`
	}
	return ""
}

func checkFramework(s string) string {
	if !slices.Contains(frameworks, s) {
		return "is no framework (valid: " + strings.Join(frameworks, ", ") + ")"
	}
	return ""
}

func checkFlag(s string) string {
	if !flagText.MatchString(s) {
		return "is no flag: write its name without dashes before it"
	}
	return ""
}

func checkCheckpoint(s string) string {
	if !checkpointIs.MatchString(s) {
		return "is no checkpoint: write model@revision, one revision each"
	}
	return ""
}

func checkPrincipal(s string) string {
	if s == "" || control.MatchString(s) {
		return "is no principal of allowed_signers"
	}
	return ""
}

// checkBranch takes names that git takes, below a folder of their own, different for each proposal.
func checkBranch(s string) string {
	for _, part := range []string{"{campaign}", "{proposal}"} {
		if strings.Count(s, part) != 1 {
			return "needs " + part + " once, so that every proposal has a branch of its own"
		}
	}
	segments := strings.Split(strings.NewReplacer("{campaign}", "c", "{proposal}", "p").Replace(s), "/")
	for _, x := range segments {
		if !branchSegment.MatchString(x) || strings.Contains(x, "..") || strings.HasSuffix(x, ".") || strings.HasSuffix(x, ".lock") {
			return "is no name of a branch: letters, digits and . _ - between slashes"
		}
	}
	if folder, _, below := strings.Cut(s, "/"); !below || folder == "refs" || strings.Contains(folder, "{") {
		return "has no folder of its own: begin it with one, as in " + DefaultBranch
	}
	return ""
}
