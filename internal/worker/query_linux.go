package worker

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sotaloop/sotaloop/internal/fault"
)

const (
	defaultQueryTimeout = 2 * time.Minute
	maxQueryOutput      = 8 << 20 // of each stream
)

func query(ctx context.Context, o HostOptions) (any, error) {
	q, err := request[queryRequest](o)
	if err != nil {
		return nil, err
	}
	return runQuery(ctx, o, q)
}

// runQuery runs a help or version command in a built environment: wide lines, no colours, no translation. Its process
// group is killed when the time is over.
func runQuery(ctx context.Context, o HostOptions, q queryRequest) (queryAnswer, error) {
	if len(q.Argv) == 0 {
		return queryAnswer{}, fault.New(fault.InvalidInput, "a query without a program").At("argv", "")
	}
	program, err := findProgram(q.Argv[0], o.Home)
	if err != nil {
		return queryAnswer{}, fault.Wrap(fault.NotFound, err, "the engine's program cannot be run").At("argv", q.Argv[0])
	}
	setDefault(&q.Timeout, defaultQueryTimeout)
	ctx, stop := context.WithTimeout(ctx, q.Timeout)
	defer stop()
	cmd := exec.CommandContext(ctx, program)
	cmd.Args = append([]string{program}, q.Argv[1:]...)
	marker := "SOTALOOP_QUERY=" + rand.Text()
	cmd.Env = append(queryEnv(o, program, q.Env), marker)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second // a grandchild of another group may keep the pipe
	out, errs := &capped{left: maxQueryOutput}, &capped{left: maxQueryOutput}
	cmd.Stdout, cmd.Stderr = out, errs
	err = cmd.Run()
	if cmd.ProcessState == nil {
		return queryAnswer{}, fault.Wrap(fault.NotFound, err, "the engine's program cannot be run").At("argv", q.Argv[0])
	}
	killMarked(marker)
	a := queryAnswer{Out: out.buf.String(), Err: errs.buf.String(), Exit: cmd.ProcessState.ExitCode(), Cut: out.cut || errs.cut}
	a.TimedOut = errors.Is(ctx.Err(), context.DeadlineExceeded)
	return a, nil
}

// killMarked ends what a query left behind, known by the random entry of its environment.
func killMarked(marker string) {
	boot := bootID()
	for pid, s := range readProcs() {
		if environHas(pid, marker) {
			signalProc(procOf(s, boot), unix.SIGKILL)
		}
	}
}

func queryEnv(o HostOptions, program string, given map[string]string) []string {
	env := map[string]string{"PATH": filepath.Dir(program) + ":/usr/local/bin:/usr/bin:/bin", "HOME": o.Home}
	maps.Copy(env, given)
	maps.Copy(env, map[string]string{"COLUMNS": "1000", "LC_ALL": "C", "NO_COLOR": "1", "PYTHON_COLORS": "0", "PYTHONHASHSEED": "0"})
	list := make([]string, 0, len(env))
	for _, k := range slices.Sorted(maps.Keys(env)) {
		list = append(list, k+"="+env[k])
	}
	return list
}

// capped keeps the first bytes written to it and drops the rest.
type capped struct {
	buf  bytes.Buffer
	left int
	cut  bool
}

func (c *capped) Write(p []byte) (int, error) {
	n := len(p)
	if n > c.left {
		p, c.cut = p[:c.left], true
	}
	c.left -= len(p)
	c.buf.Write(p)
	return n, nil
}
