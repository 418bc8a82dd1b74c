package hosts

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Run implements [Conn].
func (s *SSH) Run(ctx context.Context, c Cmd) (Result, error) {
	if err := c.validate(); err != nil {
		return Result{}, err
	}
	stdout, stderr := &capture{max: c.maxOutput()}, &capture{max: c.maxOutput()}
	mark := newMark()
	res, err := s.exec(ctx, execution{c, mark, runArgv(mark, c), stdout, stderr})
	return withOutput(res, stdout, stderr), err
}

// withOutput adds what was captured to a result.
func withOutput(res Result, stdout, stderr *capture) Result {
	var moreOut, moreErr bool
	res.Stdout, moreOut = stdout.bytes()
	res.Stderr, moreErr = stderr.bytes()
	res.Truncated = moreOut || moreErr
	return res
}

// Start implements [Conn].
func (s *SSH) Start(ctx context.Context, c Cmd) (int, error) {
	if err := c.validateDetached(); err != nil {
		return 0, err
	}
	mark := newMark()
	run := execution{c, mark, startArgv(mark, c), io.Discard, io.Discard}
	var said string
	_, err := s.execSaid(ctx, run, &said)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(said)
	if err != nil || pid <= 0 {
		return 0, fault.New(fault.HostUnreachable, "host %q: no process id but %s", s.name, fault.Foreign(said, maxExcerpt))
	}
	return pid, nil
}

// execution is one session's work.
type execution struct {
	cmd            Cmd
	mark           string
	argv           []string // what the login shell gets: cmd inside our scripts
	stdout, stderr io.Writer
}

// exec runs e to its end; see [Conn.Run].
func (s *SSH) exec(ctx context.Context, e execution) (Result, error) {
	var said string
	return s.execSaid(ctx, e, &said)
}

// execSaid is exec, and gives what our script said about the process: its pid, and its start time if it has one.
func (s *SSH) execSaid(ctx context.Context, e execution, said *string) (Result, error) {
	ctx, end, err := s.life.begin(ctx)
	if err != nil {
		return Result{}, err
	}
	defer end()
	if err := s.life.stopped(ctx, nil); err != nil {
		return Result{}, err
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return Result{}, s.life.stopped(ctx, nil)
	}
	session, err := s.session(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = s.life.stopped(ctx, nil)
		}
		return Result{}, err
	}
	defer func() { _ = session.Close() }()
	p := newRemoteProcess(session, e)
	defer p.endInput()
	select {
	case err = <-p.done:
	case <-ctx.Done():
		killed := s.kill(p)
		return Result{ExitCode: -1}, s.life.stopped(ctx, killed)
	}
	word, seen := p.stderr.said()
	*said = strings.TrimPrefix(word, "started ")
	return p.outcome(s.name, e.cmd, err, word, seen)
}

// kill ends a command's process group by a command of its own: servers before OpenSSH 7.9 pass no signals on, and later
// ones do not for root.
func (s *SSH) kill(p *remoteProcess) error {
	ctx, cancel := context.WithTimeout(context.Background(), graceAfterKill)
	defer cancel()
	select {
	case <-p.done:
		return nil
	case <-p.started:
	case <-ctx.Done():
		return errors.New("it did not tell its process id")
	}
	word, _ := p.stderr.said()
	id := strings.Fields(strings.TrimPrefix(word, "started "))
	if !strings.HasPrefix(word, "started ") || len(id) == 0 {
		return nil // it never began
	}
	began := ""
	if len(id) > 1 {
		began = id[1]
	}
	if err := s.killGroup(ctx, id[0], began); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return errors.New("its output is still open")
	}
}

// killGroup runs the script that kills: over the connection that is there, or, where that is lost or has no room for
// another session, over one of its own.
func (s *SSH) killGroup(ctx context.Context, pid, began string) error {
	s.killing <- struct{}{}
	defer func() { <-s.killing }()
	line := commandLine([]string{"/bin/sh", "-c", killScript, "sh", pid, began})
	s.mu.Lock()
	client := s.client
	s.mu.Unlock()
	if client != nil {
		if session, err := openSession(ctx, client); err == nil {
			return runLine(ctx, session, line)
		}
	}
	client, err := s.connector.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	session, err := openSession(ctx, client)
	if err != nil {
		return err
	}
	return runLine(ctx, session, line)
}

// runLine runs a command line in a session, no longer than ctx.
func runLine(ctx context.Context, session *ssh.Session, line string) error {
	defer func() { _ = session.Close() }()
	done := make(chan error, 1)
	go func() { done <- session.Run(line) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
