package trace_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

// productTrace is a trace of operators that launch one kernel each, of 10 us.
func productTrace(t *testing.T, device string, ops ...[3]string) trace.Stage {
	t.Helper()
	var events []string
	for i, op := range ops {
		at := 100 * (i + 1)
		events = append(events,
			fmt.Sprintf(`{"ph":"X","cat":"cpu_op","name":%q,"pid":1,"tid":1,"ts":%d,"dur":20,"args":{"External id":%d,"Input type":%s,"Input Dims":%s}}`, op[0], at, i+1, op[1], op[2]),
			fmt.Sprintf(`{"ph":"X","cat":"cuda_runtime","name":"cudaLaunchKernel","pid":1,"tid":1,"ts":%d,"dur":2,"args":{"External id":%d,"correlation":%d}}`, at+5, i+1, i+1),
			fmt.Sprintf(`{"ph":"X","cat":"kernel","name":"nvjet_%d","pid":0,"tid":7,"ts":%d,"dur":10,"args":{"External id":%d,"correlation":%d,"stream":7}}`, i, at+30, i+1, i+1),
			fmt.Sprintf(`{"ph":"X","cat":"kernel","name":"splitKreduce","pid":0,"tid":7,"ts":%d,"dur":1,"args":{"External id":%d,"correlation":%d,"stream":7}}`, at+41, i+1, i+1))
	}
	path := filepath.Join(t.TempDir(), "x-decode-TP-0.trace.json")
	text := fmt.Sprintf(`{"deviceProperties":[{"id":0,"name":%q}],"traceEvents":[%s]}`, device, strings.Join(events, ","))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	a, err := trace.Analyze(t.Context(), []string{path}, trace.Options{})
	require.NoError(t, err)
	require.Len(t, a.Stages, 1)
	return a.Stages[0]
}

func TestRooflineOfRecordedShapes(t *testing.T) {
	t.Parallel()
	const half, eight = `["c10::BFloat16","c10::BFloat16"]`, `["c10::Float8_e4m3fn","c10::Float8_e4m3fn"]`
	s := productTrace(t, "NVIDIA H100 80GB HBM3",
		[3]string{"aten::mm", half, `[[8,1536],[1536,8960]]`},
		[3]string{"aten::mm", half, `[[4096,4096],[4096,4096]]`},
		[3]string{"aten::addmm", `["c10::BFloat16","c10::BFloat16","c10::BFloat16"]`, `[[64],[8,32],[32,64]]`},
		[3]string{"aten::bmm", half, `[[2,8,32],[2,32,64]]`},
		[3]string{"aten::linear", `["c10::BFloat16","c10::BFloat16",""]`, `[[2,4,32],[64,32],[]]`},
		[3]string{"aten::_scaled_mm", eight, `[[8,32],[32,64]]`},
		[3]string{"aten::add", half, `[[8,32],[8,32]]`},
		[3]string{"aten::mm", `["float","float"]`, `[[8,32],[32,64]]`},
		[3]string{"aten::mm", half, `[[8,32],[33,64]]`}, // no product
		[3]string{"aten::mm", half, `[[],[]]`},
		[3]string{"aten::mm", `["long int","long int"]`, `[[8,32],[32,64]]`},
	)
	got := map[string]*trace.Roofline{}
	for _, k := range s.Kernels {
		got[k.Name] = k.Roofline
	}
	first := got["nvjet_0"]
	flop, bytes := 2.0*8*1536*8960, 2.0*(8*1536+1536*8960+8*8960)
	require.Equal(t, 1, first.Launches)
	require.InEpsilon(t, flop/10e-6/1e12, first.TFLOPs, 1e-9)
	require.InEpsilon(t, bytes/10e-6/1e9, first.GBs, 1e-9)
	require.InEpsilon(t, flop/bytes, first.Intensity, 1e-9)
	require.Equal(t, "memory", first.Bound)
	require.InEpsilon(t, bytes/3.35e12/10e-6, first.OfPeak, 1e-9)
	require.Equal(t, "compute", got["nvjet_1"].Bound)
	require.InEpsilon(t, 2.0*4096*4096*4096/989e12/10e-6, got["nvjet_1"].OfPeak, 1e-9)
	plain := 2.0 * 8 * 32 * 64
	require.InEpsilon(t, plain/10e-6/1e12, got["nvjet_2"].TFLOPs, 1e-9)
	require.InEpsilon(t, 2*plain/10e-6/1e12, got["nvjet_3"].TFLOPs, 1e-9)
	require.InEpsilon(t, plain/10e-6/1e12, got["nvjet_4"].TFLOPs, 1e-9)
	require.InEpsilon(t, (8.0*32+32*64+2*8*64)/10e-6/1e9, got["nvjet_5"].GBs, 1e-9)
	require.Nil(t, got["nvjet_6"], "only matrix products")
	require.Empty(t, got["nvjet_7"].Bound, "float may be TF32")
	require.Nil(t, got["nvjet_8"])
	require.Nil(t, got["nvjet_9"])
	require.Nil(t, got["nvjet_10"])
	require.Nil(t, got["splitKreduce"], "the work is the product's, told once")

	other := productTrace(t, "NVIDIA H100 PCIe", [3]string{"aten::mm", half, `[[8,1536],[1536,8960]]`})
	require.Positive(t, other.Kernels[0].Roofline.TFLOPs)
	require.Empty(t, other.Kernels[0].Roofline.PeakFrom, "another board has other peaks")
}

func TestRooflineIsShown(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	s := productTrace(t, "NVIDIA H200", [3]string{"aten::mm", `["c10::Half","c10::Half"]`, `[[8,1536],[1536,8960]]`})
	require.NoError(t, trace.WriteMarkdown(&b, &trace.Analysis{Stages: []trace.Stage{s}}))
	require.Contains(t, b.String(), "### Roofline of matrix products")
	require.Contains(t, b.String(), "| 1 of 1 | 22.0 | 2769 | 8.0 | memory | 57.7 % | NVIDIA H200, data sheet |")
}
