package bench_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// nameServer answers every question for an IPv4 address with 127.0.0.1 after a delay, and says how often it was asked.
func nameServer(t *testing.T, delay time.Duration) (lookup func(context.Context, string) ([]string, error), asked *atomic.Int64) {
	t.Helper()
	pc, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = pc.Close() })
	asked = &atomic.Int64{}
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := nameAnswer(buf[:n]); answer != nil {
				asked.Add(int64(answer[7])) // an answer to the question for IPv4
				time.AfterFunc(delay, func() { _, _ = pc.WriteTo(answer, from) })
			}
		}
	}()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
	return resolver.LookupHost, asked
}

// nameAnswer answers one DNS question (RFC 1035, section 4).
func nameAnswer(question []byte) []byte {
	end := 12
	for end < len(question) && question[end] != 0 {
		end += int(question[end]) + 1
	}
	if end+5 > len(question) {
		return nil
	}
	out := append(bytes.Clone(question[:2]), 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0)
	out = append(out, question[12:end+5]...)
	if binary.BigEndian.Uint16(question[end+1:]) == 1 { // A
		out[7] = 1
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return out
}

// byName gives a target by a name that only lookup knows.
func byName(target bench.Target, lookup func(context.Context, string) ([]string, error)) bench.Target {
	target.BaseURL, target.Lookup = strings.Replace(target.BaseURL, "127.0.0.1", "engine.test", 1), lookup
	return target
}

func TestASlowNameServerIsAskedOnceAndShown(t *testing.T) {
	t.Parallel()
	lookup, asked := nameServer(t, 300*time.Millisecond)
	spec := open(100, 400*time.Millisecond)
	point, err := bench.Run(t.Context(), byName(serve(t, &server{ttft: time.Millisecond}), lookup), spec, nil)
	require.NoError(t, err)
	require.Empty(t, point.Counts.Errors)
	require.Greater(t, point.Counts.OK, 10)
	require.GreaterOrEqual(t, *point.Audit.ResolveMS, 300.0)
	require.Contains(t, strings.Join(point.Warnings, "\n"), "resolving the host's name took")
	require.Equal(t, int64(1), asked.Load(), "however many connections there are")
	for _, r := range point.Recording.Records {
		require.Less(t, r.First-r.Sent, bench.Offset(300*time.Millisecond), "no request waited for the name server")
	}
	direct, err := bench.Run(t.Context(), serve(t, &server{}), closed(10, 2), nil)
	require.NoError(t, err)
	require.Nil(t, direct.Audit.ResolveMS)
}

func TestANameThatNobodyKnows(t *testing.T) {
	t.Parallel()
	target := byName(bench.Target{BaseURL: "http://127.0.0.1:1", Path: bench.PathCompletions}, func(context.Context, string) ([]string, error) {
		return nil, &net.DNSError{Err: "no such host", Name: "engine.test", IsNotFound: true}
	})
	warm := closed(10, 2)
	warm.MaxWarmupWaves = 2
	point, err := bench.Run(t.Context(), target, warm, nil)
	require.NoError(t, err)
	require.Contains(t, point.Reason, "no warm-up request succeeded: resolve: ")
}

// TestPortsRunOut binds every connection to one local port: the kernel has no second one to the same server, as it has
// none when a machine's ports are used up.
func TestPortsRunOut(t *testing.T) {
	t.Parallel()
	onePort := func(target bench.Target) bench.Target {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		local := l.Addr()
		require.NoError(t, l.Close())
		reuse := func(_, _ string, c syscall.RawConn) error { return c.Control(reuseAddress) }
		target.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			return (&net.Dialer{LocalAddr: local, Control: reuse}).DialContext(ctx, network, address)
		}
		return target
	}
	target := serve(t, &server{itl: 50 * time.Millisecond})
	_, err := bench.Run(t.Context(), onePort(target), closed(20, 2), nil)
	require.ErrorContains(t, err, "too few descriptors or local ports")
	require.Equal(t, fault.Internal, fault.CodeOf(err))

	target.Preopen = 1
	point, err := bench.Run(t.Context(), onePort(target), open(40, 500*time.Millisecond), nil)
	require.NoError(t, err)
	require.Positive(t, point.Counts.Errors["socket_limit"])
	require.True(t, point.Audit.ClientLimited)
	require.Contains(t, strings.Join(point.Audit.Reasons, "\n"), "socket_errors ")
}

// childVariable tells this test program that it was started with few descriptors, and which server to load.
const childVariable = "SOTALOOP_BENCH_CHILD_URL"

// TestDescriptorsRunOut runs a load in a process that may open few files.
func TestDescriptorsRunOut(t *testing.T) {
	t.Parallel()
	if url := os.Getenv(childVariable); url != "" {
		target := bench.Target{BaseURL: url, Path: bench.PathCompletions, Model: "m", Preopen: 1}
		point, err := bench.Run(t.Context(), target, open(300, 500*time.Millisecond), nil)
		require.NoError(t, err)
		require.Positive(t, point.Counts.Errors["socket_limit"])
		require.Positive(t, point.Counts.OK)
		require.Contains(t, strings.Join(point.Audit.Reasons, "\n"), "socket_errors ")
		_, err = bench.Run(t.Context(), target, closed(1000, 100), nil)
		require.ErrorContains(t, err, "too few descriptors or local ports")
		require.ErrorIs(t, err, syscall.EMFILE)
		return
	}
	if _, err := exec.LookPath("bash"); errors.Is(err, exec.ErrNotFound) {
		t.Skip("no bash")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	target := serve(t, &server{ttft: 100 * time.Millisecond, itl: 50 * time.Millisecond})
	child := exec.CommandContext(t.Context(), "bash", "-c", `ulimit -n 48; exec "$0" -test.run='^TestDescriptorsRunOut$'`, self)
	child.Env = append(os.Environ(), childVariable+"="+target.BaseURL)
	out, err := child.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
