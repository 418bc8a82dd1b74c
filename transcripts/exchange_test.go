package transcripts_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/transcripts"
)

// conversation records a conversation and gives its file's bytes.
func conversation(t *testing.T) (dir string, raw []byte) {
	t.Helper()
	dir = t.TempDir()
	rec := transcripts.New(dir, nil)
	in := func(text string) { require.NoError(t, rec.Received("stdio", []byte(text))) }
	out := func(text string) { require.NoError(t, rec.Sent("stdio", []byte(text))) }
	in(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"open_campaign","arguments":{"model":"m"}}}`)
	out(`{"jsonrpc":"2.0","method":"notifications/progress","params":{}}`)
	in(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"get_campaign","arguments":{"campaign":"c2"}}}`)
	out(`{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"campaign":"c1","state":"done"}}}`)
	out(`{"jsonrpc":"2.0","id":2,"error":{"code":-32602,"message":"no"}}`)
	in(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"propose_patch","arguments":{"campaign":"c1"}}}`)
	out(`{"jsonrpc":"2.0","id":2,"result":{"isError":true,"content":[{"type":"text","text":"{\"rule\":\"evid.row-known\"}"}]}}`)
	in("not a message\x1b[2J")
	in(`{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"wait_job","arguments":{"campaign":"c1"}}}`)
	path := rec.Path()
	require.NoError(t, rec.Close())
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	return dir, raw
}

func TestExchangesPutAnswersToTheirRequests(t *testing.T) {
	t.Parallel()
	_, raw := conversation(t)
	records, err := transcripts.Open(raw)
	require.NoError(t, err)
	all := transcripts.Exchanges(records)
	require.Len(t, all, 5)
	require.Equal(t, "open_campaign", all[0].Tool)
	require.JSONEq(t, `{"campaign":"c1","state":"done"}`, string(all[0].Result))
	require.True(t, all[1].IsError, "an error of the protocol")
	require.Equal(t, "propose_patch", all[2].Tool, "an id that is used again is another request")
	require.True(t, all[2].IsError)
	require.JSONEq(t, `{"rule":"evid.row-known"}`, string(all[2].Result))
	require.Empty(t, all[3].Method)
	require.Contains(t, all[3].Text, "not a message")
	require.False(t, all[4].Done)

	own := transcripts.Exchanges(transcripts.Of(records, "c1"))
	require.Len(t, own, 3)
}

func TestACampaignsCopyReadsAsTheOriginalDoes(t *testing.T) {
	t.Parallel()
	dir, raw := conversation(t)
	file, _, err := transcripts.Extract(dir, "c1", time.Now().Add(time.Hour))
	require.NoError(t, err)
	copied, err := transcripts.Open(file)
	require.NoError(t, err)
	own, err := transcripts.Open(raw)
	require.NoError(t, err)
	a, b := transcripts.Exchanges(copied), transcripts.Exchanges(transcripts.Of(own, "c1"))
	require.Len(t, a, len(b))
	for i := range a {
		require.Equal(t, b[i].Tool, a[i].Tool)
		require.Equal(t, string(b[i].Result), string(a[i].Result))
	}
}

func TestDamagedTranscriptsGiveWhatStandsBefore(t *testing.T) {
	t.Parallel()
	_, raw := conversation(t)
	broken := append([]byte{}, raw...)
	broken[len(broken)/2] ^= 1
	records, err := transcripts.Open(broken)
	require.Error(t, err)
	require.NotEmpty(t, records)
	require.Less(t, len(records), 9)
	_, err = transcripts.Open([]byte("hello\n"))
	require.Error(t, err)
}
