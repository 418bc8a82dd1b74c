package hoststest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
)

// nasty are arguments that a careless shell line would change.
func nasty() []string {
	return []string{
		"", " ", "plain", "two words", "'", "''", `"`, `\`, `\\`, `\'`, `a\`, `'"'"'`, "$HOME", "${HOME}", "$(id)", "`id`", "$((1+1))",
		"a\nb", "\n", "trailing\n", "\ttab", "a\rb", "*", "?", "[a-z]", "~", "~root", "~/x", "{a,b}", "!!", "!x", "a!b", "#no", "a;b",
		"a&b", "a|b", "a>b", "<in", "--", "-n", "-oProxyCommand=id", "A=B", "%s%n", "%", "^", "grüß 東京 🙂", "\u202eabc", "\x01\x1b[31m",
		"\xff\xfe", "(", ")", "[ -e /", "end\\", strings.Repeat("long ", 2000),
	}
}

// conformArguments: every byte of arguments and variables arrives, and nothing is interpreted on the way.
func conformArguments(t *testing.T, newConn NewConn) {
	conn := newConn(t)
	t.Run("argv", func(t *testing.T) {
		const tell = `for a; do printf '%s\0' "$a"; done`
		require.Equal(t, nasty(), strings.Split(strings.TrimSuffix(must(t, conn, shell(tell, nasty()...)), "\x00"), "\x00"))
	})
	t.Run("each argument alone", func(t *testing.T) {
		for _, want := range []string{"", `\`, "--"} {
			res, err := conn.Run(t.Context(), hosts.Cmd{Argv: []string{"printf", "%s|", want}})
			require.NoError(t, err)
			require.Equal(t, want+"|", string(res.Stdout))
		}
	})
	t.Run("program", func(t *testing.T) {
		dir := scratch(t, conn)
		for _, name := range []string{"A=B", "it's $x", "back\\slash\nend"} {
			path := dir + "/" + name
			require.NoError(t, conn.Upload(t.Context(), strings.NewReader("#!/bin/sh\necho ran \"$1\"\n"), path, 0o700))
			require.Equal(t, "ran it", must(t, conn, hosts.Cmd{Argv: []string{path, "it"}}), "%q", name)
			require.Equal(t, "ran it", must(t, conn, hosts.Cmd{Argv: []string{"./" + name, "it"}, Dir: dir}), "%q", name)
		}
	})
	t.Run("environment", func(t *testing.T) {
		c := hosts.Cmd{Argv: []string{"env", "-0"}, Env: map[string]string{}}
		for i, value := range nasty() {
			c.Env[fmt.Sprintf("SOTALOOP_TEST_%d", i)] = value
		}
		got := strings.Split(must(t, conn, c), "\x00")
		for name, value := range c.Env {
			require.Contains(t, got, name+"="+value)
		}
	})
	t.Run("environment of many", func(t *testing.T) {
		env := map[string]string{"HOME": "/elsewhere", "_x": "1", "mark": "2", "said": "3", "p": "4", "pid": "5", "B": "6"}
		got := strings.Split(must(t, conn, hosts.Cmd{Argv: []string{"env", "-0"}, Env: env}), "\x00")
		for name, value := range env {
			require.Contains(t, got, name+"="+value)
		}
	})
	t.Run("program by PATH", func(t *testing.T) {
		dir := scratch(t, conn)
		require.NoError(t, conn.Upload(t.Context(), strings.NewReader("#!/bin/sh\necho here\n"), dir+"/sotaloop-tool", 0o700))
		c := hosts.Cmd{Argv: []string{"sotaloop-tool"}, Env: map[string]string{"PATH": dir + ":/usr/bin:/bin"}}
		require.Equal(t, "here", must(t, conn, c))
	})
	t.Run("login environment", func(t *testing.T) {
		require.NotEmpty(t, must(t, conn, hosts.Cmd{Argv: []string{"printenv", "PATH"}}))
	})
}
