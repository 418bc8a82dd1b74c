package gitops_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/stretchr/testify/require"
)

func untar(t *testing.T, b []byte) map[string]string {
	t.Helper()
	out, in := map[string]string{}, tar.NewReader(bytes.NewReader(b))
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		require.Equal(t, byte(tar.TypeReg), h.Typeflag)
		require.Zero(t, h.ModTime.Unix())
		text, err := io.ReadAll(in)
		require.NoError(t, err)
		out[h.Name] = string(text)
	}
}

func TestTar(t *testing.T) {
	t.Parallel()
	_, base, r := fresh(t)
	p, err := r.Propose(base, parse(t, goodDiff))
	require.NoError(t, err)
	var before, after, again bytes.Buffer
	d1, err := r.Tar(base, "python/sglang", &before)
	require.NoError(t, err)
	d2, err := r.Tar(p.ResultTree, "python/sglang", &after)
	require.NoError(t, err)
	_, err = r.Tar(p.ResultTree, "python/sglang", &again)
	require.NoError(t, err)
	require.NotEqual(t, d1, d2)
	sum := sha256.Sum256(after.Bytes())
	require.Equal(t, hex.EncodeToString(sum[:]), d2)
	require.Equal(t, after.Bytes(), again.Bytes())
	a, b := untar(t, before.Bytes()), untar(t, after.Bytes())
	require.Len(t, a, 4)
	require.Equal(t, "a = 1\r\nb = 2\r\nc = 3\r\n", b["crlf.py"])
	require.Contains(t, b["srt/scheduler.py"], "sum(batch)")
	delete(a, "srt/scheduler.py")
	delete(b, "srt/scheduler.py")
	require.Equal(t, a, b)
	require.Equal(t, "bd36021f", d1[:8], "these bytes are cited by digest; they must not change between releases")

	for _, subdir := range []string{"LICENSE", "nope", "..", "python/../docs", "/python"} {
		_, err := r.Tar(base, subdir, io.Discard)
		require.Equal(t, fault.NotFound, fault.CodeOf(err), subdir)
	}
}

func TestTarFollowsLinksInsideOnly(t *testing.T) {
	t.Parallel()
	dir, _, _ := fresh(t)
	link := func(at, target string) {
		blob := git(t, dir, []byte(target), "hash-object", "-w", "--stdin")
		git(t, dir, nil, "update-index", "--add", "--cacheinfo", "120000,"+blob+","+at)
	}
	link("ok/license", "../LICENSE")
	link("ok/twice", "license")
	link("bad1/x", "/etc/passwd")
	link("bad2/x", "../../../etc/passwd")
	link("bad3/x", "../docs")
	link("bad4/x", "x")
	git(t, dir, nil, "update-index", "--add", "--cacheinfo", "160000,"+strings.Repeat("1", 40)+",ok/module")
	git(t, dir, nil, "commit", "-q", "-m", "links")
	r, err := gitops.Open(dir)
	require.NoError(t, err)
	head, err := r.Head()
	require.NoError(t, err)
	var out bytes.Buffer
	_, err = r.Tar(head.Commit, "ok", &out)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"license": "free\n", "twice": "free\n"}, untar(t, out.Bytes()))
	for _, bad := range []string{"bad1", "bad2", "bad3", "bad4"} {
		_, err = r.Tar(head.Commit, bad, io.Discard)
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), bad)
	}
}
