package sim

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// killGrace is how long a command whose channel closed has between SIGHUP and SIGKILL.
const killGrace = 200 * time.Millisecond

// session serves one session channel: exactly one exec, and signals to it.
func (s *sshServer) session(incoming ssh.NewChannel) {
	ch, requests, err := incoming.Accept()
	if err != nil {
		return
	}
	defer ch.Close()
	var run *execution
	for req := range requests {
		ok, started := false, false
		switch req.Type {
		case "exec":
			var p struct{ Command string }
			if run == nil && ssh.Unmarshal(req.Payload, &p) == nil {
				run, err = s.start(p.Command, ch)
				ok, started = err == nil, err == nil
			}
		case "signal":
			var p struct{ Name string }
			if run != nil && ssh.Unmarshal(req.Payload, &p) == nil {
				ok = signalGroup(run.cmd.Process.Pid, p.Name) == nil
			}
		}
		// No env, pty, shell or subsystem: a command sees the host's environment and nothing of the caller's.
		if req.WantReply {
			_ = req.Reply(ok, nil)
		}
		if started { // after the reply: a command that ends at once would close the channel before its request was answered
			go run.finish(ch)
		}
	}
	// The request stream ends when the client closes the channel or the connection drops, or after our own Close.
	if run != nil {
		run.hangUp()
	}
}

// execution is one command of a session.
type execution struct {
	cmd            *exec.Cmd
	stdout, stderr *os.File
	done           chan struct{} // closed when the command has exited
}

// start runs a command. Its end is reported by finish, which the caller begins.
func (s *sshServer) start(command string, ch ssh.Channel) (*execution, error) {
	cmd := exec.Command("/bin/sh", "-c", command) //nolint:noctx // outlives no context: ended by hangUp
	cmd.Dir = s.layout.Home
	cmd.Env = []string{"HOME=" + s.layout.Home, "PATH=" + s.layout.Bin + ":/usr/bin:/bin", "LANG=C.UTF-8",
		"USER=sim", "LOGNAME=sim", "SHELL=/bin/sh"}
	cmd.SysProcAttr = ownSession()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// Plain pipes in place of cmd.StdoutPipe: what the command leaves running may hold them after it exits.
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, outR.Close(), outW.Close())
	}
	cmd.Stdout, cmd.Stderr = outW, errW
	err = cmd.Start()
	_, _ = outW.Close(), errW.Close()
	if err != nil {
		_, _ = outR.Close(), errR.Close()
		return nil, err
	}
	run := &execution{cmd: cmd, stdout: outR, stderr: errR, done: make(chan struct{})}
	go func() {
		_, _ = io.Copy(stdin, ch)
		_ = stdin.Close()
	}()
	return run, nil
}

// finish reports the exit as soon as it happens, and closes the channel when nobody holds the output any more,
// which is what OpenSSH does (and why a background command has to redirect its output).
func (r *execution) finish(ch ssh.Channel) {
	var copies sync.WaitGroup
	copies.Go(func() { copyAndClose(ch, r.stdout) })
	copies.Go(func() { copyAndClose(ch.Stderr(), r.stderr) })
	_ = r.cmd.Wait()
	close(r.done)
	state := r.cmd.ProcessState
	if name, ok := signalName(state); ok {
		payload := ssh.Marshal(struct {
			Name       string
			CoreDumped bool
			Message    string
			Lang       string
		}{Name: name})
		copies.Wait()
		_, _ = ch.SendRequest("exit-signal", false, payload)
	} else {
		copies.Wait()
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(state.ExitCode())}))
	}
	_ = ch.Close()
}

func copyAndClose(w io.Writer, f *os.File) {
	_, _ = io.Copy(w, f)
	_ = f.Close()
}

// hangUp ends a command whose client is gone. Processes that made a session of their own are not reached.
func (r *execution) hangUp() {
	select {
	case <-r.done:
		return
	default:
	}
	_ = signalGroup(r.cmd.Process.Pid, "HUP")
	select {
	case <-r.done:
	case <-time.After(killGrace):
	}
	_ = signalGroup(r.cmd.Process.Pid, "KILL")
	<-r.done
}
