//go:build conformance

package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpgo "github.com/mark3labs/mcp-go/server"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/server"
	"github.com/sotaloop/sotaloop/tools"
)

// What the suite's scenarios expect to find is written in their descriptions; names and texts are theirs.
const (
	pixel   = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
	silence = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="
	plain   = "text/plain"
	noArgs  = `{"type":"object"}`
)

// conformanceFixture is a server that offers what the scenarios ask for: what the product's own types can say through
// server.Options, the rest as raw handlers behind the same guard.
func conformanceFixture() *server.Server {
	s := server.New(server.Options{
		Name: "sotaloop-conformance", Version: "0", Instructions: "A fixture.", ValidateOutput: true,
		Tools: []tools.Tool{
			textTool("test_simple_text", func(context.Context) (string, error) { return "This is a simple text response for testing.", nil }),
			textTool("test_error_handling", func(context.Context) (string, error) {
				return "", fault.New(fault.Denied, "this tool intentionally returns an error for testing")
			}),
			textTool("test_tool_with_progress", func(ctx context.Context) (string, error) {
				for _, done := range []float64{0, 50, 100} {
					tools.Progress(ctx)(done, 100, fmt.Sprintf("Completed step %v of 100", done))
				}
				return "progress reported", nil
			}),
			textTool("test_streaming_elicitation", func(ctx context.Context) (string, error) {
				tools.Progress(ctx)(50, 100, "half")
				return "Streaming complete", nil
			}),
			textTool("test_logging_tool", func(context.Context) (string, error) { return "Logging evaluated", nil }),
		},
		Resources: []server.Resource{
			{URI: "test://static-text", Name: "static-text", Doc: "A static text.", MIME: plain, Read: func(context.Context, map[string]string) (string, error) {
				return "This is the content of the static text resource.", nil
			}},
			{URI: "test://template/{id}/data", Name: "template", Doc: "A template.", MIME: "application/json", Read: func(_ context.Context, v map[string]string) (string, error) {
				return fmt.Sprintf(`{"id":%q,"templateTest":true,"data":"Data for ID: %s"}`, v["id"], v["id"]), nil
			}},
			{URI: "test://watched-resource", Name: "watched", Doc: "A resource to subscribe to.", MIME: plain, Read: func(context.Context, map[string]string) (string, error) {
				return "Watched.", nil
			}},
		},
		Prompts: []server.Prompt{
			{Name: "test_simple_prompt", Doc: "A prompt without arguments.", Render: func(context.Context, map[string]string) (string, error) {
				return "This is a simple prompt for testing.", nil
			}},
			{Name: "test_prompt_with_arguments", Doc: "A prompt with arguments.", Arguments: []server.Argument{{Name: "arg1", Doc: "first", Required: true}, {Name: "arg2", Doc: "second", Required: true}},
				Render: func(_ context.Context, a map[string]string) (string, error) {
					return fmt.Sprintf("Prompt with arguments: arg1='%s', arg2='%s'", a["arg1"], a["arg2"]), nil
				}},
		},
		Complete: func(_ context.Context, _, prefix string) ([]string, error) { return []string{prefix + "ing"}, nil },
	})
	s.Enable(mcpgo.WithLogging(), mcpgo.WithElicitation(), mcpgo.WithRoots(), mcpgo.WithResourceCapabilities(true, false))
	s.Library().EnableSampling()
	addContents(s)
	addPrompts(s)
	addQuestions(s)
	return s
}

// schema gives a property's schema as the suite reads it.
func schema(raw string) map[string]any {
	var out map[string]any
	if err := json.Unmarshal([]byte(raw), &out); err != nil {
		panic(err)
	}
	return out
}

