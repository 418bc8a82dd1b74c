package trace_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/sotaloop/sotaloop/internal/trace"
)

// kind is a kernel of a world.
type kind struct {
	name, cat, category string
	computes, light     bool
}

var kinds = []kind{
	{"nvjet_tst_big", "kernel", "gemm", true, false},
	{"flash_fwd_kernel", "kernel", "attention", true, false},
	{"ncclDevKernel_AllReduce_Sum", "kernel", "communication", false, false},
	{"Memcpy DtoD (Device -> Device)", "gpu_memcpy", "memory", false, true},
	{"Memset (Device)", "gpu_memset", "memory", false, true},
	{"vllm_rms_norm_kernel", "kernel", "norm", true, true},
	{"vectorized_elementwise_kernel", "kernel", "elementwise", false, true},
	{"mystery_kernel", "kernel", "other", false, false},
}

// odd is a kernel that no category fits.
func odd(name string) kind { return kind{name: name, cat: "kernel", category: "other"} }

// letter is the nth of the alphabet.
func letter(n int) string { return string(rune('a' + n)) }

// work is one piece of GPU work and all that is true of it. Times are nanoseconds.
type work struct {
	kind
	device, stream int
	ts, dur        int64
	launched       bool // a launch of it is in the trace
	launchTS       int64
	thread         int
	stage          string
	step           int // its step, -1 none
	post           bool
	joined         bool // what launched it can be known: operator and source
	graph          int  // its graph launch, 0 none
}

func (k *work) end() int64 { return k.ts + k.dur }

// window is a step of the framework.
type window struct {
	ts, end int64
	stage   string
	draft   bool
}

// How GPU work is joined to what launched it.
const (
	byExternalID = iota
	byCorrelation
	byArrows
	byOperatorOnly // External id, but no launches in the trace
	joins
)

const (
	hostPID = 100
	lostIDs = 900_000 // ids from here on belong to launches that were not recorded
)

// world makes a trace and remembers the truth.
type world struct {
	r         *rand.Rand
	join      int
	external  string // how the id is spelled
	framework string
	label     string // stage in the file's name
	format    func(ns int64) string
	nodeIDs   bool  // replays are told by node ids
	nodeBase  int64 // added to node ids
	base      int64 // of the clock
	rank      int

	events     []string
	first      int64
	gpu        []work
	steps      []window
	waits      map[int][][2]int64 // synchronising calls, by thread
	recordings []int64
	clock      map[int]int64    // of each host thread
	free       map[[2]int]int64 // when a device's stream is free
	begun      map[[2]int64]bool
	id, lost   int
	graphs     int
	layered    *layeredTruth
}

// layeredTruth is what the layer table has to find.
type layeredTruth struct {
	stage               string
	layers, period, odd int // odd: layers of one extra pass, 0 none
	slow                int
	graph               bool
	names               []kind
	passes              [][][]int // pass, layer, indexes into gpu
}

func newWorld(seed uint64) *world {
	r := rand.New(rand.NewPCG(seed, 0x7ace))
	w := &world{
		r: r, join: r.IntN(joins), external: []string{"External id", "external id"}[r.IntN(2)],
		framework: []string{"sglang", "vllm", "tensorrt_llm"}[r.IntN(3)], nodeIDs: r.IntN(2) == 0,
		nodeBase: []int64{0, 4 << 32, 7<<32 + 100}[r.IntN(3)], rank: r.IntN(9), first: math.MaxInt64,
		waits: map[int][][2]int64{}, clock: map[int]int64{}, free: map[[2]int]int64{}, begun: map[[2]int64]bool{}, lost: lostIDs,
	}
	if r.IntN(4) == 0 {
		w.label = []string{trace.Prefill, trace.Decode}[r.IntN(2)]
	}
	decimal := func(ns int64) string {
		sign := ""
		if ns < 0 {
			sign, ns = "-", -ns
		}
		return fmt.Sprintf("%s%d.%03d", sign, ns/1000, ns%1000)
	}
	switch r.IntN(5) {
	case 0:
		w.base, w.format = 4_566_345_754_922_244, decimal
	case 4: // digits below a nanosecond are rounded away
		w.base = 1_234_567
		w.format = func(ns int64) string {
			if ns > 0 && w.r.IntN(2) == 0 {
				return decimal(ns-1) + "9"
			}
			return decimal(ns) + "49"
		}
	case 1: // no more digits than needed, on both sides of zero
		w.base = -400_000
		w.format = func(ns int64) string { return strings.TrimSuffix(strings.TrimRight(decimal(ns), "0"), ".") }
	case 2:
		w.format = func(ns int64) string { return strconv.FormatFloat(float64(ns)/1000, 'e', -1, 64) }
	default:
		w.base, w.format = 1_690_000_000_000_000_123, decimal
	}
	if r.IntN(2) == 0 {
		l := &layeredTruth{
			stage:  []string{trace.Prefill, trace.Decode}[r.IntN(2)],
			layers: 3 + r.IntN(5), period: 3 + r.IntN(6), graph: w.join != byOperatorOnly && r.IntN(2) == 0,
		}
		if l.layers*l.period < 18 { // layers are most of the stage, or they are not looked for
			l.period = 6
		}
		if r.IntN(3) == 0 {
			l.odd = 3 + (l.layers-2)%4
		}
		l.slow = r.IntN(l.layers)
		for i := range l.period {
			l.names = append(l.names, odd("blk_"+letter(i)))
		}
		if l.period > 4 && r.IntN(2) == 0 {
			l.names[2] = l.names[0] // one kernel twice in a layer
		}
		w.layered = l
	}
	return w
}

