package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// The protocol eras: with a handshake, and without any state.
const (
	Era2025 = "2025-11-25"
	Era2026 = "2026-07-28"
)

// Client calls the tools of a server. It plays the agent in the demo and in tests.
type Client struct {
	c            *client.Client
	instructions string
}

// Result is a tool's answer.
type Result struct {
	IsError    bool
	Structured json.RawMessage // nil for an error
	Text       string          // the JSON of a success or of a fault
}

// Listed is a tool as a client sees it.
type Listed struct {
	Name, Title, Description  string
	InputSchema, OutputSchema json.RawMessage
}

// DialOptions say how a Client introduces itself.
type DialOptions struct {
	Era     string // Era2026 when empty
	Name    string // of the client
	Version string
	// Token is the bearer token of a server that speaks HTTP on TCP.
	Token string
	// Socket is the path of a server's Unix socket; the URL then only names Path.
	Socket string
	// Progress takes the server's progress notifications; nil drops them.
	Progress func(message string, done, total float64)
}

// DialStdio starts argv with env ("NAME=value") added to this process's environment and speaks to its standard input
// and output. The process is killed when ctx is done; Close ends it orderly.
func DialStdio(ctx context.Context, argv, env []string, opts DialOptions) (*Client, error) {
	if len(argv) == 0 {
		return nil, errors.New("dial: no command")
	}
	return dial(ctx, transport.NewStdioWithOptions(argv[0], env, argv[1:]), opts)
}

// DialPipes speaks to a server that reads from to and writes to from. Close closes to.
func DialPipes(ctx context.Context, from io.Reader, to io.WriteCloser, opts DialOptions) (*Client, error) {
	return dial(ctx, transport.NewIO(from, to, io.NopCloser(strings.NewReader(""))), opts)
}

// DialHTTP speaks to the server at url.
func DialHTTP(ctx context.Context, url string, opts DialOptions) (*Client, error) {
	how := []transport.StreamableHTTPCOption{transport.WithHTTPLogger(slog.New(slog.DiscardHandler))}
	if opts.Token != "" {
		how = append(how, transport.WithHTTPHeaders(map[string]string{"Authorization": "Bearer " + opts.Token}))
	}
	if opts.Socket != "" {
		how = append(how, transport.WithHTTPBasicClient(&http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", opts.Socket)
			},
		}}))
	}
	t, err := transport.NewStreamableHTTP(url, how...)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	return dial(ctx, t, opts)
}

// dial opens the conversation.
func dial(ctx context.Context, t transport.Interface, opts DialOptions) (*Client, error) {
	era := opts.Era
	if era == "" {
		era = Era2026
	}
	c := client.NewClient(t, client.WithProtocolVersion(era))
	if opts.Progress != nil {
		c.OnNotification(func(n mcp.JSONRPCNotification) {
			p := n.Params.AdditionalFields
			message, _ := p["message"].(string)
			done, _ := p["progress"].(float64)
			total, _ := p["total"].(float64)
			opts.Progress(message, done, total)
		})
	}
	if err := c.Start(ctx); err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	var hello mcp.InitializeRequest
	hello.Params.ProtocolVersion = era
	hello.Params.ClientInfo = mcp.Implementation{Name: opts.Name, Version: opts.Version}
	got, err := c.Initialize(ctx, hello)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("dial: %w", err), c.Close())
	}
	if got.ProtocolVersion != era {
		return nil, errors.Join(fmt.Errorf("dial: the server speaks %q, not %q", got.ProtocolVersion, era), c.Close())
	}
	return &Client{c: c, instructions: got.Instructions}, nil
}

// Instructions are what the server tells every client.
func (c *Client) Instructions() string { return c.instructions }

// Tools lists the server's tools.
func (c *Client) Tools(ctx context.Context) ([]Listed, error) {
	got, err := c.c.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil {
		return nil, fmt.Errorf("list tools: %w", err)
	}
	out := make([]Listed, 0, len(got.Tools))
	for _, t := range got.Tools {
		in, inErr := json.Marshal(t.InputSchema)
		o, outErr := json.Marshal(t.OutputSchema)
		if err := errors.Join(inErr, outErr); err != nil {
			return nil, fmt.Errorf("list tools: %w", err)
		}
		out = append(out, Listed{Name: t.Name, Title: t.Title, Description: t.Description, InputSchema: in, OutputSchema: o})
	}
	return out, nil
}

// Call calls a tool with args, any value that encodes as a JSON object, or nil. A refusal is a Result with IsError; an
// error means that the call did not reach a tool or its answer did not come back.
func (c *Client) Call(ctx context.Context, tool string, args any) (Result, error) {
	req := mcp.CallToolRequest{}
	req.Params.Name, req.Params.Arguments = tool, args
	req.Params.Meta = &mcp.Meta{ProgressToken: tool}
	got, err := c.c.CallTool(ctx, req)
	if err != nil {
		return Result{}, fmt.Errorf("call %q: %w", tool, err)
	}
	out := Result{IsError: got.IsError, Structured: got.RawStructuredContent}
	for _, part := range got.Content {
		if t, ok := part.(mcp.TextContent); ok {
			out.Text += t.Text
		}
	}
	return out, nil
}

// Close ends the conversation, and the process that DialStdio started.
func (c *Client) Close() error { return c.c.Close() }
