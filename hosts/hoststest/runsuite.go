package hoststest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// conformRun: how a command ends is a result, that it could not begin is an error.
func conformRun(t *testing.T, newConn NewConn) {
	conn := newConn(t)
	for _, c := range []struct {
		name, script string
		want         hosts.Result
	}{
		{"success", `exit 0`, hosts.Result{}},
		{"failure", `exit 3`, hosts.Result{ExitCode: 3}},
		{"highest", `exit 255`, hosts.Result{ExitCode: 255}},
		{"its own 127", `exit 127`, hosts.Result{ExitCode: 127}},
		{"terminated", `kill -TERM $$; sleep 60`, hosts.Result{ExitCode: -1, Signal: "TERM"}},
		{"killed", `kill -KILL $$; sleep 60`, hosts.Result{ExitCode: -1, Signal: "KILL"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, err := conn.Run(t.Context(), shell(c.script))
			require.NoError(t, err)
			require.Equal(t, c.want.ExitCode, res.ExitCode)
			require.Equal(t, c.want.Signal, res.Signal)
			require.Equal(t, c.want.ExitCode == 0, res.IsSuccess())
		})
	}
	t.Run("no program", func(t *testing.T) {
		for _, name := range []string{"sotaloop-no-such-program", "/nowhere/program", "/etc/passwd", "/tmp"} {
			_, err := conn.Run(t.Context(), hosts.Cmd{Argv: []string{name}})
			require.Equal(t, fault.NotFound, fault.CodeOf(err), "%s: %v", name, err)
			require.ErrorContains(t, err, name)
		}
	})
}

// conformRefusals: what some transport could not carry, none does.
func conformRefusals(t *testing.T, newConn NewConn) {
	conn := newConn(t)
	for name, c := range map[string]hosts.Cmd{
		"no program":        {},
		"empty program":     {Argv: []string{""}},
		"dash":              {Argv: []string{"-c"}},
		"NUL in argument":   {Argv: []string{"echo", "a\x00b"}},
		"NUL in value":      {Argv: []string{"true"}, Env: map[string]string{"A": "\x00"}},
		"assignment":        {Argv: []string{"true"}, Env: map[string]string{"A=B": "c"}},
		"shell in name":     {Argv: []string{"true"}, Env: map[string]string{"A;id": "c"}},
		"empty name":        {Argv: []string{"true"}, Env: map[string]string{"": "c"}},
		"relative folder":   {Argv: []string{"true"}, Dir: "tmp"},
		"other's home":      {Argv: []string{"true"}, Dir: "~root"},
		"negative cap":      {Argv: []string{"true"}, MaxOutput: -1},
		"too long":          {Argv: []string{"true", strings.Repeat("a", 200_000)}},
		"too long variable": {Argv: []string{"true"}, Env: map[string]string{"A": strings.Repeat("a", 200_000)}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := conn.Run(t.Context(), c)
			require.Equal(t, fault.InvalidInput, fault.CodeOf(err), "%v", err)
			_, err = conn.Start(t.Context(), c)
			require.Equal(t, fault.InvalidInput, fault.CodeOf(err), "%v", err)
		})
	}
}
