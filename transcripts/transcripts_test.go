package transcripts_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/redact"
	"github.com/sotaloop/sotaloop/transcripts"
)

const token = "hf_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z"

func call(id int, campaign string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"get_campaign","arguments":{"campaign":%q}}}`, id, campaign)
}

func answer(id int, campaign string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{"structuredContent":{"campaign":%q}}}`, id, campaign)
}

// talk records messages: ">" received, "<" sent.
func talk(t *testing.T, r *transcripts.Recorder, session string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if l[0] == '>' {
			require.NoError(t, r.Received(session, []byte(l[1:])))
		} else {
			require.NoError(t, r.Sent(session, []byte(l[1:])))
		}
	}
}

func TestEverythingIsRecordedRedacted(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "transcripts")
	r := transcripts.New(dir, redact.New(map[string]string{"HF_TOKEN": token}))
	require.Empty(t, r.Path())
	require.NoDirExists(t, dir, "nothing is made before the first message")
	talk(t, r, "stdio", ">"+call(1, "c1 "+token), "<"+answer(1, "c1"), ">{broken "+token, ">\x00\xff")
	require.NoError(t, r.Close())
	require.Regexp(t, regexp.MustCompile(fmt.Sprintf(`/\d{8}T\d{6}Z-%d\.jsonl$`, os.Getpid())), filepath.ToSlash(r.Path()))

	raw, err := os.ReadFile(r.Path())
	require.NoError(t, err)
	require.NotContains(t, string(raw), token)
	got, torn, err := transcripts.Read(r.Path())
	require.NoError(t, err)
	require.Zero(t, torn)
	require.Len(t, got, 4)
	require.Equal(t, transcripts.Received, got[0].Kind)
	require.JSONEq(t, call(1, "c1 [redacted:hf_token]"), string(got[0].Message))
	require.Equal(t, transcripts.Sent, got[1].Kind)
	require.Equal(t, answer(1, "c1"), string(got[1].Message))
	require.Equal(t, transcripts.Undecodable, got[2].Kind)
	require.Equal(t, "{broken [redacted:hf_token]", got[2].Text)
	require.Equal(t, []int{1, 2, 3, 4}, []int{got[0].Seq, got[1].Seq, got[2].Seq, got[3].Seq})
	require.Equal(t, "stdio", got[3].Session)
}

func TestNilRecorderRecordsNothing(t *testing.T) {
	t.Parallel()
	var r *transcripts.Recorder
	require.NoError(t, r.Received("s", []byte("{}")))
	require.NoError(t, r.Sent("s", []byte("{}")))
	require.NoError(t, r.Close())
	require.Empty(t, r.Path())
}

func TestUndecodableBytesAreBounded(t *testing.T) {
	t.Parallel()
	r := transcripts.New(t.TempDir(), nil)
	talk(t, r, "stdio", ">"+strings.Repeat("x", 1<<20))
	got, _, err := transcripts.Read(r.Path())
	require.NoError(t, err)
	require.Less(t, len(got[0].Text), 70<<10)
	require.True(t, strings.HasSuffix(got[0].Text, "… (1048576 bytes)"))
}

func TestConcurrentMessagesMakeOneChain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, other := transcripts.New(dir, nil), transcripts.New(dir, nil)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { talk(t, one, "stdio", ">"+call(i, "c1"), "<"+answer(i, "c1")) })
		wg.Go(func() { talk(t, other, "stdio", ">"+call(i, "c1")) })
	}
	wg.Wait()
	require.NotEqual(t, one.Path(), other.Path(), "two recorders of one process and second do not share a file")
	got, _, err := transcripts.Read(one.Path())
	require.NoError(t, err)
	require.Len(t, got, 40)
	got, _, err = transcripts.Read(other.Path())
	require.NoError(t, err)
	require.Len(t, got, 20)
}

