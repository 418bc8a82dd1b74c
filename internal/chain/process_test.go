package chain_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/chain"
)

// childEnv makes the test binary an appender: "COUNT BYTES PATH" appends COUNT lines with BYTES of padding.
const childEnv = "CHAIN_TEST_APPENDER"

func TestMain(m *testing.M) {
	if job := os.Getenv(childEnv); job != "" {
		if err := appendLines(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// beside gives the options of a chain whose companions lie in the folder above it.
func beside(path string) chain.Options {
	home := filepath.Dir(filepath.Dir(path))
	return chain.Options{LockPath: filepath.Join(home, "a.lock"), HeadPath: filepath.Join(filepath.Dir(path), "head.json")}
}

func appendLines(job string) error {
	f := strings.SplitN(job, " ", 3)
	count, _ := strconv.Atoi(f[0])
	size, _ := strconv.Atoi(f[1])
	file, err := chain.Open(f[2], beside(f[2]))
	if err != nil {
		return err
	}
	pad := strings.Repeat("x", size)
	for i := range count {
		_, err := file.Append(context.Background(), func(seen []chain.Entry) ([]chain.Pending, error) {
			// The number of lines seen goes into the line: a lost update would show as a wrong count.
			raw, err := json.Marshal(map[string]any{"pid": os.Getpid(), "i": i, "seen": len(seen), "pad": pad})
			return []chain.Pending{{Kind: "note.taken", Payload: raw}}, err
		})
		if err != nil {
			return err
		}
		fmt.Println(i)
	}
	return nil
}

func child(t *testing.T, count, size int, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s", childEnv, count, size, path))
	cmd.Stderr = os.Stderr
	return cmd
}

func runDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	require.NoError(t, os.Mkdir(dir, 0o700))
	return filepath.Join(dir, "ledger.jsonl")
}

func TestProcessesAppendConcurrently(t *testing.T) {
	t.Parallel()
	path := runDir(t)
	const processes, each = 4, 25
	var running []*exec.Cmd
	for range processes {
		cmd := child(t, each, 100, path)
		require.NoError(t, cmd.Start())
		running = append(running, cmd)
	}
	for _, cmd := range running {
		require.NoError(t, cmd.Wait())
	}
	entries, torn, err := chain.Read(path, nil)
	require.NoError(t, err)
	require.Zero(t, torn)
	require.Len(t, entries, processes*each)
	next := map[int]int{}
	for i, e := range entries {
		var p struct{ Pid, I, Seen int }
		require.NoError(t, json.Unmarshal(e.Payload, &p))
		require.Equal(t, i, p.Seen, "the check saw all lines before its own")
		require.Equal(t, next[p.Pid], p.I, "each process's lines are in its order")
		next[p.Pid]++
	}
	head, err := chain.ReadHead(beside(path).HeadPath)
	require.NoError(t, err)
	require.Equal(t, chain.HeadOf(entries), head)
}

func TestKilledAppendersLeaveAFileThatGoesOn(t *testing.T) {
	t.Parallel()
	var tornOnce int
	for range 3 {
		path := runDir(t)
		// Lines of 1 MiB make the write long enough to be hit while it runs.
		cmd := child(t, 1000, 1<<20, path)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		require.True(t, lines.Scan(), "the first line is confirmed")
		confirmed := 1
		before := size(t, path)
		for size(t, path) == before {
			runtime.Gosched()
		}
		require.NoError(t, cmd.Process.Kill())
		for lines.Scan() {
			confirmed++
		}
		require.Error(t, cmd.Wait())
		if goesOn(t, path, confirmed) > 0 {
			tornOnce++
		}
	}
	t.Logf("%d of 3 kills tore a line", tornOnce)
}

// goesOn checks what a killed appender left, appends to it, and gives the length of the torn tail that was met.
func goesOn(t *testing.T, path string, confirmed int) int {
	entries, torn, err := chain.Read(path, nil)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(entries), confirmed, "no confirmed line is lost")
	head, err := chain.ReadHead(beside(path).HeadPath)
	require.NoError(t, err)
	ahead, err := head.Check(entries)
	require.NoError(t, err)
	require.LessOrEqual(t, ahead, 1)
	_, err = chain.Append(t.Context(), path, beside(path), func(seen []chain.Entry) ([]chain.Pending, error) {
		require.Len(t, seen, len(entries))
		return []chain.Pending{{Kind: "note.taken"}}, nil
	})
	require.NoError(t, err)
	after, rest, err := chain.Read(path, nil)
	require.NoError(t, err)
	require.Zero(t, rest)
	require.Len(t, after, len(entries)+1)
	return torn
}

func size(t *testing.T, path string) int64 {
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Size()
}

func BenchmarkAppend(b *testing.B) {
	path := filepath.Join(b.TempDir(), "run", "ledger.jsonl")
	require.NoError(b, os.Mkdir(filepath.Dir(path), 0o700))
	f, err := chain.Open(path, beside(path))
	require.NoError(b, err)
	for b.Loop() {
		_, err := f.Append(b.Context(), func([]chain.Entry) ([]chain.Pending, error) {
			return []chain.Pending{{Kind: "note.taken", Payload: json.RawMessage(`{"a":"some words of a payload"}`)}}, nil
		})
		require.NoError(b, err)
	}
}

func BenchmarkRead(b *testing.B) {
	payload := json.RawMessage(`{"rows":[` + strings.Repeat(`{"scenario":"chat","tpot_ms":12.25,"ok":true},`, 20) + `{}]}`)
	lines := make([]chain.Pending, 2000)
	for i := range lines {
		lines[i] = chain.Pending{Kind: "note.taken", Payload: payload}
	}
	var file bytes.Buffer
	_, err := chain.Write(&file, day, lines...)
	require.NoError(b, err)
	b.SetBytes(int64(file.Len()))
	for b.Loop() {
		_, _, err := chain.Decode(bytes.NewReader(file.Bytes()), nil)
		require.NoError(b, err)
	}
}
