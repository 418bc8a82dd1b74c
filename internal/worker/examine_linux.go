package worker

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/genuine"
)

// examine answers VerbExamine. It reads, and asks the kernel what may be written; it makes nothing.
func examine(o HostOptions) (any, error) {
	r, err := request[ExamineRequest](o)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(r.Payload)
	a := Examined{SHA256: hex.EncodeToString(sum[:]), Builds: map[string]genuine.Build{}, Secrets: map[string]bool{}}
	if dir, err := expand(r.Workdir, o.Home); err != nil {
		a.Workdir = err.Error()
	} else {
		a.Workdir = unwritable(dir)
	}
	if dir, err := expand(r.LeaseDir, o.Home); err != nil {
		a.LeaseDir = err.Error()
	} else if a.LeaseDir = unwritable(dir); a.LeaseDir == "" {
		a.LeaseDir = foreignLease(dir)
	}
	for name, e := range r.Engines {
		prefix, err := expand(cmp.Or(e.Venv, e.Command), o.Home)
		if err != nil {
			continue // an image's, or no path
		}
		if e.Venv == "" && filepath.Base(prefix) == "bin" {
			prefix = filepath.Dir(prefix)
		}
		g := genuine.Options{Prefix: prefix}
		g.Names, g.Import = framework.Distributions(e.Type)
		a.Builds[name] = genuine.Glance(g)
	}
	for _, name := range r.Secrets {
		v, ok := o.LookupEnv(name)
		a.Secrets[name] = ok && v != ""
	}
	return a, nil
}

// unwritable says why this account can neither write in a folder nor make it, "" where it can.
func unwritable(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at):
			continue
		case err != nil:
			return fmt.Sprintf("%s cannot be looked at: %v", at, errors.Unwrap(err))
		case !info.IsDir():
			return at + " is no folder"
		case unix.Access(at, unix.W_OK|unix.X_OK) != nil:
			return at + " cannot be written by this account"
		}
		return ""
	}
}

// foreignLease names a lease file that this account could not lock, "" where there is none.
func foreignLease(dir string) string {
	files, _ := filepath.Glob(filepath.Join(globQuote(dir), "*.lease"))
	for _, f := range files {
		if unix.Access(f, unix.R_OK|unix.W_OK) != nil {
			return f + " cannot be written by this account"
		}
	}
	return ""
}

// selftest answers VerbSelftest: a mock and a load on it, both in this process, on the loopback.
func selftest(ctx context.Context, o HostOptions) (any, error) {
	r, err := request[selftestRequest](o)
	if err != nil {
		return nil, err
	}
	if r.Duration < 4*selftestGap || r.Duration > maxSelftest {
		return nil, fault.New(fault.InvalidInput, "a self-test of %s is not possible", r.Duration).At("duration_ns", r.Duration.String(), "100ms to 10s")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fault.Wrap(fault.Denied, err, "nothing can listen on the host's loopback")
	}
	mock := &bench.Mock{TTFT: 5 * time.Millisecond, ITL: selftestGap}
	ctx, stop := context.WithTimeout(ctx, r.Duration+maxSelftest)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- mock.Serve(ctx, l) }()
	// Streams start over half of their length, so that the load lasts one and a half of it.
	c, err := bench.Certify(ctx, "http://"+l.Addr().String(), bench.CertifySpec{Streams: selftestStreams, ITL: selftestGap, Duration: r.Duration * 2 / 3})
	stop()
	return c, errors.Join(err, <-served)
}
