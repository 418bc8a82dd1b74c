package framework_test

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// TestHelpOfACPUBuild holds what a real CPU build of vLLM prints against the help that was taken with stand-ins, flag by
// flag: name, kind and class. SGLang prints the same there to the byte.
func TestHelpOfACPUBuild(t *testing.T) {
	t.Parallel()
	other := map[string]string{"--lora-dtype": framework.KindEnum} // its choices depend on the platform
	fw := adapter(t, contract.VLLM)
	for _, name := range []string{"vllm_serve_all", "vllm_bench_serve_all"} {
		f, err := os.Open(filepath.Join("testdata", "help", "cpu", name+".txt.gz"))
		require.NoError(t, err)
		unpacked, err := gzip.NewReader(f)
		require.NoError(t, err)
		raw, err := io.ReadAll(unpacked)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		got, err := fw.ParseHelp(string(raw))
		require.NoError(t, err)
		want := helpOf(t, name, contract.VLLM)
		require.Len(t, got.Flags, len(want.Flags))
		for i, w := range want.Flags {
			g := got.Flags[i]
			require.Equal(t, w.Name, g.Name)
			require.Equal(t, w.Aliases, g.Aliases)
			require.Equal(t, fw.Class(w), fw.Class(g), w.Name)
			if kind, differs := other[w.Name]; differs {
				require.Equal(t, kind, g.Kind)
				continue
			}
			require.Equal(t, w.Kind, g.Kind, w.Name)
			require.ElementsMatch(t, w.Choices, g.Choices, w.Name)
		}
	}
}
