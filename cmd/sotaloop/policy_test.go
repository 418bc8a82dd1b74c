package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/policy"
)

func TestTheDemoDoesNotGoAroundTheOwner(t *testing.T) {
	t.Parallel()
	system := t.TempDir()
	require.NoError(t, ownRoots(system))
	require.NoError(t, os.WriteFile(filepath.Join(system, policy.HostsFile), nil, 0o600))
	require.Equal(t, fault.Denied, fault.CodeOf(ownRoots(system)))
}

func TestPolicyIsPrinted(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(systemConfig); err == nil {
		t.Skip("this machine has " + systemConfig)
	}
	home := t.TempDir()
	var out bytes.Buffer
	show := func(args ...string) error {
		out.Reset()
		return runPolicy(t.Context(), streams{Out: &out}, append([]string{"--home", home}, args...))
	}
	require.NoError(t, show())
	require.Contains(t, out.String(), "the defaults")
	require.Contains(t, out.String(), "budgets.launches_per_day: 2000")
	require.NoError(t, os.MkdirAll(filepath.Join(home, "config"), 0o700))
	path := filepath.Join(home, "config", policy.PolicyFile)
	require.NoError(t, os.WriteFile(path, []byte("models: [\"Qwen/*\"]\n"), 0o600))
	require.NoError(t, show("--json"))
	var got policyReport
	require.NoError(t, json.Unmarshal(out.Bytes(), &got))
	require.Equal(t, path, got.File)
	require.True(t, got.Exists)
	require.Equal(t, "unprotected", got.TrustRoots)
	require.Len(t, got.Exposed, 3)
	require.Contains(t, got.InForce, "models: [Qwen/*]")
	require.NoError(t, os.Chmod(path, 0o666))
	require.Equal(t, fault.Denied, fault.CodeOf(show()))
	require.Error(t, show("extra"))
	for _, args := range [][]string{{}, {"hosts"}, {"policy"}} {
		out.Reset()
		require.NoError(t, runSchema(t.Context(), streams{Out: &out}, args))
		require.True(t, json.Valid(out.Bytes()))
	}
	require.Error(t, runSchema(t.Context(), streams{Out: &out}, []string{"rows"}))
}