// between draws a number of [low, high).
func (w *world) between(low, high int64) int64 { return low + w.r.Int64N(high-low) }

// add writes one complete event; keys come in one of two orders, since neither is promised.
func (w *world) add(cat, name string, pid, tid, ts, dur int64, args string) {
	w.first = min(w.first, ts)
	head := fmt.Sprintf(`"ph":"X","cat":%q,"name":%q,"pid":%d,"tid":%d,"ts":%s,"dur":%s`, cat, name, pid, tid, w.format(w.base+ts), w.format(dur))
	if w.r.IntN(2) == 0 {
		w.events = append(w.events, `{"args":{`+args+`},`+head+`}`)
		return
	}
	w.events = append(w.events, `{`+head+`,"args":{`+args+`}}`)
}

// play makes one or two recordings of steps.
func (w *world) play() {
	recordings := 1 + w.r.IntN(5)/4
	for n := range recordings {
		start := max(w.clock[1], w.clock[2])
		for _, k := range w.gpu {
			start = max(start, k.end())
		}
		start += 50_000 + int64(n)*1_000_000_000
		w.clock[1], w.clock[2] = start, start
		w.recordings = append(w.recordings, start)
		if recordings > 1 {
			w.add("Trace", "PyTorch Profiler (0)", 7, 7, start, 300_000, "")
			w.id = 0 // ids begin again
		}
		for range w.r.IntN(3) { // before any step
			w.launch(w.any(), 1, -1, w.rest(), false)
		}
		steps := 1 + w.r.IntN(5)
		if w.layered != nil {
			steps = 2 + w.r.IntN(2)
			for p := range steps {
				w.pass(w.layered.layers)
				if p == 0 && n == 0 && w.layered.odd > 0 {
					w.pass(w.layered.odd)
				}
			}
		}
		for range steps {
			w.step()
			if w.r.IntN(4) == 0 { // on a thread of its own, outside of steps
				w.clock[2] = max(w.clock[1], w.clock[2])
				w.launch(w.any(), 2, -1, w.rest(), false)
				w.clock[1] = max(w.clock[1], w.clock[2]) + 1000
			}
			if w.r.IntN(3) == 0 {
				w.loseOne()
			}
		}
	}
	for i := range w.gpu {
		if w.gpu[i].stage == "" {
			w.gpu[i].stage = trace.Unassigned
		}
	}
}

// rest is the stage of what no step speaks of.
func (w *world) rest() string { return cmp.Or(w.label, trace.Unassigned) }

// any picks a kernel.
func (w *world) any() kind { return kinds[w.r.IntN(len(kinds))] }

// mode draws a step's name and what it means; never the stage whose layers are counted.
func (w *world) mode() (name, stage string, draft bool) {
	for {
		name, stage, draft = w.anyMode()
		if w.layered == nil || stage != w.layered.stage {
			return name, stage, draft
		}
	}
}

