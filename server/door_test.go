package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/server"
)

// TestSecretsInArgumentsAreRefused sends one in every kind of field, plain and encoded, and texts that only look like it.
func TestSecretsInArgumentsAreRefused(t *testing.T) {
	t.Parallel()
	c := dialPipes(t, server.New(options()), server.DialOptions{})
	for name, args := range map[string]map[string]any{
		"a text":            {"campaign": "c", "command": "serve --hf-token " + secret},
		"a list":            {"campaign": "c", "stages": []string{"prefill", secret}},
		"a key":             {"campaign": "c", "space": map[string]any{secret: []any{1}}},
		"deep":              {"campaign": "c", "space": map[string]any{"--x": []any{map[string]any{"y": []any{"a " + secret}}}}},
		"base64":            {"campaign": base64.StdEncoding.EncodeToString([]byte(secret)), "command": "x"},
		"percent":           {"campaign": "c", "cursor": url.QueryEscape("token=" + secret + "&")},
		"JSON in a string":  {"campaign": "c", "symptom": `{"scenario": "` + secret + `"}`},
		"another one's":     {"campaign": "c", "command": "git clone https://me:hunter2x@git.example/x"},
		"a key with armour": {"campaign": "c", "command": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA"},
	} {
		got, err := c.Call(t.Context(), "echo", args)
		require.NoError(t, err, name)
		require.True(t, got.IsError, name)
		var f struct {
			Rule, Field, Got string
			Hints            []string
		}
		require.NoError(t, json.Unmarshal([]byte(got.Text), &f), got.Text)
		require.Equal(t, "flow.no-secret", f.Rule, name)
		require.Contains(t, args, f.Field, name)
		require.Equal(t, "[redacted]", f.Got)
		require.NotEmpty(t, f.Hints)
		require.NotContains(t, got.Text, secret)
	}
}

// TestHonestArgumentsPassTheDoor is the twin of the test above.
func TestHonestArgumentsPassTheDoor(t *testing.T) {
	t.Parallel()
	c := dialPipes(t, server.New(options()), server.DialOptions{})
	for _, text := range []string{
		"Qwen/Qwen3-8B@9c7b0a2f4de1b6c8a3f05e7d9b1c2a3f4d5e6f70", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		"--- a/python/sglang/srt/token.py\n+++ b/python/sglang/srt/token.py\n@@ -1 +1 @@\n-    api_key = None\n+    api_key = config.api_key\n",
		"HF_TOKEN is listed under secrets", "kernel:decode:3@0123456789abcdef", "max_total_tokens=8192 --chunked-prefill-size 4096",
	} {
		got, err := c.Call(t.Context(), "echo", map[string]any{"campaign": "c", "command": text})
		require.NoError(t, err)
		require.False(t, got.IsError, got.Text)
	}
}
