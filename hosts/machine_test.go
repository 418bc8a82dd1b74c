package hosts_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// saying is a host whose commands all say the same.
type saying struct {
	hosts.Conn
	res hosts.Result
}

func (s saying) Run(context.Context, hosts.Cmd) (hosts.Result, error) { return s.res, nil }

func TestMachine(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{"x86_64\n": "amd64", "aarch64\n": "arm64", "arm64\n": "arm64"} {
		arch, err := hosts.Machine(t.Context(), saying{res: hosts.Result{Stdout: []byte(said)}})
		require.NoError(t, err)
		require.Equal(t, want, arch)
	}
	for _, res := range []hosts.Result{{}, {Stdout: []byte("riscv64\n")}, {Stdout: []byte("x86_64\n"), ExitCode: 1}, {Stdout: []byte("x86_64\nmore\x1b[2J")}} {
		_, err := hosts.Machine(t.Context(), saying{res: res})
		f, ok := fault.As(err)
		require.True(t, ok)
		require.NotContains(t, f.Error(), "\x1b")
		require.Contains(t, f.Hints[0], "uname -m")
	}
	if runtime.GOOS == "linux" {
		arch, err := hosts.Machine(t.Context(), local(t))
		require.NoError(t, err)
		require.Equal(t, runtime.GOARCH, arch, "of the machine that runs this test")
	}
}
