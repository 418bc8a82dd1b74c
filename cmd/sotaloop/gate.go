package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/worker"
)

const gateUsage = `usage, as a forced command in the authorized_keys of a host's account:
  command="/usr/local/bin/sotaloop worker gate --workdir DIR --engine TYPE=FOLDER … --models FOLDER …",restrict ssh-ed25519 …`

// exitWith is an exit code that is passed on, of something that has said itself what was wrong.
type exitWith int

// Error implements error.
func (e exitWith) Error() string { return fmt.Sprintf("ended with exit %d", int(e)) }

// list is a flag that may be given again.
type list []string

// String implements flag.Value.
func (l *list) String() string { return fmt.Sprint(*l) }

// Set implements flag.Value.
func (l *list) Set(v string) error {
	*l = append(*l, v)
	return nil
}

// runGate lets the server's key do what sotaloop's transport does, within what the account's owner lists, and nothing else.
func runGate(ctx context.Context, s streams, o worker.HostOptions, args []string) error {
	set := flag.NewFlagSet("worker gate", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	k := worker.Keeper{Home: o.Home, Environ: os.Environ()}
	var engines, models, env list
	set.StringVar(&k.Workdir, "workdir", "", "absolute folder of runs and datasets: workdir of the host's entry")
	set.StringVar(&k.LeaseDir, "lease-dir", "/var/lock/sotaloop", "lease_dir of the host's entry")
	set.Var(&engines, "engine", "TYPE=FOLDER: a virtual environment or folder of programs that may be launched")
	set.Var(&models, "models", "folder below which models lie")
	set.Var(&env, "env", "name of a variable that the host's entry sets")
	set.BoolVar(&k.Trust, "trust-remote-code", false, "let engines run code of checkpoints below --models")
	set.BoolVar(&k.Overlays, "overlays", false, "take source trees of patches: whoever has the key then runs any code in this account")
	receiptKey := set.String("receipt-key", "", "private key that signs for what this account measured, mode 0600, readable by this account alone")
	if err := set.Parse(args); err != nil || set.NArg() > 0 {
		return fault.New(fault.InvalidInput, "worker gate: unknown arguments %q", fmt.Sprint(args)).Hint("%s", gateUsage)
	}
	k.Models, k.Env = models, env
	if *receiptKey != "" {
		signer, err := gitops.LoadSigner(*receiptKey, nil)
		if err != nil {
			return err
		}
		k.Sign = func(statement []byte) ([]byte, error) { return gitops.Sign(signer, gitops.NamespaceReceipt, statement) }
	}
	keeper, err := worker.NewKeeper(k, engines)
	if err != nil {
		return err
	}
	if code := keeper.Keep(ctx, o, os.Getenv("SSH_ORIGINAL_COMMAND"), s.Err); code != 0 {
		return exitWith(code)
	}
	return nil
}
