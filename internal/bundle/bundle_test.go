package bundle_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bundle"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// file is a file to bundle.
func file(name, text string) bundle.File {
	return bundle.File{Name: name, Size: int64(len(text)), Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil }}
}

func some() []bundle.File {
	return []bundle.File{
		file("ledger.jsonl", strings.Repeat(`{"kind":"x"}`+"\n", 300)), file("benchmark/records/a.zst", "\x28\xb5\x2f\xfd"),
		file("benchmark/"+strings.Repeat("long", 40)+".json", "{}"), file("a", ""), file("a-b/c", "1"), file("final_report.md", strings.Repeat("x", 512)),
	}
}

func pack(t *testing.T, files ...bundle.File) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, bundle.Write(&b, files))
	return b.Bytes()
}

func save(t *testing.T, raw []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x"+bundle.Ending)
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	return path
}

func open(t *testing.T, raw []byte) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Open(save(t, raw))
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestABundleIsAFileSystemOfItsFiles(t *testing.T) {
	t.Parallel()
	raw := pack(t, some()...)
	b := open(t, raw)
	require.NoError(t, fstest.TestFS(b, "ledger.jsonl", "a", "a-b/c", "benchmark/records/a.zst"))
	for _, f := range some() {
		got, err := fs.ReadFile(b, f.Name)
		require.NoError(t, err)
		r, _ := f.Open()
		want, _ := io.ReadAll(r)
		require.Equal(t, string(want), string(got), f.Name)
	}
	_, err := b.Open("none")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Equal(t, int64(len(raw)), b.Size())
}

func TestABundleEndsInItsDigestAndIsTheSameEveryTime(t *testing.T) {
	t.Parallel()
	raw := pack(t, some()...)
	sum := sha256.Sum256(raw[:len(raw)-32])
	require.Equal(t, sum[:], raw[len(raw)-32:])
	files := some()
	files[0], files[3] = files[3], files[0]
	require.Equal(t, raw, pack(t, files...), "in whatever order the files were named")
	require.Equal(t, fmt.Sprintf("%x", sum), open(t, raw).Digest())
}

// TestAnyDecompressorReadsIt takes a bundle for what it also is: a compressed archive.
func TestAnyDecompressorReadsIt(t *testing.T) {
	t.Parallel()
	d, err := zstd.NewReader(bytes.NewReader(pack(t, some()...)))
	require.NoError(t, err)
	defer d.Close()
	n := 0
	for r := tar.NewReader(d); ; n++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		require.Zero(t, h.ModTime.Unix())
		require.Equal(t, int64(0o644), h.Mode)
	}
	require.Equal(t, len(some()), n)
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	raw := pack(t, some()...)
	path := save(t, raw)
	for i := range raw {
		broken := bytes.Clone(raw)
		broken[i] ^= 1 << (i % 8)
		require.NoError(t, os.WriteFile(path, broken, 0o600))
		_, err := bundle.Open(path)
		require.Errorf(t, err, "byte %d of %d", i, len(raw))
	}
	t.Logf("flipped %d, detected %d", len(raw), len(raw))
}

func TestCutAndLengthenedBundlesAreRefused(t *testing.T) {
	t.Parallel()
	raw := pack(t, some()...)
	for n := 0; n < len(raw); n += 7 {
		_, err := bundle.Open(save(t, raw[:n]))
		require.Error(t, err, n)
	}
	for _, tail := range []string{"\x00", "\n", strings.Repeat("x", 40), string(raw)} {
		_, err := bundle.Open(save(t, append(bytes.Clone(raw), tail...)))
		require.Error(t, err)
	}
}

// crafted is a bundle that a hostile writer makes: frames as given, and an honest digest behind them.
func crafted(version string, frames ...[]byte) []byte {
	var b bytes.Buffer
	skip := func(content []byte) {
		b.Write(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 0x184D2A50), uint32(len(content))))
		b.Write(content)
	}
	skip([]byte("sotaloop-bundle\n" + version + "\n"))
	for _, f := range frames {
		b.Write(f)
	}
	b.Write(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, 0x184D2A50), 32))
	sum := sha256.Sum256(b.Bytes())
	return append(b.Bytes(), sum[:]...)
}

func zip(raw []byte) []byte {
	e, _ := zstd.NewWriter(nil, zstd.WithWindowSize(1<<20))
	return e.EncodeAll(raw, nil)
}

var end = zip(make([]byte, 1024))

// member is a frame of one tar header and its bytes.
func member(h tar.Header, content string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if h.Mode == 0 {
		h.Mode = 0o644
	}
	if h.Typeflag == 0 {
		h.Typeflag = tar.TypeReg
	}
	if h.Typeflag == tar.TypeReg {
		h.Size = int64(len(content))
	}
	if err := w.WriteHeader(&h); err != nil {
		panic(err)
	}
	_, _ = io.WriteString(w, content)
	_ = w.Flush()
	return zip(b.Bytes())
}