func (w *world) anyMode() (name, stage string, draft bool) {
	contexts, generations := w.r.IntN(3), w.r.IntN(3)*7
	switch {
	case contexts > 0 && generations > 0:
		stage = trace.Mixed
	case contexts > 0:
		stage = trace.Prefill
	case generations > 0:
		stage = trace.Decode
	}
	switch n := w.r.IntN(2); {
	case w.framework == "vllm" && n == 0:
		return fmt.Sprintf("execute_context_%d(%d)_generation_%d(%d)", contexts, contexts*64, generations, generations), stage, false
	case w.framework == "vllm":
		return fmt.Sprintf("execute_%d_context_%d(sq%dsk9)_generation_%d(sq%dsk900)", contexts*64+generations, contexts, contexts*64, generations, generations), stage, false
	case w.framework == "tensorrt_llm" && n == 0:
		return fmt.Sprintf("[Executor] _forward_step %d: %d ctx reqs, %d gen reqs", w.r.IntN(99), contexts, generations), stage, false
	case w.framework == "tensorrt_llm":
		return fmt.Sprintf("[Executor] _forward_step 3: %d ctx reqs, %d ctx tokens, %d gen reqs", contexts, 64*contexts, generations), stage, false
	}
	m := []struct {
		name, stage string
		draft       bool
	}{
		{"step[EXTEND bs=1 toks=512", trace.Prefill, false}, {"step[SPLIT_PREFILL bs=1", trace.Prefill, false}, {"step[DLLM_EXTEND bs=1", trace.Prefill, false},
		{"step[DECODE bs=8", trace.Decode, false}, {"step[TARGET_VERIFY bs=8", trace.Decode, false}, {"draft step[DECODE bs=8", trace.Decode, true},
		{"step[DRAFT_EXTEND bs=8", trace.Decode, true}, {"draft step[DRAFT_EXTEND_V2 bs=8", trace.Decode, true}, {"step[MIXED bs=9 toks=99", trace.Mixed, false},
		{"step[IDLE bs=0", "", false}, {"step[PREBUILT bs=2", "", false}, {"step[SOME_NEW_MODE bs=2", "", false},
	}[w.r.IntN(12)]
	return m.name + []string{"]", " prefill=1 decode_0]"}[w.r.IntN(2)], m.stage, m.draft
}

// within makes a step around what emit launches; name is written once on its thread and again on the GPU's track.
func (w *world) within(name, stage string, draft bool, emit func(step int)) {
	step := len(w.steps)
	begin := w.clock[1]
	w.steps = append(w.steps, window{ts: begin, stage: stage, draft: draft})
	w.clock[1] += 100
	emit(step)
	w.clock[1] += 5000
	w.steps[step].end = w.clock[1]
	w.add("user_annotation", name, hostPID, 1, begin, w.clock[1]-begin, "")
	w.add("gpu_user_annotation", name, 0, 7, begin+3000, w.clock[1]-begin, "")
	w.add("python_function", "sglang/srt/models/outer.py(3): forward", hostPID, 1, begin+10, w.clock[1]-begin-20, "")
	w.clock[1] += 100
}

// step makes a step of any mode, with pauses of every cause, and work launched after it.
func (w *world) step() {
	name, stage, draft := w.mode()
	var own int
	w.within(name, stage, draft, func(step int) {
		own = step
		if w.framework == "sglang" && !draft && stage == trace.Decode && w.r.IntN(2) == 0 { // a draft step inside
			w.within("draft step[DECODE bs=1]", stage, true, func(inner int) { w.launch(w.any(), 1, inner, stage, false) })
		}
		for range 1 + w.r.IntN(6) {
			w.pause()
			w.launch(w.any(), 1, step, stage, false)
		}
		if w.join != byOperatorOnly && w.r.IntN(4) == 0 {
			list := make([]kind, 1+w.r.IntN(5))
			for i := range list {
				list[i] = odd("graphed_" + letter(w.r.IntN(4)))
			}
			w.replay(list, step, stage, func(int) int64 { return w.duration() })
		}
		if w.r.IntN(3) == 0 { // another thread works for this step
			w.clock[2] = max(w.clock[2], w.clock[1])
			w.launch(w.any(), 2, step, stage, false)
			w.clock[1] = max(w.clock[1], w.clock[2])
		}
	})
	for range w.r.IntN(3) {
		w.pause()
		w.launch(w.any(), 1, own, stage, true)
	}
	w.clock[1] += w.between(100, 30_000)
}

