package hosts

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Local is this machine as a host. Its commands see the environment of this process, HOME being what "~" means.
type Local struct {
	name string
	home string
	life *lifetime
}

// NewLocal makes a connection to this machine; home is what "~" means.
func NewLocal(name, home string) (*Local, error) {
	if !isPOSIX {
		return nil, fault.New(fault.InvalidInput, "host %q: this operating system can be a client, not a host", name).
			At("local", "true").Hint("name a Linux host by ssh")
	}
	if !filepath.IsAbs(home) {
		return nil, fault.New(fault.InvalidInput, "host %q: home folder %q is not absolute", name, home).At("home", home)
	}
	return &Local{name: name, home: home, life: newLifetime(name)}, nil
}

// Run implements [Conn].
func (l *Local) Run(ctx context.Context, c Cmd) (Result, error) {
	if err := c.validate(); err != nil {
		return Result{}, err
	}
	ctx, end, err := l.life.begin(ctx)
	if err != nil {
		return Result{}, err
	}
	defer end()
	if err := l.life.stopped(ctx, nil); err != nil {
		return Result{}, err
	}
	stdout, stderr := &capture{max: c.maxOutput()}, &capture{max: c.maxOutput()}
	var input io.WriteCloser
	cmd, err := l.launch(c, func(cmd *exec.Cmd) (err error) {
		ownGroup(cmd)
		cmd.Stdout, cmd.Stderr = stdout, stderr
		input, err = cmd.StdinPipe()
		return err
	})
	if err != nil {
		return Result{}, err
	}
	err = l.wait(ctx, cmd, input, c.Stdin)
	return withOutput(exitOf(cmd.ProcessState), stdout, stderr), err
}

// wait feeds a running command and sees it end; when ctx ends first, its group is killed.
func (l *Local) wait(ctx context.Context, cmd *exec.Cmd, input io.WriteCloser, stdin io.Reader) error {
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		if stdin != nil {
			_, _ = io.Copy(input, stdin)
		}
		_ = input.Close()
	}()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		killGroup(cmd)
		<-done // WaitDelay bounds it
		err = l.life.stopped(ctx, nil)
	}
	select {
	case <-fed:
	case <-time.After(inputGrace):
	}
	var exited *exec.ExitError
	if errors.As(err, &exited) {
		return nil
	}
	return err
}

// Start implements [Conn].
func (l *Local) Start(ctx context.Context, c Cmd) (int, error) {
	if err := c.validateDetached(); err != nil {
		return 0, err
	}
	ctx, end, err := l.life.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	if err := l.life.stopped(ctx, nil); err != nil {
		return 0, err
	}
	cmd, err := l.launch(c, func(cmd *exec.Cmd) error {
		ownSession(cmd) // streams that are not set are /dev/null
		return nil
	})
	if err != nil {
		return 0, err
	}
	go func() { _ = cmd.Wait() }() // so that it is no zombie while this process lives
	return cmd.Process.Pid, nil
}

// maxBusyWait bounds the waits for a program that is busy; the last of them is the longest.
const maxBusyWait = 500 * time.Millisecond

// launch starts c as prepare has set it up. A program just written may be busy for a moment: a process that this one
// forked in the meantime holds its descriptor until it becomes another program (golang.org/issue/22315).
func (l *Local) launch(c Cmd, prepare func(*exec.Cmd) error) (*exec.Cmd, error) {
	for wait := time.Millisecond; ; wait *= 2 {
		cmd, err := l.command(c)
		if err != nil {
			return nil, err
		}
		if err = prepare(cmd); err == nil {
			err = cmd.Start()
		}
		switch {
		case err == nil:
			return cmd, nil
		case !errors.Is(err, syscall.ETXTBSY) || wait > maxBusyWait:
			return nil, l.startFault(c, err)
		}
		time.Sleep(wait)
	}
}

// command prepares c.
func (l *Local) command(c Cmd) (*exec.Cmd, error) {
	dir := l.expand(cmp.Or(c.Dir, "~"))
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, noFolder(l.name, c.Dir)
	}
	path := l.lookup(c, dir)
	if path == "" {
		return nil, noProgram(l.name, c.Argv[0])
	}
	cmd := exec.Command(path) // no CommandContext: it would kill the process, not its group
	cmd.Args, cmd.Dir, cmd.WaitDelay = c.Argv, dir, graceAfterKill
	cmd.Env = append(append(cmd.Environ(), "HOME="+l.home), c.assignments()...)
	return cmd, nil
}

// lookup finds the program as the command's own environment would; "" where there is none that can be run.
func (l *Local) lookup(c Cmd, dir string) string {
	name := c.Argv[0]
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return runnable(name)
	}
	list, ok := c.Env["PATH"]
	if !ok {
		path, err := exec.LookPath(name)
		if err != nil {
			return ""
		}
		return path
	}
	for _, folder := range filepath.SplitList(list) {
		if path := runnable(filepath.Join(cmp.Or(folder, dir), name)); path != "" {
			return path
		}
	}
	return ""
}

// runnable gives path if it is a file that may be executed.
func runnable(path string) string {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return ""
	}
	return path
}

// startFault says why a process did not begin.
func (l *Local) startFault(c Cmd, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return noProgram(l.name, c.Argv[0])
	}
	return fault.Wrap(fault.HostUnreachable, err, "host %q: cannot start %q", l.name, c.Argv[0])
}

// expand replaces a leading "~".
func (l *Local) expand(path string) string {
	if path == "~" {
		return l.home
	}
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(l.home, rest)
	}
	return path
}

// Close implements [Conn].
func (l *Local) Close() error {
	l.life.end()
	return nil
}
