package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"time"
)

// childModule marks a worker process of an engine: `python -m sotaloop_simulated_rank NAME GPU orphan|bound`.
const childModule = "sotaloop_simulated_rank"

// child is an engine's rank in a process of its own, in the engine's process group. It holds the GPU's memory in the
// registry and nothing else; it ends when the engine does, because its standard input does.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	acked chan struct{} // one for each holding that is registered
	gone  chan struct{}
}

// holding is what an engine tells a rank, one JSON line each time it changes.
type holding struct {
	MemoryMiB  float64 `json:"memory_mib"`
	UtilizePct int     `json:"utilization_pct"`
}

func startChild(p *persona, name string, gpu int, orphan bool) (*child, error) {
	bond := "bound"
	if orphan {
		bond = "orphan"
	}
	cmd := exec.Command(p.link, "-m", childModule, name, strconv.Itoa(gpu), bond) //nolint:noctx // ends with its standard input
	cmd.Path = p.python()
	cmd.Args[0] = cmd.Path
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &child{cmd: cmd, stdin: stdin, acked: make(chan struct{}, 1), gone: make(chan struct{})}
	go func() {
		for in := bufio.NewScanner(stdout); in.Scan(); {
			c.acked <- struct{}{}
		}
		_ = cmd.Wait()
		close(c.gone)
	}()
	return c, nil
}

// hold tells the rank what it holds; settled waits until the registry says so.
func (c *child) hold(h holding) {
	b, err := json.Marshal(h)
	if err != nil {
		return
	}
	_, _ = c.stdin.Write(append(b, '\n')) // a child that died is noticed by gone
}

func (c *child) settled() {
	select {
	case <-c.acked:
	case <-c.gone:
	}
}

// stop ends the child and waits for it.
func (c *child) stop() {
	_ = c.stdin.Close()
	select {
	case <-c.gone:
	case <-time.After(500 * time.Millisecond):
		_ = c.cmd.Process.Kill()
		<-c.gone
	}
}

// runChild is the rank's main.
func runChild(p *persona, args []string) int {
	if len(args) != 3 {
		fmt.Fprintln(p.stderr, "python: No module named "+childModule)
		return 1
	}
	gpu, err := strconv.Atoi(args[1])
	if err != nil {
		return 1
	}
	// A TERM to the whole group is the engine's business: it closes our input when it is done.
	signal.Ignore(terminationSignals()...)
	r := registration{PID: os.Getpid(), Start: startTime(os.Getpid()), Name: args[0], GPUs: []int{gpu}}
	defer func() { _ = os.Remove(r.path(p.root)) }()
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var h holding
		if json.Unmarshal(in.Bytes(), &h) != nil {
			continue
		}
		r.MemoryMiB, r.UtilizePct = h.MemoryMiB, h.UtilizePct
		if err := r.write(p.root); err != nil {
			return 1
		}
		fmt.Fprintln(p.stdout, "held")
	}
	if args[2] == "orphan" {
		time.Sleep(time.Minute) // an orphaned rank keeps its memory; not for ever, since this is a test's wish
	}
	return 0
}
