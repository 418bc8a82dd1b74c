package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/server"
)

// told calls a fixture tool and gives what it understood, the warnings and, of a refusal, field, code and hints.
func told(t *testing.T, tool, arguments string) (in json.RawMessage, warnings []string, refused struct {
	Code, Field string
	Hints       []string
},
) {
	t.Helper()
	var out bytes.Buffer
	line := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, tool, arguments)
	require.NoError(t, server.New(options()).ServeStdio(t.Context(), strings.NewReader(line+"\n"), &out))
	var got struct {
		Result struct {
			IsError           bool
			Content           []struct{ Text string }
			StructuredContent struct {
				In       json.RawMessage
				Warnings []string
			}
		}
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &got), out.String())
	require.NotEmpty(t, got.Result.Content, out.String())
	if got.Result.IsError {
		require.NoError(t, json.Unmarshal([]byte(got.Result.Content[0].Text), &refused))
	}
	return got.Result.StructuredContent.In, got.Result.StructuredContent.Warnings, refused
}

// TestSlipsAreCoercedAndSaid: what can mean one thing only is read as that, and the answer says so.
func TestSlipsAreCoercedAndSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ given, read, said string }{
		"a number in quotes":            {`"blocks":"42"`, `"blocks":42`, `"blocks" was the string "42" and was read as the number 42`},
		"a number with spaces":          {`"blocks":" 42 "`, `"blocks":42`, `the number 42`},
		"a fraction in quotes":          {`"predicted_gain":"5e-2"`, `"predicted_gain":0.05`, `the number 0.05`},
		"true in quotes":                {`"plan":"true"`, `"plan":true`, `was read as true`},
		"Python's true":                 {`"plan":"True"`, `"plan":true`, `was read as true`},
		"a scalar for a list":           {`"stages":"decode"`, `"stages":["decode"]`, `a list of one`},
		"a list for a scalar":           {`"framework":["vllm"]`, `"framework":"vllm"`, `"framework" was a list of 1 and was read as its only item`},
		"a list for an object":          {`"symptom":[{"scenario":"chat","metric":"m"}]`, `"symptom":{"scenario":"chat","metric":"m"}`, `its only item`},
		"a list in a string":            {`"gpus":"[0, 1]"`, `"gpus":[0,1]`, `the list in it`},
		"an object in a string":         {`"symptom":"{\"scenario\":\"chat\",\"metric\":\"m\"}"`, `"symptom":{"scenario":"chat","metric":"m"}`, `the object in it`},
		"an object where a word may be": {`"sla":"{\"max_p50_ttft_ms\":500}"`, `"sla":{"max_p50_ttft_ms":500}`, `the object in it`},
		"a space behind a value":        {`"framework":"vllm "`, `"framework":"vllm"`, `"framework" was the string "vllm " and was read as "vllm"`},
		"a line end in a list":          {`"stages":["decode\n"]`, `"stages":["decode"]`, `"stages[0]"`},
		"nothing for a number":          {`"blocks":""`, ``, `"blocks" was the string "" and was read as left out`},
		"nothing for one of a few":      {`"framework":""`, ``, `left out`},
		"nothing for a list":            {`"gpus":""`, ``, `left out`},
		"a number for a text":           {`"command":8000`, `"command":"8000"`, `the string "8000"`},
		"null is no slip":               {`"blocks":null`, ``, ``},
		"a whole number with a point":   {`"blocks":4.0`, `"blocks":4`, ``},
		"an empty text is no slip":      {`"command":""`, ``, ``},
	} {
		in, warnings, refused := told(t, "echo", `{"campaign":"c",`+c.given+`}`)
		require.Empty(t, refused.Code, "%s: %v", name, refused)
		want := `{"campaign":"c"}`
		if c.read != "" {
			want = `{"campaign":"c",` + c.read + `}`
		}
		require.JSONEq(t, want, string(in), name)
		if c.said == "" {
			require.Empty(t, warnings, name)
			continue
		}
		require.NotEmpty(t, warnings, name)
		require.Contains(t, strings.Join(warnings, "\n"), c.said, name)
		for _, w := range warnings {
			require.True(t, strings.HasPrefix(w, "coerced: "), "%s: %s", name, w)
		}
	}
}

// TestWhatCouldMeanTwoThingsIsRefused: nobody guesses.
func TestWhatCouldMeanTwoThingsIsRefused(t *testing.T) {
	t.Parallel()
	for given, field := range map[string]string{
		`"plan":"yes"`: "plan", `"plan":1`: "plan", `"blocks":"4 or 6"`: "blocks", `"blocks":"0x10"`: "blocks", `"blocks":"1_000"`: "blocks", `"blocks":true`: "blocks",
		`"blocks":4.5`: "blocks", `"blocks":[4,6]`: "blocks", `"blocks":[[4]]`: "blocks", `"blocks":"∞"`: "blocks", `"blocks":{"n":4}`: "blocks", `"framework":"VLLM"`: "framework",
		`"framework":["vllm","sglang"]`: "framework", `"framework":[]`: "framework", `"stages":"prefill,decode"`: "stages[0]", `"gpus":"0,1"`: "gpus[0]", `"gpus":[""]`: "gpus[0]",
		`"symptom":"scenario: chat"`: "symptom", `"symptom":[]`: "symptom", `"symptom":"{\"scenario\":\"a\",\"scenario\":\"b\",\"metric\":\"m\"}"`: "symptom",
		`"sla":"default"`: "sla", `"space":"{\"a\":[1]} and more"`: "space", `"blocks":"NaN"`: "blocks", `"blocks":"1e99"`: "blocks",
	} {
		_, _, refused := told(t, "echo", `{"campaign":"c",`+given+`}`)
		require.Equal(t, "invalid_input", refused.Code, given)
		require.Equal(t, field, refused.Field, given)
	}
	_, _, refused := told(t, "echo", `{"campaign":""}`)
	require.Empty(t, refused.Code, "a required text may be empty for all the decoder knows; the domain refuses it")
}

// TestARefusalSaysWhatWasCoerced: what a call was read as is said, too, where its rule refuses it.
func TestARefusalSaysWhatWasCoerced(t *testing.T) {
	t.Parallel()
	_, _, refused := told(t, "choosy", `{"blocks":"7"}`)
	require.Equal(t, "rule_violation", refused.Code)
	require.Equal(t, []string{"give an even number", `coerced: "blocks" was the string "7" and was read as the number 7`}, refused.Hints)
	_, _, refused = told(t, "choosy", `{"blocks":7}`)
	require.Equal(t, []string{"give an even number"}, refused.Hints)
}
