//go:build linux

package worker_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/worker"
)

func TestParseProcStat(t *testing.T) {
	t.Parallel()
	pid, ppid, start, cpu, err := worker.ParseProcStat("77 (a) (b c) S 4 77 77 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 1 0 98765 1000 300 18446744073709551615 1 1 0 0 0 0 0")
	require.NoError(t, err)
	require.Equal(t, []any{77, 4, uint64(98765), uint64(56)}, []any{pid, ppid, start, cpu})
	for _, bad := range []string{"", "77", "77 (x", "77 (x) S 1 2", "x (y) S 4 77 77 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 1 0 98765 1000 300"} {
		_, _, _, _, err = worker.ParseProcStat(bad)
		require.Error(t, err, bad)
	}
}

func FuzzParseProcStat(f *testing.F) {
	f.Add("1 (systemd) S 0 1 1 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 1 0 5 1000 300")
	f.Add(") (")
	f.Fuzz(func(_ *testing.T, line string) { _, _, _, _, _ = worker.ParseProcStat(line) })
}

func TestParseListeners(t *testing.T) {
	t.Parallel()
	table := `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:7530 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0000000000000000 100 0 0 10 0
   1: 0100007F:7530 0100007F:9999 01 00000000:00000000 00:00000000 00000000  1000        0 4243 1 0000000000000000 100 0 0 10 0
   2: 00000000:7531 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4244 1 0000000000000000 100 0 0 10 0
`
	require.Equal(t, []string{"4242"}, worker.ParseListeners(table, 30000))
	require.Equal(t, []string{"4244"}, worker.ParseListeners(table, 30001))
	require.Empty(t, worker.ParseListeners(table, 1))
	require.Empty(t, worker.ParseListeners("garbage 0A", 1))
}

func TestParseLibraries(t *testing.T) {
	t.Parallel()
	maps := "7f00-7f01 r-xp 00000000 08:01 1   /tmp/my lib.so\n7f01-7f02 r--p 00000000 08:01 1   /tmp/my lib.so\n" +
		"7f02-7f03 r-xp 00000000 08:01 2   /usr/lib/libc.so.6\n7f03-7f04 rw-p 00000000 00:00 0   [heap]\n7f04-7f05 r--s 00000000 08:01 3   /data/weights.safetensors\n"
	require.Equal(t, []string{"/tmp/my lib.so", "/usr/lib/libc.so.6"}, worker.ParseLibraries(maps))
	require.Empty(t, worker.ParseLibraries("garbage\n\n"))
}

func TestParseCPUAndPressure(t *testing.T) {
	t.Parallel()
	busy, all, ok := worker.ParseCPU("cpu  10 1 5 100 20 2 3 4 7 0\ncpu0 1 1 1 1\n")
	require.True(t, ok)
	require.Equal(t, uint64(25), busy, "user nice system irq softirq steal, guest time not twice")
	require.Equal(t, uint64(145), all)
	for _, bad := range []string{"", "cpu 1 2 3", "cpu a b c d e f g h", "intr 1 2 3 4 5 6 7 8 9"} {
		_, _, ok = worker.ParseCPU(bad)
		require.False(t, ok, bad)
	}
	us, ok := worker.ParsePressure("some avg10=1.00 avg60=0.00 avg300=0.00 total=12345\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=9\n", "some")
	require.True(t, ok)
	require.Equal(t, uint64(12345), us)
	_, ok = worker.ParsePressure("full total=9\n", "some")
	require.False(t, ok)
	us, ok = worker.ParsePressure("some total=1\nfull total=9\n", "full")
	require.True(t, ok)
	require.Equal(t, uint64(9), us)
}

func TestClassify(t *testing.T) {
	t.Parallel()
	patterns := []framework.FailurePattern{{Class: framework.FailOOM, Contains: "out of MEMORY"}, {Class: framework.FailChild, Contains: "sigquit"}, {Class: framework.FailBadValue}}
	class, line, ok := worker.Classify([]byte("fine\nReceived SIGQUIT from child\n  CUDA Out of memory: 2 GiB \x1b[0m\nout of memory again\n"), patterns)
	require.True(t, ok)
	require.Equal(t, framework.FailOOM, class, "list order decides, not the log's")
	require.Equal(t, "CUDA Out of memory: 2 GiB", line, "the first line it occurs in")
	_, _, ok = worker.Classify([]byte("all is well"), patterns)
	require.False(t, ok, "an empty pattern matches nothing")
}

func TestCleanText(t *testing.T) {
	t.Parallel()
	require.Equal(t, "red\tplain\nnext", worker.CleanText([]byte("\x1b[31mred\x1b[0m\tpl\u202eain\x00\r\nnext\x1b]0;title\x07"), 100))
	require.Equal(t, "é end", worker.CleanText([]byte("ééé end"), 6), "cut before a whole character")
	require.Equal(t, "a b …", worker.CleanLine("a\n b\tc", 3))
}

func FuzzCleanText(f *testing.F) {
	f.Add([]byte("\x1b[31mred\xff\r\n"), 5)
	f.Fuzz(func(t *testing.T, raw []byte, limit int) {
		if limit < 0 {
			return
		}
		s := worker.CleanText(raw, limit)
		require.LessOrEqual(t, len(s), limit)
		require.True(t, utf8.ValidString(s))
		require.False(t, strings.ContainsFunc(s, func(r rune) bool { return r != '\n' && r != '\t' && unicode.IsControl(r) }))
	})
}

