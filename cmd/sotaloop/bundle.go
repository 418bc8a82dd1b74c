package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/bundle"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/loop"
)

const bundleUsage = "usage: sotaloop bundle RUN_DIR [--out FILE]"

// runBundle writes the sealed part of a run directory as one file.
func runBundle(_ context.Context, s streams, args []string) error {
	set := flag.NewFlagSet("bundle", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	out := set.String("out", "", "file to write; default: the directory's name in the current folder")
	paths, err := parseMixed(set, args)
	if err != nil || len(paths) != 1 {
		return fault.New(fault.InvalidInput, "bundle takes one run directory").Hint(bundleUsage)
	}
	dir, err := filepath.Abs(paths[0])
	if err != nil {
		return err
	}
	if *out == "" {
		*out = filepath.Base(dir) + bundle.Ending
	}
	f, err := os.OpenFile(*out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // a bundle is made to be handed on
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Conflict, "%s exists already", *out).At("out", *out).Hint("name another file with --out")
	}
	if err != nil {
		return fault.Wrap(fault.Denied, err, "the bundle cannot be written").At("out", *out)
	}
	about, err := loop.WriteBundle(dir, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(*out))
	}
	for _, a := range about.LeftOut {
		fmt.Fprintf(s.Err, "left out: %s, %d MiB, sha256 %s; it stays in the run directory, and its tables are not recomputed from the bundle\n", a.Name, a.Size>>20, a.SHA256)
	}
	_, err = fmt.Fprintln(s.Out, *out)
	return err
}

// sealer signs reports' statements with the key of the home, where there is one.
func sealer(path string) func(context.Context, string, []byte) ([]byte, string, error) {
	return func(ctx context.Context, payloadType string, statement []byte) ([]byte, string, error) {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil, "", nil
		}
		signer, err := gitops.LoadSigner(path, nil)
		if err != nil {
			return nil, "", err
		}
		envelope, err := gitops.SignEnvelope(ctx, signer, payloadType, statement)
		return envelope, ssh.FingerprintSHA256(signer.PublicKey()), err
	}
}
