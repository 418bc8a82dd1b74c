package sim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// engine is one launch of a simulated framework.
type engine struct {
	p      *persona
	id     string
	cfg    Config
	faults faults
	set    *settings
	log    *logger
	gpus   []int // physical indices, one a rank
	mem    budget
	ranks  []*child
	sched  *scheduler
	prof   *profiler
	src    *sourceTree // SGLang's
	seed   uint64
	ready  atomic.Bool
	answer atomic.Int64 // generation requests accepted
	begun  time.Time
}

// configureFunc turns arguments into settings.
type configureFunc func(*values, Model, GPU) (*settings, error)

func configureOf(id string) configureFunc {
	switch id {
	case "vllm":
		return configureVLLM
	case "tensorrt_llm":
		return configureTRTLLM
	case "tokenspeed":
		return configureTokenSpeed
	}
	return configureSGLang
}

// launchEngine runs one engine to its end and returns its exit status.
func launchEngine(p *persona, id, modelArg string, v *values) int {
	debug.SetGCPercent(800) // a small heap: fewer collections, steadier steps
	e := &engine{p: p, id: id, log: &logger{engine: id, w: p.stderr}, begun: time.Now()}
	err := e.serve(modelArg, v)
	for _, c := range e.ranks {
		c.stop()
	}
	if err == nil {
		return 0
	}
	status := 1
	if le := (*launchError)(nil); errors.As(err, &le) {
		status = le.status
		for _, l := range le.lines {
			e.log.raw("%s", l)
		}
	} else {
		e.log.fail("%v", err)
	}
	return status
}

func (e *engine) serve(modelArg string, v *values) error {
	if err := e.prepare(modelArg, v); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), terminationSignals()...)
	defer stop()
	if e.faults.ignoreTerm {
		ctx = context.Background()
		signal.Ignore(terminationSignals()...)
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	if err := e.boot(ctx, fail); err != nil {
		return err
	}
	servers, err := e.listen()
	if err != nil {
		return err
	}
	go e.sched.run(ctx)
	go e.reportUse(ctx)
	for _, s := range servers {
		go func() { _ = s.server.Serve(s.listener) }()
	}
	if err := e.becomeReady(ctx); err == nil {
		<-ctx.Done()
	}
	for _, s := range servers {
		_ = s.server.Close()
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	e.farewell()
	return nil
}

// prepare reads settings, model and source, and checks what can be checked without a GPU.
func (e *engine) prepare(modelArg string, v *values) error {
	var err error
	if e.cfg, err = readConfig(e.p.root); err != nil {
		return err
	}
	spec := e.cfg.Fault
	if f := e.p.env["SOTALOOP_SIM_FAULT"]; f != "" {
		spec = f
	}
	if e.faults, err = faultsFor(spec, e.id); err != nil {
		return err
	}
	e.seed = launchSeed(e.p.root, e.cfg.Seed)
	m, err := loadModel(e.p.root, modelArg)
	if err != nil {
		return raised("OSError", "%v", err)
	}
	if refused := v.withEffect('!'); len(refused) > 0 {
		return notSimulated(refused)
	}
	if e.set, err = configureOf(e.id)(v, m, e.cfg.GPU); err != nil {
		return err
	}
	e.set.resolved = v.resolved()
	if tag := v.text("model_tag"); tag != "" {
		e.set.resolved["model_tag"] = tag
	}
	e.set.resolve()
	e.log.info("SIMULATED GPU host: no real GPU is used; times come from a roofline model of %s at speed %g", e.cfg.GPU.Name, e.cfg.Speed)
	if inert := v.withEffect('-'); len(inert) > 0 {
		e.log.info("SIMULATED: without effect on the model of time: %s", strings.Join(inert, " "))
	}
	if err := e.readSource(); err != nil {
		return err
	}
	if e.gpus, err = e.pickGPUs(); err != nil {
		return err
	}
	if e.id != "sglang" {
		return e.portFree()
	}
	return nil
}

// launchSeed differs between launches: from pid and time, or from a fixed seed and the number of launches before.
func launchSeed(root string, fixed uint64) uint64 {
	if fixed == 0 {
		return mix(uint64(os.Getpid()), uint64(time.Now().UnixNano()))
	}
	f, err := os.OpenFile(root+"/run/launches", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fixed
	}
	defer f.Close()
	if _, err := f.WriteString("."); err != nil {
		return fixed
	}
	st, err := f.Stat()
	if err != nil {
		return fixed
	}
	return mix(fixed, uint64(st.Size()))
}

// pickGPUs maps ranks to the visible GPUs.
func (e *engine) pickGPUs() ([]int, error) {
	visible := []int{}
	list, restricted := e.p.env["CUDA_VISIBLE_DEVICES"]
	for i := range e.cfg.GPUs {
		if !restricted {
			visible = append(visible, i)
		}
	}
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		for i := range e.cfg.GPUs {
			if restricted && (part == strconv.Itoa(i) || (part != "" && strings.HasPrefix(e.cfg.GPU.uuid(i), part))) {
				visible = append(visible, i)
			}
		}
	}
	if len(visible) == 0 {
		return nil, raised("RuntimeError", "No CUDA GPUs are available")
	}
	if e.set.firstGPU < 0 || e.set.firstGPU+e.set.tp > len(visible) {
		return nil, raised("torch.AcceleratorError", "CUDA error: invalid device ordinal\ntensor parallel size %d from GPU %d needs more than the %d visible GPUs", e.set.tp, e.set.firstGPU, len(visible))
	}
	return visible[e.set.firstGPU : e.set.firstGPU+e.set.tp], nil
}

