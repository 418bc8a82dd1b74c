package loop

import (
	"context"
	"sync"
	"time"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// hostConn is one host as this process reaches it; the connection and the worker's binary are made on first use.
type hostConn struct {
	loop *Loop
	name string

	mu     sync.Mutex
	entry  hosts.HostEntry
	conn   hosts.Conn
	client *worker.Client
}

// host gives the inventory's entry and this process's hold on it. A changed entry drops the connection.
func (l *Loop) host(name string) (*hostConn, hosts.HostEntry, error) {
	inv, err := l.opt.Inventory()
	if err != nil {
		return nil, hosts.HostEntry{}, err
	}
	e, err := inv.Host(name)
	if err != nil {
		return nil, hosts.HostEntry{}, err
	}
	l.mu.Lock()
	h, ok := l.conns[name]
	if !ok {
		h = &hostConn{loop: l, name: name, entry: e}
		l.conns[name] = h
	}
	l.mu.Unlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.entry.Digest() != e.Digest() {
		h.drop()
		h.entry = e
	}
	return h, e, nil
}

// worker connects, makes the worker's binary present on the host and gives its client.
func (h *hostConn) worker(ctx context.Context) (*worker.Client, hosts.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.client != nil {
		return h.client, h.conn, nil
	}
	conn, err := h.loop.opt.Dial(ctx, h.name, h.entry)
	if err != nil {
		return nil, nil, err
	}
	path, err := h.loop.opt.Binary.Install(ctx, conn, h.entry.Workdir)
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	h.conn, h.client = conn, worker.NewClient(conn, path, h.entry.Workdir)
	return h.client, h.conn, nil
}

func (h *hostConn) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop()
}

func (h *hostConn) drop() {
	if h.conn != nil {
		_ = h.conn.Close()
		h.conn, h.client = nil, nil
	}
}

// engines renders every engine entry of a host.
func engines(e hosts.HostEntry) map[string]framework.Engine {
	out := map[string]framework.Engine{}
	for name, x := range e.Engines {
		out[name] = worker.EngineOf(name, x)
	}
	return out
}

// engineOf finds the engine entry of a side, or says which exist.
func engineOf(e hosts.HostEntry, name string) (framework.Engine, hosts.EngineEntry, error) {
	name = baseEntry(name)
	x, ok := e.Engines[name]
	if !ok {
		return framework.Engine{}, hosts.EngineEntry{}, fault.New(fault.NotFound, "no engine entry %q on this host", name).At("framework", name, sortedKeys(e.Engines)...).
			Hint("use an entry of hosts.yaml")
	}
	return worker.EngineOf(name, x), x, nil
}

// probeTimeout bounds what open_campaign may spend on looking at a host.
const probeTimeout = 30 * time.Second

// probe looks at a host: facts by the worker, GPUs by nvidia-smi.
func (h *hostConn) probe(ctx context.Context, model string) (worker.Facts, []hosts.GPU, []hosts.GPUProcess, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	client, conn, err := h.worker(ctx)
	if err != nil {
		return worker.Facts{}, nil, nil, err
	}
	models := map[string]string{}
	if model != "" {
		models[model] = h.entry.Models[model]
	}
	facts, err := client.Probe(ctx, worker.ProbeRequest{
		LeaseDir: h.entry.LeaseDir, Workdir: h.entry.Workdir, Device: h.entry.Device, Engines: engines(h.entry), Models: models, HFCache: h.entry.HFCache,
	})
	if err != nil {
		return worker.Facts{}, nil, nil, err
	}
	if h.entry.Device == hosts.DeviceCPU {
		return facts, nil, nil, nil
	}
	gpus, procs, err := hosts.QueryGPUs(ctx, conn)
	return facts, gpus, procs, err
}
