package tools_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/search"
	"github.com/sotaloop/sotaloop/server"
	"github.com/sotaloop/sotaloop/tools"
)

// Budgets of what every client reads before it does anything.
const (
	listBytes  = 24_000
	listTokens = 6_000 // estimated as bytes/4
)

func newLoop(t *testing.T) *loop.Loop {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	home := t.TempDir()
	l := loop.New(ctx, loop.Options{Home: home, Inventory: func() (*hosts.Inventory, error) {
		return &hosts.Inventory{File: filepath.Join(home, "config", "hosts.yaml"), Hosts: map[string]hosts.HostEntry{}}, nil
	}})
	t.Cleanup(func() { cancel(); l.Close() })
	return l
}

// serve gives the raw answer of a server with all tools.
func serve(t *testing.T, request string) json.RawMessage {
	t.Helper()
	s := server.New(server.Options{Name: "sotaloop", Version: "1", Tools: tools.All(newLoop(t)), ValidateOutput: true})
	var out bytes.Buffer
	require.NoError(t, s.ServeStdio(t.Context(), strings.NewReader(request+"\n"), &out))
	line, err := bufio.NewReader(&out).ReadBytes('\n')
	require.NoError(t, err)
	var m struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	require.NoError(t, json.Unmarshal(line, &m))
	require.Nil(t, m.Error, string(line))
	return m.Result
}

type listed struct {
	Name, Description         string
	InputSchema, OutputSchema json.RawMessage
	Annotations               map[string]any
}