// portFree is the early check of the engines that bind before they load.
func (e *engine) portFree() error {
	l, err := net.Listen("tcp", net.JoinHostPort(e.set.host, strconv.Itoa(e.set.port)))
	if err != nil {
		return e.portTaken()
	}
	return l.Close()
}

func (e *engine) portTaken() error {
	if e.id == "tensorrt_llm" {
		return raised("RuntimeError", "Failed to bind socket to %s:%d: [Errno 98] Address already in use", e.set.host, e.set.port)
	}
	return &launchError{status: 1, lines: []string{fmt.Sprintf("ERROR:    [Errno 98] error while attempting to bind on address ('%s', %d): address already in use", e.set.host, e.set.port),
		"OSError: [Errno 98] Address already in use"}}
}

// boundServer is an HTTP server and its socket.
type boundServer struct {
	server   *http.Server
	listener net.Listener
}

// listen binds the API port, and TokenSpeed's control port after it.
func (e *engine) listen() ([]boundServer, error) {
	handlers := []http.Handler{e.routes()}
	if e.id == "tokenspeed" {
		handlers = append(handlers, e.controlRoutes())
	}
	out := []boundServer{}
	for i, h := range handlers {
		l, err := net.Listen("tcp", net.JoinHostPort(e.set.host, strconv.Itoa(e.set.port+i)))
		if err != nil {
			return nil, e.portTaken()
		}
		out = append(out, boundServer{&http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}, l})
	}
	return out, nil
}

// reportUse tells the ranks, and so nvidia-smi, whether steps are running.
func (e *engine) reportUse(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	busy := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if now := e.sched.active.Load(); now != busy {
			busy = now
			e.hold(e.mem.used())
		}
	}
}

// hold tells every rank how many bytes it holds, and waits until nvidia-smi shows it.
func (e *engine) hold(bytes float64) {
	h := holding{MemoryMiB: bytes / (1 << 20)}
	if e.sched != nil && e.sched.active.Load() {
		h.UtilizePct = 97
	}
	for _, c := range e.ranks {
		c.hold(h)
	}
	for _, c := range e.ranks {
		c.settled()
	}
}
