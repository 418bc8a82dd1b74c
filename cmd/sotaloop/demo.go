package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/policy"
	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/server"
)

// demoMark is a file in a home that the demo made, so that it never writes into a person's own.
const demoMark = "config/.demo"

// demoWorld is the demo's home: simulated host, SSH server, checkout, approver's throwaway key.
type demoWorld struct {
	home   string
	host   *sim.Host
	layout sim.Layout
	signer ssh.Signer
}

// runDemo plays a whole campaign on a simulated host: real MCP over stdio, real SSH, real git, simulated engines.
func runDemo(ctx context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("demo", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	dir := set.String("home", "", "folder for the demo; default: SOTALOOP_HOME, else a folder of its own")
	asJSON := set.Bool("json", false, "print one JSON object on standard output at the end; progress goes to standard error")
	era := set.String("era", server.Era2026, "protocol revision the agent speaks")
	if err := set.Parse(args); err != nil || set.NArg() > 0 {
		return fault.New(fault.InvalidInput, "demo: unknown arguments %q", fmt.Sprint(args)).Hint("usage: sotaloop demo [--home DIR] [--json]")
	}
	home, err := demoHome(*dir)
	if err != nil {
		return err
	}
	if err := ownRoots(systemConfig); err != nil {
		return err
	}
	out := s.Out
	if *asJSON {
		out = s.Err
	}
	show := newStage(out)
	began := time.Now()
	show.title("sotaloop demo: one whole campaign on a SIMULATED host (home %s)", home)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	world, err := newDemoWorld(ctx, home)
	if err != nil {
		return err
	}
	defer world.host.Close()
	show.note("simulated GPU host behind a real SSH server on loopback; checkout, engines and traces are simulated and say so")
	show.note("approver: a throwaway key made for this demo, allowed in this home only")
	result, err := world.play(ctx, show, *era)
	show.end()
	if err != nil {
		return err
	}
	show.closing(result, time.Since(began))
	if *asJSON {
		return json.NewEncoder(s.Out).Encode(result)
	}
	return nil
}

// ownRoots refuses to play where the machine's owner decides for every home: the demo brings hosts and an approver of its
// own, and nothing may go around what the owner wrote.
func ownRoots(system string) error {
	for _, name := range policy.Files {
		path := filepath.Join(system, name)
		if _, err := os.Lstat(path); err == nil {
			return fault.New(fault.Denied, "%s decides for every home of this machine, and the demo needs hosts and an approver of its own", path).At("home", path).
				Hint("run the demo on a machine or in a container without %s", system)
		}
	}
	return nil
}

// demoHome picks the folder and refuses one that is not the demo's.
func demoHome(dir string) (string, error) {
	if dir == "" {
		dir = os.Getenv("SOTALOOP_HOME")
	}
	if dir == "" {
		h, err := findHome("")
		if err != nil {
			return "", err
		}
		dir = h.state + "-demo"
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	_, hosts := os.Stat(filepath.Join(abs, "config", "hosts.yaml"))
	_, mark := os.Stat(filepath.Join(abs, filepath.FromSlash(demoMark)))
	if hosts == nil && errors.Is(mark, fs.ErrNotExist) {
		return "", fault.New(fault.Denied, "%s holds a hosts.yaml that the demo did not write", abs).At("home", abs).Hint("pass --home with an empty folder")
	}
	return abs, nil
}

// newDemoWorld lays everything out; a folder of an earlier demo is used again.
func newDemoWorld(ctx context.Context, home string) (*demoWorld, error) {
	if err := os.MkdirAll(filepath.Join(home, "config"), 0o700); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	checkout := filepath.Join(home, "checkout", "sglang")
	commit, err := demoCheckout(checkout)
	if err != nil {
		return nil, err
	}
	host, err := sim.New(filepath.Join(home, "simhost"), sim.Options{Binary: self, Engines: []string{"sglang", "vllm"}, Commit: commit, Source: checkout})
	if err != nil {
		return nil, err
	}
	if _, err := host.ServeSSH(ctx); err != nil {
		return nil, err
	}
	w := &demoWorld{home: home, host: host, layout: host.Layout()}
	if w.signer, err = demoSigner(); err != nil {
		return nil, err
	}
	return w, w.write(checkout)
}

// demoCheckout makes the small git checkout once and gives its commit.
func demoCheckout(dir string) (string, error) {
	if repo, err := gitops.Open(dir); err == nil {
		head, err := repo.Head()
		return head.Commit, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	return gitops.Create(dir, sim.SourceFiles(), "Import the simulated SGLang source", time.Now())
}

func demoSigner() (ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(key)
}

// write puts hosts.yaml, SSH client files and the approver's public key into the demo's home.
func (w *demoWorld) write(checkout string) error {
	e := w.layout.Engines
	hosts := fmt.Sprintf(`# Written by sotaloop demo: a simulated host.
hosts:
  simhost:
    ssh: %s
    device: cuda
    gpus: [0, 1]
    workdir: ~/sotaloop
    lease_dir: %q
    models:
      %s: %q
    engines:
      sglang:
        type: sglang
        venv: %q
        checkout: %q
        package_root: python/sglang
        import_name: sglang
      vllm:
        type: vllm
        venv: %q
`, w.layout.Alias, filepath.Join(w.layout.Home, "leases"), filepath.Base(w.layout.ModelPath), w.layout.ModelPath, e["sglang"].Venv, checkout, e["vllm"].Venv)
	public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(w.signer.PublicKey())))
	allowed := fmt.Sprintf("demo-approver namespaces=%q %s\n", gitops.NamespaceApproval, public)
	ssh, err := os.ReadFile(w.layout.SSHConfig)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{"hosts.yaml": hosts, "allowed_signers": allowed, "ssh_config": string(ssh), filepath.Base(demoMark): "made by sotaloop demo\n"} {
		if err := os.WriteFile(filepath.Join(w.home, "config", name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}