// pass makes a step of one forward pass: kernels before, equal layers of which one is slow, kernels after.
func (w *world) pass(layers int) {
	l := w.layered
	name := map[string]string{"sglang" + trace.Prefill: "step[EXTEND bs=1 toks=9]", "sglang" + trace.Decode: "step[DECODE bs=9]",
		"vllm" + trace.Prefill: "execute_context_1(9)_generation_0(0)", "vllm" + trace.Decode: "execute_context_0(0)_generation_8(8)",
		"tensorrt_llm" + trace.Prefill: "[Executor] _forward_step 5: 2 ctx reqs, 0 gen reqs", "tensorrt_llm" + trace.Decode: "[Executor] _forward_step 5: 0 ctx reqs, 2 gen reqs",
	}[w.framework+l.stage]
	list := []kind{odd("pre_x"), odd("pre_y")}[:w.r.IntN(3)]
	before := len(list)
	for range layers {
		list = append(list, l.names...)
	}
	list = append(list, []kind{odd("tail_x")}[:w.r.IntN(2)]...)
	duration := func(i int) int64 {
		if at := i - before; at >= 0 && at%l.period == 0 && at/l.period == l.slow {
			return 900_000
		}
		return w.between(2_000, 20_000)
	}
	w.within(name, l.stage, false, func(step int) {
		from := len(w.gpu) + before
		if l.graph {
			w.replay(list, step, l.stage, duration)
		} else {
			for i, k := range list {
				w.gpuWork(k, 1, step, l.stage, false, 7, duration(i))
			}
		}
		pass := make([][]int, layers)
		for i := range layers * l.period {
			pass[i/l.period] = append(pass[i/l.period], from+i)
		}
		l.passes = append(l.passes, pass)
	})
	if w.r.IntN(2) == 0 {
		w.gpuWork(odd("tail_y"), 1, len(w.steps)-1, l.stage, true, 7, w.duration())
	}
}

// pause makes the GPU wait for one of the causes, or not at all.
func (w *world) pause() {
	switch w.r.IntN(5) {
	case 0: // the host is late
		w.clock[1] += w.between(1000, 300_000)
	case 1: // it waits in a call; the driver's call lies inside the runtime's
		begin, d := w.clock[1], w.between(2000, 300_000)
		w.add("cuda_runtime", "cudaStreamSynchronize", hostPID, 1, begin, d, "")
		w.waits[1] = append(w.waits[1], [2]int64{begin, begin + d})
		if w.r.IntN(2) == 0 {
			w.add("cuda_driver", "cuStreamSynchronize", hostPID, 1, begin+100, d/3, "")
			w.waits[1] = append(w.waits[1], [2]int64{begin + 100, begin + 100 + d/3})
		}
		w.clock[1] += d + w.between(10, 2000)
	case 2: // what is queued is held back
		w.free[[2]int{0, 7}] = max(w.free[[2]int{0, 7}], w.clock[1]) + w.between(1000, 100_000)
	}
}

// duration draws how long a kernel of no layer runs.
func (w *world) duration() int64 {
	if w.layered != nil {
		return w.between(0, 2000) // layers keep the busiest stream
	}
	return []int64{0, w.between(1, 2000), w.between(1000, 60_000), w.between(1000, 400_000)}[w.r.IntN(4)]
}

// launch launches a kernel on any stream.
func (w *world) launch(k kind, thread, step int, stage string, post bool) {
	w.gpuWork(k, thread, step, stage, post, []int{7, 7, 20, 21, 1007}[w.r.IntN(5)], w.duration())
}

// place gives a stream's device and number: stream 1007 is stream 7 of the second device.
func place(stream int) (device, number int) { return stream / 1000, stream % 1000 }

// gpuWork makes an operator, its launch, a Python frame around both, and the kernel.
func (w *world) gpuWork(k kind, thread, step int, stage string, post bool, stream int, dur int64) {
	begin := w.clock[thread] + w.between(10, 3000)
	d := w.between(1500, 4000)
	w.clock[thread] = begin + d + 200
	if w.r.IntN(3) == 0 { // another operator around it
		w.add("cpu_op", "aten::outer", hostPID, int64(thread), begin-5, d+10, "")
	}
	w.id++
	k0 := work{kind: k, thread: thread, step: step, stage: stage, post: post, joined: true, launched: w.join != byOperatorOnly, launchTS: begin + d/3}
	external := fmt.Sprintf(`"%s":%d`, w.external, w.id)
	opArgs, launchArgs, args := external, fmt.Sprintf(`"correlation":%d,%s`, w.id, external), fmt.Sprintf(`"correlation":%d,%s`, w.id, external)
	switch w.join {
	case byCorrelation:
		opArgs, launchArgs, args = "", fmt.Sprintf(`"correlation":%d`, w.id), fmt.Sprintf(`"correlation":%d`, w.id)
	case byArrows:
		opArgs, launchArgs, args = "", "", ""
	case byOperatorOnly:
		args = external
	}
	w.add("python_function", frameOf(k), hostPID, int64(thread), begin-8, d+16, "")
	w.add("cpu_op", operatorOf(k), hostPID, int64(thread), begin, d, opArgs)
	if k0.launched {
		w.add("cuda_runtime", "cudaLaunchKernel", hostPID, int64(thread), k0.launchTS, d/4, launchArgs)
	}
	w.run(k0, stream, dur, args)
}

