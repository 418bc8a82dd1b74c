package server_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/server"
	"github.com/sotaloop/sotaloop/tools"
)

// A file of testdata/stdio is one conversation over standard input and output, byte by byte:
//
//	> LINE   the client sends LINE, and the server sends lines up to the one that answers it
//	} LINE   the client sends LINE, and nothing answers it
//	* held   waits until a call of the tool "hold" is inside
//	* free   waits until none is
//	< LINE   what the server sends
//
// UPDATE=1 rewrites what the server sends.
func TestStdioConversations(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/stdio/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			golden, err := txtar.ParseFile(file)
			require.NoError(t, err)
			require.Len(t, golden.Files, 1)
			got := converse(t, strings.Split(strings.TrimSpace(string(golden.Files[0].Data)), "\n"))
			out := &txtar.Archive{Comment: golden.Comment, Files: []txtar.File{{Name: golden.Files[0].Name, Data: []byte(got)}}}
			if os.Getenv("UPDATE") != "" {
				require.NoError(t, os.WriteFile(file, txtar.Format(out), 0o600))
				return
			}
			requireSameLines(t, string(txtar.Format(golden)), string(txtar.Format(out)), file)
		})
	}
}

// took is how long a call took, in a log message.
var took = regexp.MustCompile(`"ms":\d+`)

// converse plays the client's side and gives both.
func converse(t *testing.T, script []string) string {
	t.Helper()
	hold := newGate()
	opts := options()
	opts.Tools = []tools.Tool{hold.tool("hold")}
	for _, tool := range fixtures() {
		if tool.Name == "step" || tool.Name == "refuse" || tool.Name == "fail" {
			opts.Tools = append(opts.Tools, tool)
		}
	}
	p := startPipe(t, server.New(opts))
	var out strings.Builder
	for _, line := range script {
		kind, text, _ := strings.Cut(line, " ")
		if kind != "<" {
			out.WriteString(line + "\n")
		}
		switch kind {
		case ">":
			p.send(t, []byte(text))
			for _, sent := range p.until(t) {
				out.WriteString("< " + took.ReplaceAllString(tidy(t, sent), `"ms":0`))
			}
		case "}":
			p.send(t, []byte(text))
		case "*":
			if text == "held" {
				<-hold.entered
			} else {
				require.Eventually(t, func() bool { return hold.inside.Load() == 0 }, time.Minute, time.Millisecond)
			}
		case "<":
		default:
			t.Fatalf("%q is no line of a conversation", line)
		}
	}
	require.NoError(t, p.in.Close())
	require.False(t, p.out.Scan(), "nothing follows, but %q did", p.out.Text())
	require.NoError(t, <-p.done)
	return out.String()
}
