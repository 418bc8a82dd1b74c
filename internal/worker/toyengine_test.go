//go:build linux

package worker_test

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// toy is a serving engine that misbehaves as its arguments say: "PORT fault…".
type toy struct {
	faults   []string
	busy     atomic.Int32 // flushes to refuse
	requests atomic.Int32
	listener net.Listener
	slots    chan struct{} // of which each serves one request at a time; nil: no limit
	profile  atomic.Pointer[string]
}

func (t *toy) has(fault string) bool { return slices.Contains(t.faults, fault) }

// value gives what follows "name=" among the faults.
func (t *toy) value(name string) string {
	for _, f := range t.faults {
		if v, ok := strings.CutPrefix(f, name+"="); ok {
			return v
		}
	}
	return ""
}

// blab prints a secret of the environment in every form that a careless engine might, a megabyte in.
func blab() {
	secret := os.Getenv("TOY_SECRET")
	fmt.Println(strings.Repeat("x", 1<<20))
	quoted, _ := json.Marshal(map[string]string{"api_key": secret})
	fmt.Printf("argv --api-key %s\nurl http://h/?t=%s\nb64 %s\njson %s\npart %s", secret, url.QueryEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret)), quoted, secret[:9])
	time.Sleep(50 * time.Millisecond)
	fmt.Println(secret[9:], "\x1b[2Jcleared \u202eback")
}

func playEngine(args []string) int {
	t := &toy{faults: args[1:]}
	fmt.Println("loading weights")
	fmt.Println("\x1b[31mLoad weight end\x1b[0m elapsed=0.1 s token=" + os.Getenv("TOY_SECRET"))
	if t.has("blab") {
		blab()
	}
	switch {
	case t.has("exit"):
		fmt.Println("RuntimeError: something else")
		return 3
	case t.has("oom"):
		fmt.Println("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB")
		fmt.Println("Received sigquit from a child process")
		return 1
	case t.has("child"): // sleeps, whatever it is told
		signal.Ignore(unix.SIGTERM)
		time.Sleep(time.Hour)
	case t.has("squatter"): // holds the port that its parent wants
		l, err := net.Listen("tcp", "127.0.0.1:"+args[0])
		if err != nil {
			return 4
		}
		fmt.Println("squatting on", l.Addr())
		time.Sleep(time.Hour)
	case t.has("burn"):
		for {
			fmt.Fprint(io.Discard, t.faults)
		}
	case t.has("silent"):
		time.Sleep(time.Hour)
	case t.value("touch") != "": // maps what its parent allocated, as a forked child does
		t.touch(os.NewFile(3, "pages"), t.value("touch"))
		_ = os.WriteFile(t.value("touched"), nil, 0o600)
		time.Sleep(time.Hour)
	}
	if t.has("ignore-term") {
		signal.Ignore(unix.SIGTERM)
	}
	if t.has("grandchild") {
		t.spawn("child", args[0])
	}
	if t.has("roam") {
		takeAllCores()
	}
	if t.has("roam-on") {
		go func() {
			for ; ; time.Sleep(5 * time.Millisecond) {
				takeAllCores()
			}
		}()
	}
	if mib := t.value("allocate"); mib != "" {
		t.allocate(mib)
	}
	if t.has("port-in-use") {
		t.spawn("squatter", args[0])
		for portFree(args[0]) {
			time.Sleep(10 * time.Millisecond)
		}
		fmt.Printf("[Errno 98] error while attempting to bind on address ('127.0.0.1', %s): address already in use\n", args[0])
		for t.has("lingers") { // busy for ever, as SGLang's scheduler is
			fmt.Fprint(io.Discard, t.faults)
		}
		return 1
	}
	return t.serve(args[0])
}

// takeAllCores lets every thread of this process run anywhere, as engines do that bind their own threads.
func takeAllCores() {
	var set unix.CPUSet
	for core := range 1024 {
		set.Set(core)
	}
	tids, _ := filepath.Glob("/proc/self/task/[0-9]*")
	for _, tid := range tids {
		n, _ := strconv.Atoi(filepath.Base(tid))
		_ = unix.SchedSetaffinity(n, &set)
	}
}

