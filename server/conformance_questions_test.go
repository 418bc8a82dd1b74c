//go:build conformance

package server_test

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpgo "github.com/mark3labs/mcp-go/server"

	"github.com/sotaloop/sotaloop/server"
)

// asked are a client's answers so far, and the state that it sent back.
type asked struct {
	responses mcp.InputResponses
	state     string
	may       *mcp.ClientCapabilities
}

func (a asked) has(ids ...string) bool {
	return !slices.ContainsFunc(ids, func(id string) bool { _, ok := a.responses[id]; return !ok })
}

// form asks a person to fill in properties.
func form(message, properties string) mcp.ElicitationParams {
	props := schema(properties)
	required := make([]string, 0, len(props))
	for name := range props {
		required = append(required, name)
	}
	slices.Sort(required)
	return mcp.ElicitationParams{Message: message, RequestedSchema: map[string]any{"type": "object", "properties": props, "required": required}}
}

// sample asks the client's model.
func sample(text string) mcp.CreateMessageParams {
	return mcp.CreateMessageParams{MaxTokens: 100, Messages: []mcp.SamplingMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent(text)}}}
}

// addQuestions adds tools that ask the client before they answer. One handler serves both eras.
func addQuestions(s *server.Server) {
	state := newStates()
	add := func(name, input string, answer func(ctx context.Context, a asked, args map[string]any) (*mcp.CallToolResult, error)) {
		s.AddRawTool(mcp.NewToolWithRawSchema(name, "Asks the client.", json.RawMessage(input)), func(ctx context.Context, req mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return answer(ctx, asked{req.Params.InputResponses, req.Params.RequestState, capabilities(ctx)}, req.GetArguments())
		})
	}
	ask := func(name, state string, need []string, build func(*mcpgo.InputRequestBuilder, map[string]any)) {
		add(name, `{"type":"object","properties":{"prompt":{"type":"string"},"message":{"type":"string"}}}`, func(_ context.Context, a asked, args map[string]any) (*mcp.CallToolResult, error) {
			if a.has(need...) && a.state == state {
				return mcp.NewToolResultText("state-ok: " + a.told()), nil
			}
			b := mcpgo.NewInputRequestBuilder(state)
			build(b, args)
			return b.ToolResult(), nil
		})
	}
	text := func(args map[string]any, key string) string { return fmt.Sprint(args[key]) }
	add("test_sampling", `{"type":"object","properties":{"prompt":{"type":"string"}}}`, func(ctx context.Context, _ asked, args map[string]any) (*mcp.CallToolResult, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // the library waits for a stream that is not served
		defer cancel()
		got, err := s.Library().RequestSampling(ctx, mcp.CreateMessageRequest{CreateMessageParams: sample(text(args, "prompt"))}) //nolint:staticcheck // the suite asks for what is deprecated
		if err != nil {
			return nil, err
		}
		return mcp.NewToolResultText(fmt.Sprintf("LLM response: %v", got.Content)), nil
	})
	ask("test_elicitation", "", []string{"user"}, func(b *mcpgo.InputRequestBuilder, args map[string]any) {
		b.Elicit("user", form(text(args, "message"), `{"username":{"type":"string","description":"User's response"},"email":{"type":"string","description":"User's email address"}}`))
	})
	ask("test_elicitation_sep1034_defaults", "", []string{"user"}, func(b *mcpgo.InputRequestBuilder, _ map[string]any) {
		b.Elicit("user", form("Provide your information", `{"name":{"type":"string","default":"John Doe"},"age":{"type":"integer","default":30},"score":{"type":"number","default":95.5},
			"status":{"type":"string","enum":["active","inactive","pending"],"default":"active"},"verified":{"type":"boolean","default":true}}`))
	})
	ask("test_elicitation_sep1330_enums", "", []string{"user"}, func(b *mcpgo.InputRequestBuilder, _ map[string]any) {
		b.Elicit("user", form("Select options", `{"untitledSingle":{"type":"string","enum":["option1","option2","option3"]},
			"titledSingle":{"type":"string","oneOf":[{"const":"value1","title":"First Option"},{"const":"value2","title":"Second Option"}]},
			"legacyEnum":{"type":"string","enum":["opt1","opt2"],"enumNames":["Option One","Option Two"]},
			"untitledMulti":{"type":"array","items":{"type":"string","enum":["option1","option2","option3"]}},
			"titledMulti":{"type":"array","items":{"anyOf":[{"const":"value1","title":"First Choice"},{"const":"value2","title":"Second Choice"}]}}}`))
	})
	name := form("What is your name?", `{"name":{"type":"string"}}`)
	confirm := form("Please confirm", `{"ok":{"type":"boolean"}}`)
	ask("test_input_required_result_elicitation", "", []string{"user_name"}, func(b *mcpgo.InputRequestBuilder, _ map[string]any) { b.Elicit("user_name", name) })
	ask("test_input_required_result_sampling", "", []string{"capital_question"}, func(b *mcpgo.InputRequestBuilder, _ map[string]any) {
		b.Sample("capital_question", sample("What is the capital of France?"))
	})
	ask("test_input_required_result_list_roots", "", []string{"client_roots"}, func(b *mcpgo.InputRequestBuilder, _ map[string]any) { b.Roots("client_roots") })
	ask("test_input_required_result_request_state", "one-state", []string{"confirm"}, func(b *mcpgo.InputRequestBuilder, _ map[string]any) { b.Elicit("confirm", confirm) })
	ask("test_input_required_result_multiple_inputs", "one-state", []string{"user_name", "greeting", "client_roots"}, func(b *mcpgo.InputRequestBuilder, _ map[string]any) {
		b.Elicit("user_name", name).Sample("greeting", sample("Generate a greeting")).Roots("client_roots")
	})
	add("test_input_required_result_multi_round", noArgs, func(_ context.Context, a asked, _ map[string]any) (*mcp.CallToolResult, error) {
		switch {
		case a.state == "round-2" && a.has("step2"):
			return mcp.NewToolResultText("Multi-round complete: " + a.told()), nil
		case a.state == "round-1" && a.has("step1"):
			return mcpgo.NewInputRequestBuilder("round-2").Elicit("step2", form("Step 2: What is your favorite color?", `{"color":{"type":"string"}}`)).ToolResult(), nil
		}
		return mcpgo.NewInputRequestBuilder("round-1").Elicit("step1", form("Step 1: What is your name?", `{"name":{"type":"string"}}`)).ToolResult(), nil
	})
	add("test_input_required_result_tampered_state", noArgs, func(_ context.Context, a asked, _ map[string]any) (*mcp.CallToolResult, error) {
		switch {
		case a.state == "":
			return mcpgo.NewInputRequestBuilder(state.seal("tamper-test")).Elicit("confirm", confirm).ToolResult(), nil
		case !state.holds(a.state):
			return nil, server.ErrInvalid
		}
		return mcp.NewToolResultText("integrity-ok: " + a.told()), nil
	})
	add("test_input_required_result_capabilities", noArgs, func(_ context.Context, a asked, _ map[string]any) (*mcp.CallToolResult, error) {
		b := mcpgo.NewInputRequestBuilder(state.seal("capabilities"))
		if a.may != nil && a.may.Elicitation != nil {
			b.Elicit("elicit_input", name)
		}
		if a.may != nil && a.may.Sampling != nil {
			b.Sample("sample_input", sample("Sample request"))
		}
		return b.ToolResult(), nil
	})
}

// told repeats what the client answered.
func (a asked) told() string {
	raw, err := json.Marshal(a.responses)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// states seals what a client holds between two calls.
type states struct{ key []byte }

func newStates() states {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return states{key}
}

func (s states) seal(text string) string {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(text))
	return text + "." + hex.EncodeToString(mac.Sum(nil))
}

func (s states) holds(sealed string) bool {
	text, _, _ := strings.Cut(sealed, ".")
	return hmac.Equal([]byte(sealed), []byte(s.seal(text)))
}