func TestIsComplete(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write([]byte(`{"traceEvents": []}` + strings.Repeat("x", 1000)))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for name, tc := range map[string]struct {
		file, text string
		want       bool
	}{
		"whole gzip":     {"a.json.gz", z.String(), true},
		"torn gzip":      {"b.json.gz", z.String()[:z.Len()-3], false},
		"gzip in name":   {"c.json.gz", strings.Repeat("no gzip ", 10), false},
		"whole json":     {"d.json", `{"traceEvents": [1, 2, 3]}` + "\n", true},
		"torn json":      {"e.json", `{"traceEvents": [1, 2, 3`, false},
		"empty":          {"f.json", "", false},
		"something else": {"g.txt", strings.Repeat("word ", 10), true},
	} {
		write(t, filepath.Join(dir, tc.file), tc.text)
		require.Equal(t, tc.want, worker.IsComplete(filepath.Join(dir, tc.file)), name)
	}
	require.False(t, worker.IsComplete(filepath.Join(dir, "absent")))
}

func TestDecodeAnswer(t *testing.T) {
	t.Parallel()
	var f worker.Facts
	require.NoError(t, worker.DecodeAnswer([]byte(`{"v":1,"answer":{"hostname":"h"}}`), &f))
	require.Equal(t, "h", f.Hostname)
	err := worker.DecodeAnswer([]byte(`{"v":1,"fault":{"code":"busy","rule":"host.lease","message":"gpu 0 is leased","hints":["wait"]}}`), &f)
	got, ok := fault.As(err)
	require.True(t, ok)
	require.Equal(t, []any{fault.Busy, "host.lease", []string{"wait"}}, []any{got.Code, got.Rule, got.Hints})
	for _, bad := range []string{"", "Welcome to host!\n", `{"v":1}`, `{"v":99,"answer":{}}`} {
		require.Error(t, worker.DecodeAnswer([]byte(bad), &f), bad)
	}
}

func FuzzLayTar(f *testing.F) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "pkg/a.py", Size: 1, Mode: 0o644, Typeflag: tar.TypeReg})
	_, _ = w.Write([]byte("x"))
	_ = w.Close()
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "t.tar"), raw, 0o600))
		require.NoError(t, os.Mkdir(filepath.Join(dir, "out"), 0o700))
		_ = worker.LayTar(filepath.Join(dir, "t.tar"), "pkg", filepath.Join(dir, "out"))
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, left, 2, "nothing is written beside the folder")
	})
}

func TestParseCPUInfo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text, model string
		cores       int
		flags       []string
	}{
		"x86": {"processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8480+\nflags\t\t: fpu sse4_2 avx2 amx_tile avx512_bf16 avx512f\n\nprocessor\t: 1\nmodel name\t: Intel(R) Xeon(R) Platinum 8480+\nflags\t\t: fpu\n",
			"Intel(R) Xeon(R) Platinum 8480+", 2, []string{"avx2", "avx512f", "avx512_bf16", "amx_tile"}},
		"arm":     {"processor\t: 0\nFeatures\t: fp asimd sve bf16\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n", "Arm implementer 0x41 part 0xd40", 1, []string{"asimd", "bf16", "sve"}},
		"nothing": {"", "", 0, []string{}},
		"noise":   {"processor\nflags avx2\n:\n", "", 0, []string{}},
		"control": {"model name\t: A\x1b[31mB\n", "AB", 0, []string{}},
	} {
		model, cores, flags := worker.ParseCPUInfo(c.text)
		require.Equal(t, c.model, model, name)
		require.Equal(t, c.cores, cores, name)
		require.Equal(t, c.flags, flags, name)
	}
}

func TestParseCoreTimes(t *testing.T) {
	t.Parallel()
	const stat = "cpu  100 0 10 890 0 0 0 0 0 0\ncpu0 70 0 5 425 0 0 0 0 0 0\ncpu1 30 0 5 465 0 0 0 0 0 0\ncpu10 1 0 0 9 0 0 0 0 0 0\nintr 5\n"
	busy, all, ok := worker.ParseCores(stat, []int{0})
	require.True(t, ok)
	require.Equal(t, []uint64{75, 500}, []uint64{busy, all})
	busy, all, ok = worker.ParseCores(stat, []int{1, 10})
	require.True(t, ok)
	require.Equal(t, []uint64{36, 510}, []uint64{busy, all})
	_, _, ok = worker.ParseCores(stat, []int{0, 2})
	require.False(t, ok, "a core that is not there")
	_, _, ok = worker.ParseCores("cpu0 1 2\n", []int{0})
	require.False(t, ok)
}

func TestParseRollup(t *testing.T) {
	t.Parallel()
	mib, err := worker.ParseRollup("55d0-7ffe ---p 00000000 00:00 0   [rollup]\nRss:    1644 kB\nPss:     2560 kB\nPss_Dirty: 1 kB\n")
	require.NoError(t, err)
	require.InDelta(t, 2.5, mib, 0)
	for _, text := range []string{"", "Rss: 5 kB\n", "Pss: x kB\n", "Pss: -1 kB\n"} {
		_, err := worker.ParseRollup(text)
		require.Error(t, err, text)
	}
}

func TestThreads(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env  map[string]string
		want map[string]int
	}{
		"as many as cores":    {map[string]string{}, map[string]int{"OMP_NUM_THREADS": 4, "MKL_NUM_THREADS": 4}},
		"MKL follows OMP":     {map[string]string{"OMP_NUM_THREADS": "2"}, map[string]int{"OMP_NUM_THREADS": 2, "MKL_NUM_THREADS": 2}},
		"each its own":        {map[string]string{"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "1"}, map[string]int{"OMP_NUM_THREADS": 2, "MKL_NUM_THREADS": 1}},
		"OMP does not follow": {map[string]string{"MKL_NUM_THREADS": "1"}, map[string]int{"OMP_NUM_THREADS": 4, "MKL_NUM_THREADS": 1}},
	} {
		worker.SetThreads(c.env, 4)
		require.Equal(t, c.want, worker.Threads(c.env), name)
	}
}
