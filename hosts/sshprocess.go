package hosts

import (
	"bytes"
	"errors"
	"io"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// inputGrace is how long a reader that a command left unread may take to notice.
const inputGrace = 100 * time.Millisecond

// remoteProcess is a session at work.
type remoteProcess struct {
	stdout, stderr *afterMark
	started        chan struct{} // closed when our script has said who it is
	done           chan error    // one value: how the session ended
	input          io.WriteCloser
	inputDone      chan struct{}
}

// newRemoteProcess starts e in a session. Even the starting may block, when the host went silent; so it is done apart.
func newRemoteProcess(session *ssh.Session, e execution) *remoteProcess {
	p := &remoteProcess{started: make(chan struct{}), done: make(chan error, 1), inputDone: make(chan struct{})}
	p.stdout = &afterMark{mark: e.mark, next: e.stdout}
	p.stderr = &afterMark{mark: e.mark, next: e.stderr, onWord: func(string) { close(p.started) }}
	session.Stdout, session.Stderr = p.stdout, p.stderr
	input, err := session.StdinPipe()
	if err != nil {
		p.done <- err
		close(p.inputDone)
		return p
	}
	p.input = input
	go func() {
		if err := session.Start(commandLine(e.argv)); err != nil {
			p.done <- err
			close(p.inputDone)
			return
		}
		go p.feed(e.cmd.Stdin)
		p.done <- session.Wait()
	}()
	return p
}

// feed copies the input. A command that stops reading makes the write fail, which is its own business.
func (p *remoteProcess) feed(stdin io.Reader) {
	defer close(p.inputDone)
	if stdin != nil {
		_, _ = io.Copy(p.input, stdin)
	}
	_ = p.input.Close()
}

// endInput waits a moment for the caller's reader to be left alone.
func (p *remoteProcess) endInput() {
	select {
	case <-p.inputDone:
	case <-time.After(inputGrace):
	}
}

// outcome turns the end of a session into a result, or into why there is none. word is what our script said on stderr.
func (p *remoteProcess) outcome(host string, c Cmd, err error, word string, seen bool) (Result, error) {
	switch word {
	case "nodir":
		return Result{}, noFolder(host, c.Dir)
	case "noprogram":
		return Result{}, noProgram(host, c.Argv[0])
	case "nosetsid":
		return Result{}, fault.New(fault.NotFound, "host %q: no `setsid -f` to start a command detached", host).
			Hint("install util-linux on the host")
	}
	var exited *ssh.ExitError
	switch {
	case err != nil && !errors.As(err, &exited):
		return Result{ExitCode: -1}, p.lost(host, err)
	case !seen:
		said := fault.Foreign(string(bytes.Join([][]byte{p.stderr.chatter(), p.stdout.chatter()}, []byte{' '})), maxExcerpt)
		return Result{ExitCode: -1}, fault.New(fault.HostUnreachable, "host %q: the login shell ended before our script began: %s", host, said).
			Hint("check that the account may run commands over SSH (shell, ForceCommand, start-up files)")
	case exited == nil:
		return Result{}, nil
	case exited.Signal() != "":
		return Result{ExitCode: -1, Signal: exited.Signal()}, nil
	}
	return Result{ExitCode: exited.ExitStatus()}, nil
}

// lost says that the connection broke under a command.
func (p *remoteProcess) lost(host string, err error) error {
	f := fault.Wrap(fault.HostUnreachable, err, "host %q: connection lost while a command ran; it may still run there", host)
	return f.Hint("look at the host before repeating what must not happen twice")
}

// noFolder and noProgram are the failures that keep a command from beginning.
func noFolder(host, dir string) error {
	return fault.New(fault.NotFound, "host %q: no folder %q that can be entered", host, dir).At("dir", dir)
}

func noProgram(host, name string) error {
	return fault.New(fault.NotFound, "host %q: no program %q that can be run", host, name).At("argv", name)
}
