package policy_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/policy"
)

// whole is a policy with every key.
const whole = `# what agents may do here
read_only: false
hosts: [h100a, "lab-*"]
engines: ["sglang-*", vllm]
frameworks: [sglang, vllm]
models: ["Qwen/*"]
flags:
  vllm: [async-scheduling-mode]
trust_remote_code: [Qwen/Qwen3-8B@0123abcd]
branch: perf/agents/{campaign}-{proposal}
approvers: [alice@example.org]
require_independent: true
budgets:
  gpu_hours_per_campaign: 24
  gpu_hours_per_host_day: 48.5
  wall_hours_per_campaign: 72
  launches_per_day: 300
patch:
  max_lines: 200
  max_files: 4
  over: refuse
`

// bad are policies that are refused, with where and a part of why. What a schema cannot say is beyond it.
var bad = map[string]struct {
	text, at, want string
	beyondSchema   bool
}{
	"unknown key":            {"red_only: true\n", "p.yaml:1:1", `did you mean "read_only"`, false},
	"unknown budget":         {"budgets:\n  launches: 3\n", "p.yaml:2:3", `unknown key "launches"`, false},
	"wrong type":             {"read_only: perhaps\n", "p.yaml:1:12", "true or false", false},
	"list that is none":      {"hosts: h100a\n", "p.yaml:1:8", "a list", false},
	"host with a space":      {"hosts: [\"h 1\"]\n", "p.yaml:1:9", "is no name", false},
	"unknown framework":      {"frameworks: [sglng]\n", "p.yaml:1:14", "is no framework", false},
	"flags of nothing":       {"flags: {sglng: [x]}\n", "p.yaml:1:9", "is no framework", false},
	"flag with dashes":       {"flags: {vllm: [--x]}\n", "p.yaml:1:16", "without dashes", false},
	"checkpoint alone":       {"trust_remote_code: [Qwen/Qwen3-8B]\n", "p.yaml:1:21", "model@revision", false},
	"checkpoints by pattern": {"trust_remote_code: [\"Qwen/*@abc\"]\n", "p.yaml:1:21", "model@revision", false},
	"budget of nothing":      {"budgets: {launches_per_day: 0}\n", "p.yaml:1:29", "above 0", false},
	"budget below nothing":   {"budgets: {launches_per_day: -3}\n", "p.yaml:1:29", "above 0", false},
	"budget without end":     {"budgets: {launches_per_day: .inf}\n", "p.yaml:1:29", "a number", true},
	"budget of text":         {"budgets: {launches_per_day: many}\n", "p.yaml:1:29", "a number", false},
	"patch of nothing":       {"patch: {max_lines: 0}\n", "p.yaml:1:20", "no patch at all", false},
	"patch over":             {"patch: {over: shout}\n", "p.yaml:1:15", `unknown over "shout"`, false},
	"branch of all":          {"branch: agents/patch\n", "p.yaml:1:9", "{campaign}", false},
	"branch on top":          {"branch: \"{campaign}/{proposal}\"\n", "p.yaml:1:9", "folder of its own", false},
	"branch with dots":       {"branch: \"a/../{campaign}{proposal}\"\n", "p.yaml:1:9", "no name of a branch", true},
	"branch with a dash":     {"branch: \"-a/{campaign}{proposal}\"\n", "p.yaml:1:9", "no name of a branch", true},
	"branch as a lock":       {"branch: \"a/{campaign}/{proposal}.lock\"\n", "p.yaml:1:9", "no name of a branch", true},
	"branch as a reference":  {"branch: \"refs/heads/{campaign}{proposal}\"\n", "p.yaml:1:9", "folder of its own", true},
	"approver with a space":  {"approvers: [\"a b\"]\n", "p.yaml:1:13", "no principal", false},
	"key twice":              {"read_only: true\nread_only: false\n", "p.yaml:2:1", "already defined", true},
	"second document":        {"read_only: false\n---\nread_only: true\n", "p.yaml:3:1", "second document", true},
	"no YAML":                {"read_only: [\n", "p.yaml:1", "not YAML", true},
	"a list of things":       {"- read_only\n", "p.yaml:1:1", "a mapping", false},
	"case of a key":          {"Read_Only: true\n", "p.yaml:1:1", "unknown key", false},
}

func TestParse(t *testing.T) {
	t.Parallel()
	p, err := policy.Parse([]byte(whole), "policy.yaml")
	require.NoError(t, err)
	require.Equal(t, []string{"h100a", "lab-*"}, p.Hosts)
	require.Equal(t, policy.Budgets{GPUHoursPerCampaign: 24, GPUHoursPerHostDay: 48.5, WallHoursPerCampaign: 72, LaunchesPerDay: 300}, p.Budgets)
	require.Equal(t, policy.PatchSize{MaxLines: 200, MaxFiles: 4, Over: policy.OverRefuse}, p.Patch)
	require.Equal(t, "perf/agents/20261123_x_sota_loop-patch-1", p.BranchName("20261123_x_sota_loop", "patch-1"))
	require.Equal(t, whole, string(p.Bytes()))
	for name, c := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := policy.Parse([]byte(c.text), "p.yaml")
			f, ok := fault.As(err)
			require.True(t, ok, "%v", err)
			require.Contains(t, f.Field, c.at)
			require.Contains(t, f.Error()+" "+hints(f), c.want)
		})
	}
}

// TestSchema holds the schema to the parser.
func TestSchema(t *testing.T) {
	t.Parallel()
	var schema jsonschema.Schema
	require.NoError(t, json.Unmarshal(policy.Schema(), &schema))
	resolved, err := schema.Resolve(nil)
	require.NoError(t, err)
	validate := func(text string) error {
		var v any
		require.NoError(t, yaml.Unmarshal([]byte(text), &v))
		asJSON, err := json.Marshal(v)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(asJSON, &v))
		return resolved.Validate(v)
	}
	require.NoError(t, validate(whole))
	require.NoError(t, validate(""))
	for name, c := range bad {
		if !c.beyondSchema {
			require.Error(t, validate(c.text), name)
		}
	}
}

func hints(f *fault.Error) string {
	out := ""
	for _, h := range f.Hints {
		out += h + " "
	}
	return out
}

func TestMissingFileIsTheDefault(t *testing.T) {
	t.Parallel()
	p, err := policy.Read(filepath.Join(t.TempDir(), "none.yaml"))
	require.NoError(t, err)
	require.Equal(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", p.Digest())
	require.False(t, p.ReadOnly)
	require.Empty(t, p.Flags)
	empty := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(empty, []byte("# nothing yet\n"), 0o600))
	commented, err := policy.Read(empty)
	require.NoError(t, err)
	require.NotEqual(t, p.Digest(), commented.Digest())
	f := policy.Force{Frozen: p, Now: p}
	require.Nil(t, f.Excludes(policy.KeyHosts, "any"))
	require.False(t, f.Trusts("Qwen/Qwen3-8B@0123abcd"))
	limit, line, ok := f.Budget(policy.KeyCampaignGPUHours)
	require.True(t, ok)
	require.InDelta(t, 500, limit, 0)
	require.Equal(t, "by default", line.Where)
	_, _, ok = f.Budget(policy.KeyHostDayGPUHours)
	require.False(t, ok)
}