// allocate holds that much memory together with as many children as "sharers" says, and waits until they all do.
func (t *toy) allocate(mib string) {
	fd, err := unix.MemfdCreate("pages", unix.MFD_CLOEXEC)
	if err != nil {
		fmt.Println(err)
		os.Exit(5)
	}
	pages := os.NewFile(uintptr(fd), "pages")
	t.touch(pages, mib)
	me, _ := os.Executable()
	n, _ := strconv.Atoi(t.value("sharers"))
	for i := range n {
		touched := filepath.Join(os.Getenv("TOY_DIR"), fmt.Sprintf("touched-%d", i))
		cmd := exec.Command(me, "toy-engine", "0", "touch="+mib, "touched="+touched)
		cmd.Env, cmd.ExtraFiles = []string{"GORACE=" + raceOptions}, []*os.File{pages}
		_ = cmd.Start()
		for _, err := os.Stat(touched); err != nil; _, err = os.Stat(touched) {
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// touch maps a file's pages, shared, and writes each.
func (t *toy) touch(pages *os.File, mib string) {
	n, _ := strconv.Atoi(mib)
	if err := pages.Truncate(int64(n) << 20); err != nil {
		fmt.Println(err)
		os.Exit(5)
	}
	mem, err := unix.Mmap(int(pages.Fd()), 0, n<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		fmt.Println(err)
		os.Exit(5)
	}
	for i := 0; i < len(mem); i += os.Getpagesize() {
		mem[i] = 1
	}
}

func portFree(port string) bool {
	c, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err == nil {
		_ = c.Close()
	}
	return err != nil
}

// spawn starts a process in a session of its own that does not end with its parent.
func (t *toy) spawn(fault, port string) {
	me, _ := os.Executable()
	cmd := exec.Command(me, "toy-engine", port, fault)
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	cmd.Env = []string{} // not even the marker is left
	_ = cmd.Start()
}

func (t *toy) serve(port string) int {
	l, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	t.listener = l
	if n, err := strconv.Atoi(t.value("busy")); err == nil {
		t.busy.Store(int32(n))
	}
	if dir := os.Getenv("SOTALOOP_PROOF_DIR"); dir != "" && t.value("proof") != "" {
		_ = os.WriteFile(filepath.Join(dir, fmt.Sprintf("proof-%d.json", os.Getpid())), []byte(strings.ReplaceAll(t.value("proof"), "PID", strconv.Itoa(os.Getpid()))), 0o600)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if t.has("never-ready") {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/server_info", func(w http.ResponseWriter, _ *http.Request) {
		n, _ := strconv.Atoi(t.value("info"))
		_ = json.NewEncoder(w).Encode(map[string]any{"args": os.Args[1:], "env": os.Environ(), "padding": strings.Repeat("x", n)})
	})
	mux.HandleFunc("POST /flush_cache", func(w http.ResponseWriter, _ *http.Request) {
		if t.busy.Add(-1) >= 0 {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	mux.HandleFunc("POST /start_profile", t.startProfile)
	mux.HandleFunc("POST /stop_profile", t.stopProfile)
	mux.HandleFunc("POST /v1/completions", t.complete)
	if n, err := strconv.Atoi(t.value("slots")); err == nil {
		t.slots = make(chan struct{}, n)
	}
	fmt.Println("fired up and ready to roll")
	_ = http.Serve(l, mux)
	if t.value("drop-port") != "" {
		time.Sleep(time.Hour)
	}
	return 0
}

// complete streams max_tokens events.
func (t *toy) complete(w http.ResponseWriter, req *http.Request) {
	var body struct {
		MaxTokens int             `json:"max_tokens"`
		Prompt    json.RawMessage `json:"prompt"`
	}
	var ids []int
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	n := int(t.requests.Add(1))
	if t.dropped(n) {
		<-req.Context().Done()
		return
	}
	t.jit(n)
	if json.Unmarshal(body.Prompt, &ids) != nil {
		ids = make([]int, len(strings.Fields(string(body.Prompt))))
	}
	if t.has("blab") && n%3 == 0 {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, `{"error": "cannot fetch with %s"}`, os.Getenv("TOY_SECRET"))
		return
	}
	if t.has("gossip") { // says what it was asked wherever it can
		fmt.Printf("Received request: prompt=%s\n", body.Prompt)
		switch n % 4 {
		case 1:
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, "the prompt %s is not nice", body.Prompt)
			return
		case 2:
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"text\":%s,\"finish_reason\":%s}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":%d}}\n\ndata: [DONE]\n\n", body.Prompt, body.Prompt, body.MaxTokens)
			return
		}
	}
	if after, err := strconv.Atoi(t.value("die-after")); err == nil && n > after {
		fmt.Println("Scheduler hit an exception: boom", string(body.Prompt))
		os.Exit(9)
	}
	for gate := t.value("gate"); gate != "" && req.Context().Err() == nil; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(gate); err == nil {
			break
		}
	}
	if t.slots != nil {
		t.slots <- struct{}{}
		defer func() { <-t.slots }()
	}
	w.Header().Set("Content-Type", "text/event-stream")
	flush, _ := w.(http.Flusher)
	for i := range body.MaxTokens {
		finish := "null"
		if i == body.MaxTokens-1 {
			finish = `"length"`
		}
		fmt.Fprintf(w, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"text\":\"t%d \",\"finish_reason\":%s}],\"usage\":null}\n\n", i, finish)
		flush.Flush()
		if t.has("hang") && i == 1 {
			<-req.Context().Done()
			return
		}
		time.Sleep(t.gap())
	}
	fmt.Fprintf(w, "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":%d,\"completion_tokens\":%d,\"total_tokens\":%d}}\n\ndata: [DONE]\n\n",
		len(ids), body.MaxTokens, len(ids)+body.MaxTokens)
}

// dropped lets go of the port at the third request, and gives that away; later ones are answered once the file beside it
// is there.
func (t *toy) dropped(n int) bool {
	path := t.value("drop-port")
	if path == "" || n < 3 {
		return false
	}
	if n == 3 {
		_ = t.listener.Close()
		_ = os.WriteFile(path, nil, 0o600)
	}
	for {
		if _, err := os.Stat(path + ".go"); err == nil {
			return false
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// gap is the time between two events of a stream.
func (t *toy) gap() time.Duration {
	if d, err := time.ParseDuration(t.value("itl")); err == nil {
		return d
	}
	return time.Millisecond
}

// jit compiles a kernel at one request of a launch, unless the cache has it; or at every so many.
func (t *toy) jit(n int) {
	at, err := strconv.Atoi(t.value("jit-at"))
	if err != nil || n%at != 0 || (n != at && !t.has("jit-always")) {
		return
	}
	kernel := filepath.Join(os.Getenv("TOY_CACHE"), "triton", "kernel-"+strconv.Itoa(n)+".cubin")
	if _, err := os.Stat(kernel); err == nil {
		return
	}
	_ = os.MkdirAll(filepath.Dir(kernel), 0o700)
	_ = os.WriteFile(kernel, []byte("compiled"), 0o600)
	_ = os.WriteFile(filepath.Join(filepath.Dir(kernel), "build.log"), []byte("of no account"), 0o600)
	fmt.Println("compiled", kernel)
}

func (t *toy) startProfile(w http.ResponseWriter, req *http.Request) {
	raw, _ := io.ReadAll(req.Body)
	var body struct {
		Dir   string `json:"output_dir"`
		Stage string `json:"stage"`
		Steps string `json:"steps"`
	}
	if json.Unmarshal(raw, &body) != nil || body.Dir == "" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	path := filepath.Join(body.Dir, "17-TP-0-"+body.Stage+"-"+body.Steps+".trace.json.gz")
	t.profile.Store(&path)
}

// stopProfile writes the trace in two halves, the second a little later.
func (t *toy) stopProfile(w http.ResponseWriter, _ *http.Request) {
	path := t.profile.Load()
	if path == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if t.has("no-trace") {
		return
	}
	go func() {
		f, err := os.Create(*path)
		if err != nil {
			return
		}
		defer func() { _ = f.Close() }()
		z := gzip.NewWriter(f)
		_, _ = fmt.Fprintf(z, `{"traceEvents": [%s`, strings.Repeat(" ", 50000))
		_ = z.Flush()
		if t.has("torn-trace") {
			return
		}
		time.Sleep(300 * time.Millisecond)
		if t.has("blab-trace") {
			_, _ = fmt.Fprintf(z, `{"name": "kernel_%s"},`, base64.StdEncoding.EncodeToString([]byte("t="+os.Getenv("TOY_SECRET"))))
		}
		_, _ = fmt.Fprintf(z, `{"requests": %d}]}`, t.requests.Load())
		_ = z.Close()
	}()
}
