package trace_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/trace"
)

func TestMicrosecondsBecomeNanoseconds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"0": 0, "1": 1000, "4566345754922.244": 4566345754922244, "0.768": 768, "-2.5": -2500, "1.0006": 1001, "1.0004": 1000, "1.00049": 1000,
		"1.5e3": 1500000, "2E-3": 2, "1690000000000000.123": 1690000000000000123, "7.1": 7100, "7.12": 7120,
	} {
		got, ok := trace.ParseNanos([]byte(text))
		require.True(t, ok, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "-", "NaN", "Infinity", "1e308", "1e99", "x", "1.2.3", "99999999999999999999", "0x1p", "null"} {
		_, ok := trace.ParseNanos([]byte(text))
		require.False(t, ok, text)
	}
}

func TestDurationsArePackedRoundedUp(t *testing.T) {
	t.Parallel()
	for _, ns := range []int64{0, 1, 1<<31 - 1} {
		require.Equal(t, ns, trace.SpanRoundTrip(ns))
	}
	for _, ns := range []int64{1 << 31, 3_600_000_000_001, 1 << 42} {
		got := trace.SpanRoundTrip(ns)
		require.GreaterOrEqual(t, got, ns)
		require.Less(t, got-ns, int64(4096))
	}
	require.Positive(t, trace.SpanRoundTrip(1<<61)) // saturates
}

func TestFamilies(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"nvjet_sm90_tst_128x64_64x8_1x2_h_bz_TNT":                         "nvjet_sm90_tst",
		"void vllm::rms_norm_kernel<c10::BFloat16, 8, 2>(c10::BFloat16*)": "vllm::rms_norm_kernel<c10::BFloat16, #, #>",
		"triton_poi_fused_mul_silu_3":                                     "triton_poi_fused_mul_silu_#",
		"Memcpy HtoD (Pinned -> Device)":                                  "Memcpy HtoD (Pinned -> Device)",
		"## Call CompiledFxGraph fplwoxxjllcb2r6c3m4c ##":                 "## Call CompiledFxGraph",
		"fmha_sm90_fp8": "fmha_sm90_fp8",
	} {
		require.Equal(t, want, trace.FamilyName(name))
	}
}
