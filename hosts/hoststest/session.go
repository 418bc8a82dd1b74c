//go:build unix

package hoststest

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// session serves one session: one command, as OpenSSH runs it without a terminal.
func (s *Server) session(c ssh.NewChannel) {
	channel, requests, err := c.Accept()
	if err != nil {
		return
	}
	defer func() { _ = channel.Close() }()
	for r := range requests {
		var exec struct{ Command string }
		if r.Type != "exec" || ssh.Unmarshal(r.Payload, &exec) != nil {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		go ssh.DiscardRequests(requests)
		s.run(channel, exec.Command)
		return
	}
}

// run runs a command line through the login shell and tells how it ended.
func (s *Server) run(channel ssh.Channel, line string) {
	cmd := exec.Command(s.opt.Shell, "-c", s.opt.Greeting+line)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.opt.Home, channel, channel.Stderr()
	cmd.Env = []string{"HOME=" + s.opt.Home, "PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "SHELL=" + s.opt.Shell, "USER=tester"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	keepDescriptors()
	input, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{255}))
		return
	}
	go func() {
		_, _ = io.Copy(input, channel)
		_ = input.Close()
	}()
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		_, _ = channel.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal     string
			CoreDumped bool
			Error      string
			Lang       string
		}{Signal: unix.SignalName(status.Signal())[3:]}))
		return
	}
	_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(cmd.ProcessState.ExitCode())}))
}

// keepDescriptors makes sure that a command gets no descriptor that this process was itself handed; sshd does likewise.
func keepDescriptors() {
	entries, _ := os.ReadDir("/dev/fd")
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// forward passes a connection on to another host: what a jump host does.
func (s *Server) forward(c ssh.NewChannel) {
	var to struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}
	if err := ssh.Unmarshal(c.ExtraData(), &to); err != nil {
		_ = c.Reject(ssh.ConnectionFailed, "not understood")
		return
	}
	conn, err := net.Dial("tcp", net.JoinHostPort(to.Host, strconv.Itoa(int(to.Port))))
	if err != nil {
		_ = c.Reject(ssh.ConnectionFailed, errors.Unwrap(err).Error())
		return
	}
	channel, requests, err := c.Accept()
	if err != nil {
		_ = conn.Close()
		return
	}
	s.jumps.Add(1)
	go ssh.DiscardRequests(requests)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(channel, conn)
		_ = channel.CloseWrite()
	})
	_, _ = io.Copy(conn, channel)
	_ = conn.Close()
	wg.Wait()
	_ = channel.Close()
}