func frameOf(k kind) string    { return "sglang/srt/layers/" + nameLetters(k) + ".py(7): apply" }
func operatorOf(k kind) string { return "aten::made_by_" + nameLetters(k) }

// nameLetters leaves of a name what fits into another.
func nameLetters(k kind) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return -1
	}, k.name)
}

// run puts a kernel on a stream, after its launch and what the stream does already.
func (w *world) run(k work, stream int, dur int64, args string) {
	k.device, k.stream = place(stream)
	at := [2]int{k.device, k.stream}
	k.ts, k.dur = max(w.free[at], k.launchTS+w.between(1000, 9000)), dur
	for w.begun[[2]int64{int64(k.device), k.ts}] { // two that begin at once would both end a gap
		k.ts++
	}
	w.begun[[2]int64{int64(k.device), k.ts}] = true
	w.free[at] = k.end() + w.between(0, 3)*w.between(0, 3000)
	if w.join == byArrows && k.joined {
		w.lost++ // any fresh number
		w.events = append(w.events,
			fmt.Sprintf(`{"ph":"s","cat":"ac2g","name":"ac2g","id":%d,"pid":%d,"tid":%d,"ts":%s}`, w.lost, hostPID, k.thread, w.format(w.base+k.launchTS)),
			fmt.Sprintf(`{"ph":"f","cat":"ac2g","name":"ac2g","id":%d,"pid":%d,"tid":%d,"ts":%s,"bp":"e"}`, w.lost, k.device, k.stream, w.format(w.base+k.ts)))
	}
	parts := []string{fmt.Sprintf(`"stream":%d`, k.stream)}
	if args != "" {
		parts = append(parts, args)
	}
	w.add(k.cat, k.name, int64(k.device), int64(k.stream), k.ts, k.dur, strings.Join(parts, ","))
	w.gpu = append(w.gpu, k)
}

// replay launches a graph of kernels.
func (w *world) replay(list []kind, step int, stage string, duration func(i int) int64) {
	begin := w.clock[1] + 100
	w.clock[1] += 4000
	w.id++
	w.graphs++
	id := fmt.Sprintf(`"correlation":%d`, w.id)
	if w.join == byArrows {
		id = ""
	}
	w.add("python_function", "sglang/srt/replay_of_graphs.py(9): replay", hostPID, 1, begin-5, 3000, "")
	w.add("cuda_runtime", "cudaGraphLaunch", hostPID, 1, begin, 2000, id)
	joins := w.join
	for i, k := range list {
		args := id
		if w.nodeIDs {
			if w.join == byCorrelation || w.join == byExternalID { // an id of its own that nothing else has
				w.lost++
				args = fmt.Sprintf(`"correlation":%d,`, w.lost)
			}
			args += fmt.Sprintf(`"graph id":3,"graph node id":%d`, w.nodeBase+int64(i)+1)
			w.join = byCorrelation // no arrows either
		}
		w.run(work{kind: k, thread: 1, step: step, stage: stage, joined: true, launched: true, launchTS: begin, graph: w.graphs}, 7, duration(i), args)
		w.join = joins
	}
}

// loseOne makes a kernel whose launch is not in the trace.
func (w *world) loseOne() {
	w.lost++
	args := map[int]string{byExternalID: fmt.Sprintf(`"correlation":%d,"%s":%d`, w.lost, w.external, w.lost), byCorrelation: fmt.Sprintf(`"correlation":%d`, w.lost),
		byOperatorOnly: fmt.Sprintf(`"%s":%d`, w.external, w.lost)}[w.join]
	w.run(work{kind: w.any(), step: -1, stage: w.rest(), launchTS: w.clock[1]}, 20, w.duration(), args)
}

// file writes the trace in any order of events and gives its path.
func (w *world) file(t *testing.T) string {
	t.Helper()
	w.r.Shuffle(len(w.events), func(i, j int) { w.events[i], w.events[j] = w.events[j], w.events[i] })
	text := `{"schemaVersion":1,"distributedInfo":{"rank":` + strconv.Itoa(w.rank) + `},"traceEvents":[` + strings.Join(w.events, ",\n") + `]}`
	name := "host_12-" + map[string]string{"": "x", trace.Prefill: "EXTEND", trace.Decode: "decode"}[w.label] + ".trace.json"
	if w.r.IntN(2) == 0 {
		return writeFile(t, name+".gz", zipped(t, []byte(text)))
	}
	return writeFile(t, name, []byte(text))
}
