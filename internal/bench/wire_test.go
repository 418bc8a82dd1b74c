//go:build linux

package bench_test

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
)

// wire reads what goes over the loopback interface to and from one server, with the kernel's times. It is the third
// party between two clients: what a client says of its streams is held against the same streams.
type wire struct {
	port   layers.TCPPort
	handle *pcapgo.EthernetHandle
	mu     sync.Mutex
	all    []*wireStream
}

// wireStream is one request and the pieces of its response.
type wireStream struct {
	sent, end time.Time
	pieces    []wirePiece
}

type wirePiece struct {
	at                 time.Time
	choice, text, done bool // it holds choices; some text; [DONE]
}

// listen captures until the test ends. It needs the right to open packet sockets.
func listen(t *testing.T, port int) *wire {
	t.Helper()
	handle, err := pcapgo.NewEthernetHandle("lo")
	require.NoError(t, err, "the loopback interface cannot be read: run as root, or with CAP_NET_RAW")
	w := &wire{port: layers.TCPPort(port), handle: handle} //nolint:gosec // a port
	read := make(chan struct{})
	go func() { defer close(read); w.read() }()
	t.Cleanup(func() { _ = handle.Close(); <-read })
	return w
}

func (w *wire) read() {
	open, next := map[layers.TCPPort]*wireStream{}, map[[2]layers.TCPPort]uint32{}
	for {
		raw, info, err := w.handle.ReadPacketData()
		if err != nil {
			return // closed
		}
		packet := gopacket.NewPacket(raw, layers.LayerTypeEthernet, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
		tcp, ok := packet.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok || len(tcp.Payload) == 0 || tcp.SrcPort != w.port && tcp.DstPort != w.port {
			continue
		}
		// The loopback interface shows each packet twice, as sent and as received.
		way := [2]layers.TCPPort{tcp.SrcPort, tcp.DstPort}
		if was, seen := next[way]; seen && int32(tcp.Seq-was) < 0 && int32(was-tcp.Seq) < 1<<24 { //nolint:gosec // sequence numbers wrap
			continue
		}
		next[way] = tcp.Seq + uint32(len(tcp.Payload)) //nolint:gosec // a packet's length
		w.mu.Lock()
		switch {
		case tcp.DstPort == w.port && bytes.HasPrefix(tcp.Payload, []byte("POST ")):
			s := &wireStream{sent: info.Timestamp}
			open[tcp.SrcPort], w.all = s, append(w.all, s)
		case tcp.SrcPort == w.port && open[tcp.DstPort] != nil:
			s := open[tcp.DstPort]
			s.end = info.Timestamp
			choice := bytes.Contains(tcp.Payload, []byte(`"choices":[{`))
			s.pieces = append(s.pieces, wirePiece{at: info.Timestamp, choice: choice,
				text: choice && !bytes.Contains(tcp.Payload, []byte(`"text":""`)), done: bytes.Contains(tcp.Payload, []byte("data: [DONE]"))})
		}
		w.mu.Unlock()
	}
}

// reset forgets what was seen.
func (w *wire) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = nil
}

// figures measures the last n streams since reset, by each client's definitions (see [bench.AsForeign]).
func (w *wire) figures(t *testing.T, n, tokens int) map[bench.ForeignClient]bench.Figures {
	t.Helper()
	time.Sleep(100 * time.Millisecond) // the reader is behind
	w.mu.Lock()
	defer w.mu.Unlock()
	var streams []*wireStream
	for _, s := range w.all {
		if slices.ContainsFunc(s.pieces, func(p wirePiece) bool { return p.choice }) {
			streams = append(streams, s)
		}
	}
	require.GreaterOrEqual(t, len(streams), n)
	streams = streams[len(streams)-n:]
	var vllm, sglang bench.Figures
	began, ended := streams[0].sent, streams[0].end
	for _, s := range streams {
		if s.end.After(ended) {
			ended = s.end
		}
		var choices, texts, done []time.Time
		for _, p := range s.pieces {
			if p.choice {
				choices = append(choices, p.at)
			}
			if p.text {
				texts = append(texts, p.at)
			}
			if p.done {
				done = append(done, p.at)
			}
		}
		require.NotEmpty(t, texts)
		require.Len(t, done, 1)
		per := float64(n) * float64(tokens-1)
		vllm.TTFT += millis(choices[0].Sub(s.sent)) / float64(n)
		vllm.TPOT += millis(choices[len(choices)-1].Sub(choices[0])) / per
		sglang.TTFT += millis(texts[0].Sub(s.sent)) / float64(n)
		sglang.TPOT += millis(done[0].Sub(texts[0])) / per
	}
	vllm.Throughput = float64(n*tokens) / ended.Sub(began).Seconds()
	sglang.Throughput = vllm.Throughput
	return map[bench.ForeignClient]bench.Figures{bench.ForeignVLLM: vllm, bench.ForeignSGLang: sglang}
}
