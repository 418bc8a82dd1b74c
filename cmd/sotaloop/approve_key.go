package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// approverKey is a key that a person signs with.
type approverKey struct {
	info  gitops.KeyInfo
	sign  func(ctx context.Context, statement []byte) ([]byte, error)
	close func()
}

// keyOf makes an approver's key of a signer in this process or of an agent.
func keyOf(signer ssh.Signer, done func()) approverKey {
	return approverKey{info: gitops.DescribeSigner(signer), close: done, sign: func(_ context.Context, statement []byte) ([]byte, error) {
		return gitops.Sign(signer, gitops.NamespaceApproval, statement)
	}}
}

// terminal is where a person is asked for passphrases and touches.
type terminal struct {
	in  *os.File
	out io.Writer
}

// pickKey loads the key file, or takes the agent's first key that is an approver's.
func pickKey(ctx context.Context, h home, path string, allowed *gitops.AllowedSigners, t terminal) (approverKey, error) {
	if path == "" {
		return agentKey(ctx, h, func(k gitops.KeyInfo) bool { return len(allowed.Principals(k.Fingerprint)) > 0 })
	}
	if text, err := os.ReadFile(path); err == nil {
		if public, _, _, _, err := ssh.ParseAuthorizedKey(text); err == nil { // a .pub file: the agent has the rest
			want := ssh.FingerprintSHA256(public)
			return agentKey(ctx, h, func(k gitops.KeyInfo) bool { return k.Fingerprint == want })
		}
	}
	for _, k := range (gitops.Places{Files: []string{path}}).Keys(ctx) {
		if k.SecurityKey {
			return handleKey(path, k.KeyInfo, t)
		}
	}
	signer, err := gitops.LoadSigner(path, func() ([]byte, error) {
		fmt.Fprintf(t.out, "Passphrase of %s: ", filepath.Base(path))
		defer fmt.Fprintln(t.out)
		return term.ReadPassword(int(t.in.Fd()))
	})
	if err != nil {
		return approverKey{}, err
	}
	return keyOf(signer, func() {}), nil
}

// agentKey takes the first key of this account's agents that fits. The agent asks for a touch where the key needs one.
func agentKey(ctx context.Context, h home, fits func(gitops.KeyInfo) bool) (approverKey, error) {
	agents := h.agents()
	var failed error
	for _, socket := range agents {
		agent, err := gitops.AgentSigners(ctx, socket)
		if err != nil {
			failed = err
			continue
		}
		signers, err := agent.Signers()
		if err == nil {
			i := slices.IndexFunc(signers, func(s ssh.Signer) bool { return fits(gitops.DescribeSigner(s)) })
			if i >= 0 {
				return keyOf(signers[i], func() { _ = agent.Close() }), nil
			}
		}
		_ = agent.Close()
	}
	f := fault.New(fault.NotFound, "no key of the ssh-agent is an approver's")
	if len(agents) == 0 {
		f = fault.New(fault.NotFound, "there is no ssh-agent: SSH_AUTH_SOCK is empty and the SSH configuration names none")
	} else if failed != nil {
		f.Cause = failed
	}
	return approverKey{}, f.Hint("pass --key FILE, load the key with ssh-add, or sign elsewhere: --export FILE")
}

// handleKey signs with a security key through ssh-keygen, which talks to the token and asks for PIN and touch. It is given the
// bytes on its standard input: those that were shown, not a file that could change.
func handleKey(path string, info gitops.KeyInfo, t terminal) (approverKey, error) {
	tool, err := exec.LookPath("ssh-keygen")
	if err != nil {
		return approverKey{}, fault.Wrap(fault.NotFound, err, "a security key needs ssh-keygen").Hint("install OpenSSH, or load the key with ssh-add and leave --key out")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return approverKey{}, err
	}
	return approverKey{info: info, close: func() {}, sign: func(ctx context.Context, statement []byte) ([]byte, error) {
		var sig bytes.Buffer
		cmd := exec.CommandContext(ctx, tool, "-Y", "sign", "-n", gitops.NamespaceApproval, "-f", abs) //nolint:gosec // ssh-keygen with a key file that the person named
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(statement), &sig, t.out
		if err := cmd.Run(); err != nil {
			return nil, fault.Wrap(fault.Denied, err, "ssh-keygen did not sign").Hint("is the security key plugged in, and was it touched?")
		}
		return sig.Bytes(), nil
	}}, nil
}
