package worker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// countProgram counts texts, a JSON string a line, with the library that engines bring along. Only tokenizer.json is
// read: no code of the model runs, and nothing is downloaded.
const countProgram = `import json, sys
from tokenizers import Tokenizer
t = Tokenizer.from_file(sys.argv[1])
for line in sys.stdin:
    print(len(t.encode(json.loads(line), add_special_tokens=False).ids), flush=True)
`

// counter is a running tokenizer.
type counter struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	errs   *capped
	digest string
	failed error
}

// tokenizerFile is where a model keeps the tokenizer that every engine reads.
func tokenizerFile(o HostOptions, model string) (string, error) {
	dir, err := expand(model, o.Home)
	return filepath.Join(dir, "tokenizer.json"), err
}

// tokenizerDigest is the SHA-256 of a model's tokenizer.json, "" where there is none.
func tokenizerDigest(o HostOptions, model string) string {
	path, err := tokenizerFile(o, model)
	if err != nil {
		return ""
	}
	sum, err := digestFile(path)
	if err != nil {
		return ""
	}
	return "sha256:" + sum
}

// startCounter starts the first interpreter that can count.
func startCounter(ctx context.Context, o HostOptions, t Tokenizer) (*counter, error) {
	path, err := tokenizerFile(o, t.Model)
	if err != nil {
		return nil, err
	}
	digest := tokenizerDigest(o, t.Model)
	if digest == "" {
		return nil, errors.New("the model's folder has no tokenizer.json")
	}
	last := errors.New("no engine entry of the host has a venv whose interpreter could count")
	for _, python := range t.Pythons {
		program, err := findProgram(python, o.Home)
		if err == nil {
			var c *counter
			if c, err = tryCounter(ctx, o, program, path); err == nil {
				c.digest = digest
				return c, nil
			}
		}
		last = err
	}
	return nil, last
}

// tryCounter starts one interpreter and lets it count a word.
func tryCounter(ctx context.Context, o HostOptions, program, path string) (*counter, error) {
	c := &counter{cmd: exec.CommandContext(ctx, program, "-c", countProgram, path), errs: &capped{left: 64 << 10}}
	c.cmd.Env, c.cmd.Dir, c.cmd.Stderr = queryEnv(o, program, map[string]string{"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}), "/", c.errs
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL}
	c.cmd.Cancel = func() error { return unix.Kill(-c.cmd.Process.Pid, unix.SIGKILL) }
	c.cmd.WaitDelay = 2 * time.Second
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	c.count("word")
	if c.failed == nil {
		return c, nil
	}
	return nil, c.stop()
}

// count gives the tokens of a text; after a failure 0, and stop says why.
func (c *counter) count(text string) int {
	if c.failed != nil {
		return 0
	}
	var line bytes.Buffer
	encode := json.NewEncoder(&line)
	if c.failed = encode.Encode(text); c.failed != nil {
		return 0
	}
	wrote := make(chan error, 1) // a long text fills the pipe: it is written beside the reading
	go func() {
		_, err := c.in.Write(line.Bytes())
		wrote <- err
	}()
	answer, err := c.out.ReadString('\n')
	if err != nil {
		_ = c.in.Close()
	}
	n := 0
	if err = errors.Join(err, <-wrote); err == nil {
		n, err = strconv.Atoi(strings.TrimSpace(answer))
	}
	c.failed = err
	return n
}

// stop ends the interpreter and gives the first failure, in its last words where it had some. They never hold a text:
// the library does not quote what it counts, and a traceback quotes our program.
func (c *counter) stop() error {
	_ = c.in.Close()
	err := c.cmd.Wait()
	if c.failed == nil && err == nil {
		return nil
	}
	lines := strings.Split(strings.TrimSpace(c.errs.buf.String()), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return fmt.Errorf("%s: %s", filepath.Base(c.cmd.Path), last)
	}
	return errors.Join(c.failed, err)
}
