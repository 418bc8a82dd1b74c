package worker

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
	"github.com/sotaloop/sotaloop/internal/genuine"
)

// ExamineRequest asks whether a campaign could work in this account, without beginning anything.
type ExamineRequest struct {
	Workdir  string                      `json:"workdir"`
	LeaseDir string                      `json:"lease_dir"`
	Engines  map[string]framework.Engine `json:"engines"`
	Secrets  []string                    `json:"secrets"` // names of variables
	Payload  []byte                      `json:"payload"` // whose digest is wanted: that bytes arrive as they were sent
}

// Examined answers it.
type Examined struct {
	Workdir  string                   `json:"workdir"`   // why it cannot be written, "" where it can
	LeaseDir string                   `json:"lease_dir"` // why leases cannot be taken there, "" where they can
	Builds   map[string]genuine.Build `json:"builds"`    // by engine entry; none for images
	Secrets  map[string]bool          `json:"secrets"`   // whether the account has a variable of that name
	SHA256   string                   `json:"sha256"`    // of the payload
}

// selftestRequest asks for a load of the worker's own client on its own mock.
type selftestRequest struct {
	Duration time.Duration `json:"duration_ns"` // of the whole load; at most maxSelftest
}

const (
	maxSelftest     = 10 * time.Second
	selftestStreams = 8
	selftestGap     = 25 * time.Millisecond
	examinePayload  = 1 << 20
)

// EngineOf renders an engine entry of hosts.yaml for its adapter.
func EngineOf(name string, e hosts.EngineEntry) framework.Engine {
	return framework.Engine{
		Entry: name, Type: contract.Framework(e.Type), Venv: e.Venv, Image: e.Image, Command: e.Command,
		PackageRoot: e.PackageRoot, ImportName: e.ImportName, Env: e.Env,
	}
}

// Examine asks whether a campaign could work there. A mebibyte of random bytes travels along: a digest that comes back
// different is a fault.Corrupt. It gives how long the call took.
func (c *Client) Examine(ctx context.Context, r ExamineRequest) (Examined, time.Duration, error) {
	if r.Workdir == "" {
		r.Workdir = c.workdir
	}
	r.Payload = make([]byte, examinePayload)
	if _, err := rand.Read(r.Payload); err != nil {
		return Examined{}, 0, err
	}
	var a Examined
	began := time.Now()
	err := c.call(ctx, VerbExamine, r, &a)
	took := time.Since(began)
	if err != nil {
		return a, took, err
	}
	sum := sha256.Sum256(r.Payload)
	if want := hex.EncodeToString(sum[:]); a.SHA256 != want {
		return a, took, fault.New(fault.Corrupt, "%d bytes arrived with another digest than they were sent with", len(r.Payload)).At("sha256", a.SHA256, want)
	}
	return a, took, nil
}

// Selftest lets the worker's load client drive a mock server of its own on the host's loopback for about d, and gives what
// the client added to the measurement.
func (c *Client) Selftest(ctx context.Context, d time.Duration) (bench.Certificate, error) {
	var a bench.Certificate
	err := c.call(ctx, VerbSelftest, selftestRequest{Duration: d}, &a)
	return a, err
}
