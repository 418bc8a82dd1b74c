package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/witness"
)

const witnessUsage = `usage: sotaloop witness --dir FOLDER --key FILE, as the forced command of a line in authorized_keys:
command="sotaloop witness --dir FOLDER --key FILE",restrict ssh-ed25519 AAAA…`

// runWitness answers one request on standard input. It runs under an account of its own; what its caller asked for beyond
// that (SSH_ORIGINAL_COMMAND) is not looked at.
func runWitness(ctx context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("witness", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	dir := set.String("dir", "", "folder in which the heads that were seen are remembered")
	key := set.String("key", "", "private key that signs, mode 0600")
	if err := set.Parse(args); err != nil || set.NArg() > 0 || *dir == "" || *key == "" {
		return fault.New(fault.InvalidInput, "witness takes a folder and a key").Hint(witnessUsage)
	}
	signer, err := gitops.LoadSigner(*key, nil)
	if err != nil {
		return err
	}
	keeper := witness.New(*dir, func(statement []byte) ([]byte, error) { return gitops.Sign(signer, gitops.NamespaceWitness, statement) }, time.Now)
	answer, err := keeper.Answer(ctx, s.In)
	if err != nil {
		return err
	}
	_, err = s.Out.Write(answer)
	return err
}

// destination is what may follow ssh: an alias of the client configuration, or user@host.
var destination = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,200}$`)

// witnessOf reaches the witness that the home's file witness names, an SSH destination on one line; nil where there is no
// such file. It asks ssh itself, as the person's own configuration has it: the far end is a forced command, which takes no
// command of ours.
func witnessOf(h home) (func(context.Context, io.Reader) ([]byte, error), error) {
	path := h.file("witness")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Wrap(fault.Denied, err, "the file that names the witness cannot be read").At("witness", path)
	}
	name := strings.TrimSpace(string(raw))
	if !destination.MatchString(name) {
		return nil, fault.New(fault.InvalidInput, "%s does not name a witness", path).At("witness", name, "an alias of the SSH configuration", "user@host")
	}
	argv := []string{"-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-o", "ClearAllForwardings=yes"}
	if config, _ := h.sshFiles(); len(config) > 0 {
		argv = append(argv, "-F", config[0])
	}
	argv = append(argv, "--", name, "sotaloop-witness")
	return func(ctx context.Context, request io.Reader) ([]byte, error) {
		var out, problem bytes.Buffer
		c := exec.CommandContext(ctx, "ssh", argv...) //nolint:gosec // an argument list; the name is checked above
		c.Stdin, c.Stdout, c.Stderr, c.WaitDelay = request, &limited{w: &out, left: 1 << 20}, &limited{w: &problem, left: 4 << 10}, time.Second
		if err := c.Run(); err != nil {
			return nil, fault.Wrap(fault.HostUnreachable, err, "witness %q did not answer: %s", name, strings.ToValidUTF8(strings.TrimSpace(problem.String()), "?"))
		}
		return out.Bytes(), nil
	}, nil
}

// limited keeps the first bytes and drops the rest.
type limited struct {
	w    io.Writer
	left int
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	keep := p[:min(len(p), l.left)]
	l.left -= len(keep)
	if _, err := l.w.Write(keep); err != nil {
		return 0, err
	}
	return len(p), nil
}