func TestHostileBundlesAreRefused(t *testing.T) {
	t.Parallel()
	plain := member(tar.Header{Name: "a"}, "x")
	for name, c := range map[string]struct {
		raw  []byte
		says string
	}{
		"a path upwards":          {crafted("1", member(tar.Header{Name: "../a"}, "x"), end), "does not stay inside"},
		"a path upwards inside":   {crafted("1", member(tar.Header{Name: "b/../../a"}, "x"), end), "does not stay inside"},
		"an absolute path":        {crafted("1", member(tar.Header{Name: "/etc/passwd"}, "x"), end), "does not stay inside"},
		"another system's path":   {crafted("1", member(tar.Header{Name: `..\a`}, "x"), end), "does not stay inside"},
		"a drive":                 {crafted("1", member(tar.Header{Name: `c:a`}, "x"), end), "does not stay inside"},
		"control characters":      {crafted("1", member(tar.Header{Name: "a\x1b[2J"}, "x"), end), "control characters"},
		"a link":                  {crafted("1", member(tar.Header{Name: "a", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, ""), end), "no plain file"},
		"a hard link":             {crafted("1", plain, member(tar.Header{Name: "b", Typeflag: tar.TypeLink, Linkname: "a"}, ""), end), "no plain file"},
		"a device":                {crafted("1", member(tar.Header{Name: "a", Typeflag: tar.TypeChar}, ""), end), "no plain file"},
		"a folder":                {crafted("1", member(tar.Header{Name: "a/", Typeflag: tar.TypeDir}, ""), end), "does not stay inside"},
		"a name twice":            {crafted("1", plain, plain, end), `holds "a" twice`},
		"a name twice, later":     {crafted("1", plain, member(tar.Header{Name: "b"}, "x"), plain, end), `holds "a" twice`},
		"files out of order":      {crafted("1", member(tar.Header{Name: "b"}, "x"), plain, end), "not in order"},
		"a file that is a folder": {crafted("1", plain, member(tar.Header{Name: "a/b"}, "x"), end), "as a file and as a folder"},
		"an owner":                {crafted("1", member(tar.Header{Name: "a", Uid: 7}, "x"), end), "owner"},
		"a hidden attribute":      {crafted("1", member(tar.Header{Name: "a", PAXRecords: map[string]string{"SCHILY.xattr.user.x": "y"}, Format: tar.FormatPAX}, "x"), end), "attribute"},
		"two files in one frame":  {crafted("1", zip(append(mustUnzip(plain), mustUnzip(plain)...)), end), "more than one file"},
		"bytes in the padding":    {crafted("1", zip(bytes.Replace(mustUnzip(plain), []byte("x\x00"), []byte("xy"), 1)), end), "other bytes"},
		"a bomb":                  {crafted("1", member(tar.Header{Name: "a"}, strings.Repeat("\x00", 64<<20)), end), "unpacks to more"},
		"no end":                  {crafted("1", plain), ""},
		"nothing":                 {crafted("1"), "has no end"},
		"more behind the end":     {crafted("1", end, plain, end), "holds no file"},
		"a frame that is none":    {crafted("1", []byte("PK\x03\x04 not a frame at all, whatever it is"), end), "no Zstandard frame"},
		"a skipped frame inside":  {crafted("1", plain, []byte("\x50\x2a\x4d\x18\x04\x00\x00\x00evil"), end), "no Zstandard frame"},
		"no version":              {crafted("x", plain, end), "has version"},
		"a padded version":        {crafted("01", plain, end), "has version"},
		"another file":            {[]byte(strings.Repeat("not a bundle at all ", 20)), "does not begin as one"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bundle.Open(save(t, c.raw))
			f, ok := fault.As(err)
			require.True(t, ok, "%v", err)
			require.Contains(t, f.Error(), c.says)
			require.Equal(t, fault.Corrupt, f.Code)
			require.NotEmpty(t, f.Hints)
		})
	}
}

func mustUnzip(raw []byte) []byte {
	d, err := zstd.NewReader(nil)
	if err != nil {
		panic(err)
	}
	defer d.Close()
	out, err := d.DecodeAll(raw, nil)
	if err != nil {
		panic(err)
	}
	return out
}

func TestANewerBundleIsRefusedByItsVersion(t *testing.T) {
	t.Parallel()
	_, err := bundle.Open(save(t, crafted("2", []byte("whatever comes then"))))
	f, ok := fault.As(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, fault.InvalidInput, f.Code)
	require.Contains(t, f.Message, "version 2")
}

func TestWritersCannotMakeABundleThatReadersRefuse(t *testing.T) {
	t.Parallel()
	for name, files := range map[string][]bundle.File{
		"twice":        {file("a", "1"), file("a", "1")},
		"upwards":      {file("../a", "1")},
		"wrong length": {{Name: "a", Size: 3, Open: file("a", "12").Open}},
		"longer":       {{Name: "a", Size: 1, Open: file("a", "12").Open}},
	} {
		require.Error(t, bundle.Write(io.Discard, files), name)
	}
	require.True(t, bundle.Is(save(t, pack(t, some()...))))
	require.False(t, bundle.Is(save(t, []byte("x"))))
	require.False(t, bundle.Is(filepath.Join(t.TempDir(), "none")))
}
