package gitops

import (
	"bytes"
	"cmp"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Bounds of a look for keys: it is made whenever an approval is judged.
const (
	agentPatience = 4 * time.Second // a busy machine's agent must not pass for none
	maxKeyFiles   = 300
	maxKeyFile    = 64 << 10 // bytes
)

// Places are where an account keeps keys: sockets of ssh-agents, folders whose files may be private keys, and single files.
type Places struct {
	Agents   []string
	Folders  []string
	Files    []string
	Patience time.Duration // how long an agent has to answer; zero for the default
}

// Reachable is a private key that this process can use.
type Reachable struct {
	KeyInfo
	Where  string // "ssh-agent PATH" or "key file PATH"
	Locked bool   // a key file with a passphrase
}

// Keys lists the private keys that this process can use at these places: those that agents offer, and files that it can
// read, locked ones included, since an account that is used to unlock a key can record how. What is not there, and what
// answers too late, is left out: a key that is not found may still be somewhere else.
func (p Places) Keys(ctx context.Context) []Reachable {
	found, _ := p.look(ctx)
	return found
}

// look gives the keys, and the sockets where something listens that did not say which keys it has.
func (p Places) look(ctx context.Context) (found []Reachable, silent []string) {
	sockets := unique(p.Agents)
	answers := make([][]Reachable, len(sockets))
	failed := make([]bool, len(sockets))
	var asked sync.WaitGroup
	for i, socket := range sockets {
		asked.Go(func() {
			var err error
			answers[i], err = agentKeys(ctx, socket, cmp.Or(p.Patience, agentPatience))
			failed[i] = err != nil
		})
	}
	asked.Wait()
	for i, socket := range sockets {
		if failed[i] {
			silent = append(silent, socket)
		}
	}
	found = slices.Concat(answers...)
	files := slices.Clone(p.Files)
	for _, dir := range unique(p.Folders) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	files = unique(files)
	for _, f := range files[:min(len(files), maxKeyFiles)] {
		if k, ok := fileKey(f); ok {
			found = append(found, k)
		}
	}
	return found, silent
}

// Find says where one of the keys can be used, "" where it is not found. Security keys are told too: they need a touch. An
// agent that is there and does not answer may have any key: whoever stops it for a moment must not hide what it holds.
func (p Places) Find(ctx context.Context, fingerprint string) string {
	found, silent := p.look(ctx)
	for _, k := range found {
		if k.Fingerprint == fingerprint {
			if k.Locked {
				return k.Where + ", which has a passphrase that this account could record"
			}
			return k.Where
		}
	}
	if len(silent) > 0 {
		return "ssh-agent " + silent[0] + ", which does not say which keys it has"
	}
	return ""
}

func unique(list []string) []string {
	list = slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "" })
	slices.Sort(list)
	return slices.Compact(list)
}

// agentKeys asks an agent for its keys. Only sockets are dialled. Where nobody listens there are none; an error means that
// somebody does, and gave no list.
func agentKeys(ctx context.Context, socket string, patience time.Duration) ([]Reachable, error) {
	if info, err := os.Stat(socket); err != nil || info.Mode()&fs.ModeSocket == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	a, err := AgentSigners(ctx, socket)
	if err != nil {
		return nil, ctx.Err() // a refused connection is no agent; one that nobody takes is
	}
	defer func() { _ = a.Close() }()
	if err := a.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	keys, err := a.client.List()
	if err != nil {
		return nil, err
	}
	var found []Reachable
	for _, k := range keys {
		if key, err := ssh.ParsePublicKey(k.Blob); err == nil {
			found = append(found, Reachable{KeyInfo: describe(key), Where: "ssh-agent " + socket})
		}
	}
	return found, nil
}

// fileKey reads a file that may be a private key.
func fileKey(path string) (Reachable, bool) {
	text, err := smallFile(path)
	if err != nil || !bytes.Contains(text, []byte("PRIVATE KEY")) {
		return Reachable{}, false
	}
	key, locked, err := publicHalf(text)
	if err != nil { // an old format hides it; it lies beside
		beside, err := smallFile(path + ".pub")
		if err != nil {
			return Reachable{}, false
		}
		if key, _, _, _, err = ssh.ParseAuthorizedKey(beside); err != nil {
			return Reachable{}, false
		}
		locked = true
	}
	return Reachable{KeyInfo: describe(key), Where: "key file " + path, Locked: locked}, true
}

// smallFile reads a regular file, never a pipe or a device, which could block.
func smallFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%q is no small file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKeyFile))
}

// publicHalf gives the public key of a private key file. OpenSSH's format has it in the clear, also of locked keys and of
// security keys' handles.
func publicHalf(text []byte) (key ssh.PublicKey, locked bool, err error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, false, errors.New("no PEM block")
	}
	if blob, ok := bytes.CutPrefix(block.Bytes, []byte("openssh-key-v1\x00")); ok && block.Type == "OPENSSH PRIVATE KEY" {
		var w struct {
			Cipher, KDF, KDFOptions string
			Keys                    uint32
			Public                  string
			Rest                    []byte `ssh:"rest"`
		}
		if err := ssh.Unmarshal(blob, &w); err != nil {
			return nil, false, err
		}
		key, err := ssh.ParsePublicKey([]byte(w.Public))
		return key, w.Cipher != "none", err
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, strings.Contains(err.Error(), "passphrase"), err
	}
	return signer.PublicKey(), false, nil
}
