package worker

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/genuine"
)

const engineLog = "engine.log"

// byteCode ends the name of the folder, beside that of the JIT caches, that holds a build's compiled Python modules.
const byteCode = ".pyc"

// engine is one server process that we started.
type engine struct {
	launch  *Launch
	dir     string // the launch's own folder
	log     string
	port    int
	argv    []string // placeholders filled
	proc    Proc
	began   time.Time
	overlay *overlayDir // nil without one
	control *control
	memory  *memoryWatch // nil on hosts with GPUs
	cache   string       // its folder of JIT caches
	cold    bool         // the first of its build here: it compiles, and measures nothing
	sealed  bool         // it was sent rows of a private dataset
	env     map[string]string
	id      *genuine.Identity // what it is, as installed before it started

	exited chan struct{} // closed when the process has been waited for
	state  *os.ProcessState
	settle chan struct{} // closed by the teardown: the starting thread may end
}

// said is what a server answered, fit for an event; of one that was sent private rows, nothing.
func (e *engine) said(err error) string {
	if e.sealed {
		return "its answer is not told, since the dataset is private"
	}
	return cleanLine(err.Error(), maxReasonLine)
}

// isDead says whether the process has exited.
func (e *engine) isDead() bool {
	select {
	case <-e.exited:
		return true
	default:
		return false
	}
}

// exit gives the exit code of a dead engine (128 + signal where one ended it) and how it ended, in words.
func (e *engine) exit() (code *int, how string) {
	<-e.exited
	if e.state == nil {
		return nil, "ended"
	}
	n, how := e.state.ExitCode(), ""
	if ws, ok := e.state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		n, how = 128+int(ws.Signal()), "ended by signal "+ws.Signal().String()
	} else {
		how = fmt.Sprintf("exited with code %d", n)
	}
	return &n, how
}

// fill replaces the placeholders of a launch.
func (e *engine) fill(cache string) *strings.Replacer {
	overlay := ""
	if e.overlay != nil {
		overlay = e.overlay.root
	}
	return strings.NewReplacer(
		framework.PortPlaceholder, strconv.Itoa(e.port),
		framework.RunDirPlaceholder, e.dir,
		framework.OutputPlaceholder, filepath.Join(e.dir, tracesDir),
		framework.CachePlaceholder, cache,
		framework.OverlayPlaceholder, overlay,
	)
}

// environ builds an engine's environment from nothing: a minimal base, what the plan gives, secrets by name, and ours.
func (r *runner) environ(e *engine, program string, fill *strings.Replacer) []string {
	env := map[string]string{
		"PATH": filepath.Dir(program) + ":/usr/local/bin:/usr/bin:/bin", "HOME": r.opts.Home, "LANG": "C.UTF-8",
		"PYTHONUNBUFFERED": "1",
	}
	if exists(filepath.Join(filepath.Dir(filepath.Dir(program)), "pyvenv.cfg")) {
		// What lies in __pycache__ is in no RECORD: byte code is compiled anew, and packages of the account's stay out.
		env["PYTHONPYCACHEPREFIX"], env["PYTHONNOUSERSITE"] = e.cache+byteCode, "1"
	}
	for k, v := range e.launch.Env {
		env[k] = fill.Replace(v)
	}
	for _, name := range e.launch.SecretEnv {
		if v, ok := r.opts.LookupEnv(name); ok {
			env[name] = v
		}
	}
	env["CUDA_VISIBLE_DEVICES"] = ""
	if r.plan.Device != deviceCPU {
		env["CUDA_VISIBLE_DEVICES"] = strings.Join(leaseNames(&r.plan), ",")
		env["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID" // the order nvidia-smi counts in
	}
	env[runMarker] = r.dir
	if e.overlay != nil {
		e.overlay.environ(env, filepath.Join(e.dir, proofDir))
	}
	e.env = env
	list := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}

// findProgram resolves argv[0] in the environment the engine will have.
func findProgram(name, home string) (string, error) {
	if strings.HasPrefix(name, "~/") {
		name = filepath.Join(home, name[2:])
	}
	if !strings.Contains(name, "/") {
		for _, dir := range []string{"/usr/local/bin", "/usr/bin", "/bin"} {
			if isProgram(filepath.Join(dir, name)) {
				return filepath.Join(dir, name), nil
			}
		}
		return "", fmt.Errorf("no program %q in the host's own folders", name)
	}
	if !filepath.IsAbs(name) || !isProgram(name) {
		return "", fmt.Errorf("%q is not an executable file", name)
	}
	return name, nil
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// startPinned starts the process on the leased cores: what a thread starts inherits its cores. The thread itself goes back
// to the client's.
func (r *runner) startPinned(cmd *exec.Cmd) error {
	if r.pinning == nil {
		return cmd.Start()
	}
	if err := pinThread(r.pinning.Cores); err != nil {
		return err
	}
	err := cmd.Start()
	_ = pinThread(r.pinning.ClientCores) // from here on it only waits, wherever that is
	return err
}

// start begins the process in a session of its own, with its output in the launch's log and nothing else open.
func (r *runner) start(e *engine, program string, env []string) error {
	log, err := os.OpenFile(e.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(program) //nolint:noctx // its end is the teardown's business, not a context's
	cmd.Args, cmd.Env, cmd.Dir = e.argv, env, e.dir
	cmd.Stdout, cmd.Stderr = log, log
	// Should the worker be killed, the kernel asks the engine to end. The signal follows the thread that started it,
	// so that thread is kept until the teardown.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGTERM}
	e.exited, e.settle = make(chan struct{}), make(chan struct{})
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // not unlocked: the thread ends with this goroutine
		err := r.startPinned(cmd)
		started <- err
		if err == nil {
			<-e.settle
		}
	}()
	e.began = time.Now()
	if err := <-started; err != nil {
		close(e.exited)
		return err
	}
	e.proc, err = r.family.add(cmd.Process.Pid)
	go func() {
		_ = cmd.Wait()
		e.state = cmd.ProcessState
		close(e.exited)
	}()
	if errors.Is(err, errNoProc) {
		err = nil // it is over already; the wait for readiness says how
		e.proc = Proc{PID: cmd.Process.Pid, BootID: r.family.boot, PGID: cmd.Process.Pid}
	}
	return err
}