// addContents adds tools whose answers are no text, and one that logs.
func addContents(s *server.Server) {
	embedded := func(uri, mime, text string) mcp.Content {
		return mcp.NewEmbeddedResource(mcp.TextResourceContents{URI: uri, MIMEType: mime, Text: text})
	}
	for name, content := range map[string][]mcp.Content{
		"test_image_content":     {mcp.NewImageContent(pixel, "image/png")},
		"test_audio_content":     {mcp.NewAudioContent(silence, "audio/wav")},
		"test_embedded_resource": {embedded("test://embedded-resource", plain, "This is an embedded resource content.")},
		"test_multiple_content_types": {mcp.NewTextContent("Multiple content types test:"), mcp.NewImageContent(pixel, "image/png"),
			embedded("test://mixed-content-resource", "application/json", `{"test":"data","value":123}`)},
	} {
		s.AddRawTool(mcp.NewToolWithRawSchema(name, "Answers contents that are no text.", json.RawMessage(noArgs)), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{Content: content}, nil
		})
	}
	s.AddRawTool(mcp.NewToolWithRawSchema("test_tool_with_logging", "Logs while it runs.", json.RawMessage(noArgs)), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for _, text := range []string{"Tool execution started", "Tool processing data", "Tool execution completed"} {
			if err := s.Library().SendLogMessageToClient(ctx, mcp.NewLoggingMessageNotification(mcp.LoggingLevelInfo, "fixture", text)); err != nil {
				return nil, err
			}
			time.Sleep(50 * time.Millisecond) // the scenario asks for it
		}
		return mcp.NewToolResultText("Tool with logging executed successfully"), nil
	})
	s.AddRawTool(mcp.NewToolWithRawSchema("json_schema_2020_12_tool", "Has a schema with words of 2020-12.", json.RawMessage(`{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",
		"$defs":{"address":{"$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}}}},
		"properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},"contactMethod":{"type":"string","enum":["phone","email"]},"phone":{"type":"string"},"email":{"type":"string"}},
		"allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],
		"if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},"then":{"required":["phone"]},"else":{"required":["email"]},"additionalProperties":false}`)),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText("called"), nil
		})
	s.AddRawTool(mcp.NewToolWithRawSchema("test_custom_header", "Takes an argument that a header repeats.", json.RawMessage(`{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}`)),
		func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText("called"), nil
		})
	s.AddRawTool(mcp.NewToolWithRawSchema("test_missing_capability", "Needs sampling.", json.RawMessage(noArgs)), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if c := capabilities(ctx); c == nil || c.Sampling == nil {
			return nil, mcp.MissingRequiredClientCapabilityError{Capability: "sampling"}
		}
		return mcp.NewToolResultText("Success"), nil
	})
	s.AddRawResource(mcp.NewResource("test://static-binary", "static-binary", mcp.WithResourceDescription("A picture."), mcp.WithMIMEType("image/png")),
		mcp.BlobResourceContents{URI: "test://static-binary", MIMEType: "image/png", Blob: pixel})
}

// capabilities are those that the client declared with the request, nil where it declares them once.
func capabilities(ctx context.Context) *mcp.ClientCapabilities {
	info := mcpgo.RequestProtocolInfoFromContext(ctx)
	if info == nil {
		return nil
	}
	return info.ClientCapabilities
}

// addPrompts adds prompts that are no text, and one that asks back.
func addPrompts(s *server.Server) {
	user := func(contents ...mcp.Content) *mcp.GetPromptResult {
		out := &mcp.GetPromptResult{Description: "A prompt of the fixture."}
		for _, c := range contents {
			out.Messages = append(out.Messages, mcp.NewPromptMessage(mcp.RoleUser, c))
		}
		return out
	}
	s.AddRawPrompt(mcp.NewPrompt("test_prompt_with_embedded_resource", mcp.WithPromptDescription("Embeds a resource."), mcp.WithArgument("resourceUri", mcp.ArgumentDescription("which"), mcp.RequiredArgument())),
		func(_ context.Context, req mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return user(mcp.NewEmbeddedResource(mcp.TextResourceContents{URI: req.Params.Arguments["resourceUri"], MIMEType: plain, Text: "Embedded resource content for testing."}),
				mcp.NewTextContent("Please process the embedded resource above.")), nil
		})
	s.AddRawPrompt(mcp.NewPrompt("test_prompt_with_image", mcp.WithPromptDescription("Holds a picture.")), func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return user(mcp.NewImageContent(pixel, "image/png"), mcp.NewTextContent("Please analyze the image above.")), nil
	})
	s.AddRawPrompt(mcp.NewPrompt("test_input_required_result_prompt", mcp.WithPromptDescription("Asks for its context.")), func(_ context.Context, req mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		if got := mcpgo.ElicitationResponse(req.Params.InputResponses, "user_context"); got != nil {
			return user(mcp.NewTextContent(fmt.Sprintf("Prompt with context: %v", got.Content))), nil
		}
		return mcpgo.NewInputRequestBuilder("").Elicit("user_context", form("What context should the prompt use?", `{"context":{"type":"string"}}`)).PromptResult(), nil
	})
}