func TestExtractPicksOneCampaignsMessages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one, other := transcripts.New(dir, nil), transcripts.New(dir, nil)
	open := `{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"open_campaign","arguments":{"model":"m"}}}`
	opened := `{"jsonrpc":"2.0","id":"a","result":{"structuredContent":{"campaign":"c1"}}}`
	refused := `{"jsonrpc":"2.0","id":3,"result":{"isError":true,"content":[{"type":"text","text":"{}"}]}}`
	cancel := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}`
	talk(t, one, "stdio", `>{"jsonrpc":"2.0","id":0,"method":"tools/list"}`, `<{"jsonrpc":"2.0","id":0,"result":{}}`,
		">"+open, "<"+opened, ">"+call(1, "c1"), ">"+call(2, "c2"), "<"+answer(2, "c2"), "<"+answer(1, "c1"))
	talk(t, other, "http-1", ">"+call(3, "c1"))
	talk(t, other, "http-2", ">"+call(3, "c2"), "<"+answer(3, "c2"))
	talk(t, other, "http-1", "<"+refused, ">"+call(5, "c1"), ">"+cancel, ">not JSON c1")
	until := time.Now()
	time.Sleep(time.Millisecond) // the clock must move on
	talk(t, one, "stdio", ">"+call(9, "c1"))

	file, warnings, err := transcripts.Extract(dir, "c1", until)
	require.NoError(t, err)
	require.Empty(t, warnings)
	copies, head, err := transcripts.Parse(file)
	require.NoError(t, err)
	var got []string
	for _, c := range copies {
		got = append(got, fmt.Sprintf("%s %d %s", filepath.Base(c.Source.Chain), c.Source.Seq, c.Message))
	}
	a, b := filepath.Base(one.Path()), filepath.Base(other.Path())
	require.Equal(t, []string{
		a + " 3 " + open, a + " 4 " + opened, a + " 5 " + call(1, "c1"), a + " 8 " + answer(1, "c1"),
		b + " 1 " + call(3, "c1"), b + " 4 " + refused, b + " 5 " + call(5, "c1"), b + " 6 " + cancel,
	}, got)
	source, _, err := transcripts.Read(one.Path())
	require.NoError(t, err)
	require.Equal(t, source[2].Hash, copies[0].Source.Hash)
	require.Equal(t, source[2].Time, copies[0].Time)
	require.Equal(t, 8, head.Seq)

	again, _, err := transcripts.Extract(dir, "c1", until)
	require.NoError(t, err)
	require.Equal(t, string(file), string(again), "the same messages make the same file")

	empty, _, err := transcripts.Extract(dir, "c3", until)
	require.NoError(t, err)
	require.Empty(t, empty)
	none, _, err := transcripts.Extract(filepath.Join(dir, "missing [x"), "c1", until)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestExtractSaysWhatItCouldNotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := transcripts.New(dir, nil)
	talk(t, r, "stdio", ">"+call(1, "c1"), ">"+call(2, "c1"), ">"+call(3, "c1"))
	raw, err := os.ReadFile(r.Path())
	require.NoError(t, err)
	lines := strings.SplitAfter(string(raw), "\n")
	require.NoError(t, os.WriteFile(r.Path(), []byte(lines[0]+strings.Replace(lines[1], `"id":2`, `"id":7`, 1)+lines[2]), 0o600))
	file, warnings, err := transcripts.Extract(dir, "c1", time.Now())
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "line 3: prev is")
	copies, _, err := transcripts.Parse(file)
	require.NoError(t, err)
	require.Len(t, copies, 2)
}

func TestParseRefusesDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := transcripts.New(dir, nil)
	talk(t, r, "stdio", ">"+call(1, "c1"), "<"+answer(1, "c1"))
	file, _, err := transcripts.Extract(dir, "c1", time.Now())
	require.NoError(t, err)
	for name, damaged := range map[string]string{
		"edited":        strings.Replace(string(file), `"id":1`, `"id":2`, 1),
		"torn":          string(file[:len(file)-1]),
		"line missing":  string(file[strings.Index(string(file), "\n")+1:]),
		"foreign field": strings.Replace(string(file), `"source"`, `"x":1,"source"`, 1),
	} {
		_, _, err := transcripts.Parse([]byte(damaged))
		require.ErrorIs(t, err, chain.ErrCorrupt, name)
	}
}

func FuzzParse(f *testing.F) {
	dir := f.TempDir()
	r := transcripts.New(dir, nil)
	require.NoError(f, r.Received("stdio", []byte(call(1, "c1"))))
	file, _, err := transcripts.Extract(dir, "c1", time.Now())
	require.NoError(f, err)
	f.Add(file)
	f.Fuzz(func(t *testing.T, raw []byte) {
		copies, head, err := transcripts.Parse(raw)
		if err == nil {
			require.Len(t, copies, head.Seq)
		}
	})
}