func list(t *testing.T) ([]listed, json.RawMessage) {
	t.Helper()
	var got struct{ Tools json.RawMessage }
	require.NoError(t, json.Unmarshal(serve(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`), &got))
	var out []listed
	require.NoError(t, json.Unmarshal(got.Tools, &out))
	return out, got.Tools
}

func TestTheFifteen(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{
		"list_hosts", "open_campaign", "get_campaign", "list_flags", "search_deployments", "run_benchmark", "compare_results",
		"capture_profile", "analyze_trace", "propose_patch", "apply_patch_branch", "revalidate", "wait_job", "cancel_job", "write_report",
	}, tools.Names(tools.All(newLoop(t))))
}

func TestListFitsItsBudget(t *testing.T) {
	t.Parallel()
	got, raw := list(t)
	require.Len(t, got, 15)
	t.Logf("tools/list: %d bytes, about %d tokens", len(raw), len(raw)/4)
	require.LessOrEqual(t, len(raw), listBytes)
	require.LessOrEqual(t, len(raw)/4, listTokens)
}

func TestEveryToolIsWellDescribed(t *testing.T) {
	t.Parallel()
	got, _ := list(t)
	for _, tool := range got {
		require.NotEmpty(t, tool.Description, tool.Name)
		require.LessOrEqual(t, len(tool.Description), 320, tool.Name)
		require.True(t, strings.HasSuffix(tool.Description, "."), tool.Name)
		for _, hint := range []string{"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} {
			require.IsType(t, true, tool.Annotations[hint], "%s %s", tool.Name, hint)
		}
		require.Equal(t, tool.Name == "cancel_job", tool.Annotations["destructiveHint"], tool.Name)
		for _, schema := range []json.RawMessage{tool.InputSchema, tool.OutputSchema} {
			var s map[string]any
			require.NoError(t, json.Unmarshal(schema, &s))
			require.Equal(t, "object", s["type"], tool.Name)
			requireTypes(t, tool.Name, s)
		}
		require.Contains(t, string(tool.InputSchema), `"additionalProperties":false`, tool.Name)
		for _, name := range []string{"state", "job", "warnings", "evidence", "next"} {
			require.Contains(t, string(tool.OutputSchema), `"`+name+`":{`, tool.Name)
		}
		if !slices.Contains([]string{"list_hosts", "open_campaign", "get_campaign"}, tool.Name) {
			require.Contains(t, string(tool.InputSchema), `"required":["campaign"`, tool.Name)
		}
	}
}

// requireTypes wants one plain type on every property, as strict clients do.
func requireTypes(t *testing.T, where string, schema map[string]any) {
	t.Helper()
	for _, word := range []string{"anyOf", "oneOf", "allOf", "$ref", "$schema", "$id", "title"} {
		require.NotContains(t, schema, word, where)
	}
	properties, _ := schema["properties"].(map[string]any)
	for name, p := range properties {
		inner, ok := p.(map[string]any)
		require.True(t, ok, "%s.%s is %v", where, name, p)
		require.IsType(t, "", inner["type"], "%s.%s", where, name)
		requireTypes(t, where+"."+name, inner)
		if items, ok := inner["items"].(map[string]any); ok {
			requireTypes(t, where+"."+name+"[]", items)
		}
	}
}

// TestSchemasAreKnown keeps every tool's declaration in testdata, so that a change of it is seen in review.
func TestSchemasAreKnown(t *testing.T) {
	t.Parallel()
	got, raw := list(t)
	var each []json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &each))
	for i, tool := range got {
		var pretty bytes.Buffer
		require.NoError(t, json.Indent(&pretty, each[i], "", "  "))
		pretty.WriteByte('\n')
		file := filepath.Join("testdata", tool.Name+".json")
		if os.Getenv("UPDATE") != "" {
			require.NoError(t, os.MkdirAll("testdata", 0o755))
			require.NoError(t, os.WriteFile(file, pretty.Bytes(), 0o600))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), pretty.String(), tool.Name)
	}
}

func TestEnumsAreTheDomains(t *testing.T) {
	t.Parallel()
	enum := func(of reflect.Type, name string) []string {
		f, ok := of.FieldByName(name)
		require.True(t, ok, name)
		var out []string
		for part := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
			if value, ok := strings.CutPrefix(part, "enum="); ok {
				out = append(out, value)
			}
		}
		return out
	}
	require.Equal(t, contract.Studies, enum(reflect.TypeFor[tools.OpenCampaignIn](), "Study"))
	require.Equal(t, contract.Arrivals, enum(reflect.TypeFor[tools.Scenario](), "Arrival"))
	require.Equal(t, []string{contract.KindRandom, contract.KindText, contract.KindChat}, enum(reflect.TypeFor[tools.Scenario](), "Kind"))
	require.Equal(t, search.Strategies, enum(reflect.TypeFor[tools.SearchDeploymentsIn](), "Strategy"))
}

// refusal is a fault as a client reads it.
type refusal struct {
	Code, Rule, Message, Field, Got string
	Want, Hints                     []string
	Next                            []struct{ Tool, Why string }
}

// call calls a tool and gives its success, or its refusal.
func call(t *testing.T, tool, arguments string) (map[string]any, refusal) {
	t.Helper()
	var got struct {
		IsError           bool
		StructuredContent map[string]any
		Content           []struct{ Text string }
	}
	require.NoError(t, json.Unmarshal(serve(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+tool+`","arguments":`+arguments+`}}`), &got))
	require.Len(t, got.Content, 1)
	var r refusal
	if got.IsError {
		require.Nil(t, got.StructuredContent)
		require.NoError(t, json.Unmarshal([]byte(got.Content[0].Text), &r))
	}
	return got.StructuredContent, r
}

func TestAnEmptyHomeAnswers(t *testing.T) {
	t.Parallel()
	got, _ := call(t, "list_hosts", `{}`)
	require.Equal(t, []any{}, got["hosts"])
	require.Contains(t, got["warnings"].([]any)[0], "hosts.yaml")
	got, _ = call(t, "get_campaign", `{}`)
	require.Equal(t, []any{}, got["items"])
	require.Equal(t, "done", got["state"])
}

func TestEveryToolRefusesAnUnknownCampaign(t *testing.T) {
	t.Parallel()
	for tool, arguments := range map[string]string{
		"get_campaign": ``, "list_flags": `"framework":"sglang"`, "search_deployments": `"framework":"sglang"`, "run_benchmark": `"candidates":["a"]`,
		"compare_results": ``, "capture_profile": `"candidate":"a","scenario":"chat"`, "analyze_trace": `"trace":"trace-1"`,
		"propose_patch":      `"diff":"x","rows":["r"],"stage":"decode","location":"x:1","symptom":{"scenario":"chat","metric":"tpot_ms"},"predicted_gain":0.05,"rationale":"r"`,
		"apply_patch_branch": `"proposal":"patch-1"`, "revalidate": `"proposal":"patch-1"`, "wait_job": `"job":"job-1"`, "cancel_job": `"job":"job-1","reason":"r"`, "write_report": ``,
	} {
		if arguments != "" {
			arguments = "," + arguments
		}
		_, r := call(t, tool, `{"campaign":"nope"`+arguments+`}`)
		require.Equal(t, "not_found", r.Code, tool)
		require.Equal(t, "nope", r.Got, tool)
		require.NotEmpty(t, r.Next, tool)
	}
}

func TestInputsAreRefusedWithAWayOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ tool, arguments, field, hint string }{
		"misspelt field":   {"list_flags", `{"campaign":"c","framework":"sglang","comand":"serve"}`, "comand", `did you mean "command"?`},
		"misspelt study":   {"open_campaign", `{"model":"m","host":"h","study":"tunes"}`, "study", `did you mean "tune"?`},
		"misspelt arrival": {"open_campaign", `{"scenarios":[{"name":"chat","arrival":"poison"}]}`, "scenarios[0].arrival", `did you mean "poisson"?`},
		"no rows":          {"propose_patch", `{"campaign":"c","diff":"d"}`, "rows", `give "rows": row ids of analyze_trace, of the slow stage`},
		"long wait":        {"wait_job", `{"campaign":"c","job":"job-1","timeout_s":600}`, "timeout_s", "give 1 to 50"},
		"a word for SLA":   {"open_campaign", `{"sla":"default"}`, "sla", ""},
		"an SLA of words":  {"open_campaign", `{"sla":{"max_p50_ttft_ms":"fast"}}`, "sla.max_p50_ttft_ms", "give a number"},
	} {
		_, r := call(t, c.tool, c.arguments)
		require.Equal(t, "invalid_input", r.Code, name)
		require.Equal(t, c.field, r.Field, name)
		if c.hint != "" {
			require.Contains(t, r.Hints, c.hint, name)
		}
	}
}

func TestProgressWithoutAListenerIsNothing(t *testing.T) {
	t.Parallel()
	tools.Progress(t.Context())(1, 2, "x")
	var got []string
	ctx := tools.WithProgress(t.Context(), func(_, _ float64, message string) { got = append(got, message) })
	tools.Progress(ctx)(1, 2, "x")
	require.Equal(t, []string{"x"}, got)
}

func TestDefineRefusesAForeignIn(t *testing.T) {
	t.Parallel()
	tool := tools.Define("x", "", "", tools.Hints{}, func(context.Context, tools.WriteReportIn) (tools.Answer, error) { return tools.Answer{}, io.EOF })
	_, err := tool.Call(t.Context(), 5)
	require.ErrorContains(t, err, "called with int, expected tools.WriteReportIn")
	_, err = tool.Call(t.Context(), tools.WriteReportIn{})
	require.ErrorIs(t, err, io.EOF)
}
