package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/sotaloop/sotaloop/internal/bench"
)

// Shards makes n processes of this program, which has the command `loadgen shard`, share a load. What they say of
// failures goes to stderr, which may be nil.
func Shards(n int, stderr io.Writer) bench.Shards {
	return bench.Shards{N: n, Start: func(ctx context.Context) (io.ReadWriteCloser, error) { return startShard(ctx, stderr) }}
}

// shardProcess is one process that sends a part of a load.
type shardProcess struct {
	io.WriteCloser // its standard input
	io.Reader      // its standard output
	cmd            *exec.Cmd
}

// startShard starts this program again as a shard, which ends when its standard input does.
func startShard(ctx context.Context, stderr io.Writer) (*shardProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "loadgen", "shard")
	cmd.Stderr, cmd.WaitDelay = stderr, 5*time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a process of the client: %w", err)
	}
	return &shardProcess{WriteCloser: in, Reader: out, cmd: cmd}, nil
}

// Close lets the process end and waits for it, for a while.
func (p *shardProcess) Close() error {
	closed := p.WriteCloser.Close()
	slow := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer slow.Stop()
	return errors.Join(closed, p.cmd.Wait())
}
