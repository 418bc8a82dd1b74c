package verify_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/verify"
	"github.com/sotaloop/sotaloop/internal/worker"
)

// hostKey signs receipts in tests.
func hostKey(t *testing.T, seed byte) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
	require.NoError(t, err)
	return s
}

// protects makes a contract ask for receipts.
func protects(t *testing.T) func(*contract.Contract) {
	return func(c *contract.Contract) {
		c.Host.ReceiptKey = strings.TrimSpace(string(ssh.MarshalAuthorizedKey(hostKey(t, 7).PublicKey())))
	}
}

// told notes the event that a row is of, where the host signs for its runs, and makes the row of it as an intake does.
func (b *builder) told(l worker.Launch, pt worker.Point, rec *bench.Recording, p loop.PointMeasured) loop.PointMeasured {
	st := b.state()
	if st.Contract.Host.ReceiptKey == "" {
		return p
	}
	art, started := *p.Records, *p.Row.StartedAt
	point := bench.Point{Status: bench.StatusOK, StartedAt: started, Metrics: bench.Measure(rec), Settling: bench.Settling{Settled: true}}
	e := worker.Event{Kind: worker.EventPointDone, Launch: l.ID, Point: pt.ID, Measured: &point, Cache: "flushed", Quiet: &worker.Quiet{ForeignGPU: []string{}, PeakGPUMiB: 4096},
		Files: []worker.File{{Name: "x", Role: "records", SHA256: art.SHA256, Size: art.Size}}}
	raw, err := json.Marshal(e)
	require.NoError(b.t, err)
	require.NoError(b.t, json.Unmarshal(raw, &e))
	b.events = append(b.events, e)
	row := st.SignedRow(l, pt, nil, e, loop.PointMeasured{}).Row
	row.RawSHA256, row.Artifacts.RawResult = art.SHA256, art.Name
	p.Row = row
	return p
}

// receipt signs for a run; none can for one that ran a patch.
func (b *builder) receipt(r loop.RunPlanned, launches []worker.Launch) {
	st := b.state()
	if st.Contract.Host.ReceiptKey == "" || strings.HasPrefix(r.Job, "revalidate/") {
		b.events = nil
		return
	}
	for _, l := range launches {
		b.events = append(b.events, worker.Event{Kind: worker.EventLaunchStopped, Launch: l.ID})
	}
	rec := b.signed(r, b.events)
	b.events = nil
	b.add("receipt.recorded", rec)
}

// signed is a receipt over events, by the host's key.
func (b *builder) signed(r loop.RunPlanned, events []worker.Event) loop.ReceiptRecorded {
	st := b.state()
	var raw bytes.Buffer
	for i, e := range events {
		e.Seq = i + 1
		line, err := json.Marshal(e)
		require.NoError(b.t, err)
		raw.Write(append(line, '\n'))
	}
	rec := loop.ReceiptRecorded{RunID: r.RunID, Events: b.put("benchmark/receipts/"+r.RunID+".events.jsonl", raw.Bytes())}
	known := []string{}
	for id := range st.Plans {
		known = append(known, id)
	}
	return signReceipt(b.t, 7, rec, worker.Receipt{Kind: worker.ReceiptKind, V: worker.ReceiptVersion, Campaign: campaignID, ContractDigest: st.Digest, RunID: r.RunID, Plan: r.Plan.SHA256,
		Events: rec.Events.SHA256, Count: len(events), State: worker.StateDone, Program: "ab", BootID: "b007", Runs: known, Gate: worker.GateTerms{Env: []string{}}, Time: morning})
}

// signReceipt signs a receipt with a key.
func signReceipt(t *testing.T, key byte, rec loop.ReceiptRecorded, r worker.Receipt) loop.ReceiptRecorded {
	t.Helper()
	var err error
	rec.Statement, err = json.Marshal(r)
	require.NoError(t, err)
	sig, err := gitops.Sign(hostKey(t, key), gitops.NamespaceReceipt, rec.Statement)
	require.NoError(t, err)
	rec.Signature, rec.Key = string(sig), ssh.FingerprintSHA256(hostKey(t, key).PublicKey())
	return rec
}

// TestAProtectedHostIsClaimedUpToThePatch is the honest twin of every attack below.
func TestAProtectedHostIsClaimedUpToThePatch(t *testing.T) {
	t.Parallel()
	dir, _ := build(t, 2, protects(t))
	hosts := fmt.Appendf(nil, "gpu-host namespaces=%q %s", gitops.NamespaceReceipt, ssh.MarshalAuthorizedKey(hostKey(t, 7).PublicKey()))
	fingerprint := ssh.FingerprintSHA256(hostKey(t, 7).PublicKey())
	for _, path := range []string{dir, bundled(t, dir)} {
		res := check(t, path, verify.Options{Version: release, Hosts: hosts, Require: []string{verify.RequireHost}})
		require.Nil(t, res.First)
		require.Contains(t, res.Levels, "host: protected before the patch, unprotected with it (a patch's code runs in the account that would sign; receipts by "+fingerprint+"), a key of gpu-host")
		require.Equal(t, []string{"host: 1 runs ran a patch's code, for which no account can vouch"}, res.Lacking)
		res = check(t, path, verify.Options{Version: release})
		require.Contains(t, strings.Join(res.Levels, "\n"), "which nobody vouches for")
	}
	text, err := os.ReadFile(filepath.Join(dir, "final_report.md"))
	require.NoError(t, err)
	require.Contains(t, string(text), "host: protected before the patch")
	for name, file := range map[string][]byte{"nobody": {}, "another key": fmt.Appendf(nil, "gpu-host %s", ssh.MarshalAuthorizedKey(hostKey(t, 8).PublicKey()))} {
		res := check(t, dir, verify.Options{Version: release, Hosts: file})
		require.Contains(t, strings.Join(res.Levels, "\n"), "which nobody vouches for", name)
	}
}

// TestForgedReceiptsAndRowsAreFound plays somebody who can write the whole run directory, chain included, and has no key
// of the host.
func TestForgedReceiptsAndRowsAreFound(t *testing.T) {
	t.Parallel()
	made, _ := build(t, 2, protects(t))
	receipt := func(n int, edit func(t *testing.T, p *loop.ReceiptRecorded, r *worker.Receipt) byte) func(*testing.T, string) func(entries) entries {
		return func(t *testing.T, _ string) func(entries) entries {
			return func(l entries) entries {
				i := l.at(t, "receipt.recorded", n)
				var p loop.ReceiptRecorded
				require.NoError(t, json.Unmarshal(l[i].Payload, &p))
				r, err := worker.ParseReceipt(p.Statement)
				require.NoError(t, err)
				if key := edit(t, &p, &r); key > 0 {
					p = signReceipt(t, key, p, r)
				}
				l[i].Payload, err = json.Marshal(p)
				require.NoError(t, err)
				return l
			}
		}
	}
	row := func(n int, edit func(p map[string]any)) func(*testing.T, string) func(entries) entries {
		return func(t *testing.T, _ string) func(entries) entries { return edited(t, "point.measured", n, edit) }
	}
	for name, x := range map[string]struct {
		forge func(t *testing.T, dir string) func(entries) entries
		says  string
	}{
		"another key": {receipt(2, func(*testing.T, *loop.ReceiptRecorded, *worker.Receipt) byte { return 8 }), "may not sign for"},
		"another key, named as ours": {receipt(2, func(t *testing.T, p *loop.ReceiptRecorded, r *worker.Receipt) byte {
			ours := p.Key
			*p = signReceipt(t, 8, *p, *r)
			p.Key = ours
			return 0
		}), "may not sign for"},
		"another namespace": {receipt(2, func(t *testing.T, p *loop.ReceiptRecorded, _ *worker.Receipt) byte {
			sig, err := gitops.Sign(hostKey(t, 7), gitops.NamespaceSeal, p.Statement)
			require.NoError(t, err)
			p.Signature = string(sig)
			return 0
		}), "signature is for namespace"},
		"a statement edited behind its signature": {receipt(2, func(_ *testing.T, p *loop.ReceiptRecorded, _ *worker.Receipt) byte {
			p.Statement = bytes.Replace(p.Statement, []byte(`"b007"`), []byte(`"b008"`), 1)
			return 0
		}), "verify signature"},
		"of another run":       {receipt(2, func(_ *testing.T, _ *loop.ReceiptRecorded, r *worker.Receipt) byte { r.RunID = "ab"; return 7 }), "the receipt is of run"},
		"of another campaign":  {receipt(2, func(_ *testing.T, _ *loop.ReceiptRecorded, r *worker.Receipt) byte { r.Campaign = "x"; return 7 }), "the receipt is of campaign"},
		"of another contract":  {receipt(2, func(_ *testing.T, _ *loop.ReceiptRecorded, r *worker.Receipt) byte { r.ContractDigest = "x"; return 7 }), "the receipt is of contract"},
		"of another plan":      {receipt(2, func(_ *testing.T, _ *loop.ReceiptRecorded, r *worker.Receipt) byte { r.Plan = "x"; return 7 }), "the receipt is of plan"},
		"of other events":      {receipt(2, func(_ *testing.T, _ *loop.ReceiptRecorded, r *worker.Receipt) byte { r.Events = "x"; return 7 }), "the receipt is of events"},
		"of fewer events":      {receipt(2, func(_ *testing.T, _ *loop.ReceiptRecorded, r *worker.Receipt) byte { r.Count--; return 7 }), "it is about"},
		"of a run that failed": {receipt(2, func(_ *testing.T, _ *loop.ReceiptRecorded, r *worker.Receipt) byte { r.State = "lost"; return 7 }), "ended as lost"},
		"of a later format":    {receipt(2, func(_ *testing.T, _ *loop.ReceiptRecorded, r *worker.Receipt) byte { r.V = 2; return 7 }), "version 2"},
		"a run that is not shown": {receipt(2, func(_ *testing.T, _ *loop.ReceiptRecorded, r *worker.Receipt) byte {
			r.Runs = append(r.Runs, "77")
			return 7
		}), "the host holds run 77"},
		"another job's receipt": {func(t *testing.T, _ string) func(entries) entries {
			return func(l entries) entries {
				var from, to loop.ReceiptRecorded
				i := l.at(t, "receipt.recorded", 2)
				require.NoError(t, json.Unmarshal(l[l.at(t, "receipt.recorded", 1)].Payload, &from))
				require.NoError(t, json.Unmarshal(l[i].Payload, &to))
				from.RunID = to.RunID
				l[i].Payload, _ = json.Marshal(from)
				return l
			}
		}, "the receipt is of run"},
		"events edited": {func(t *testing.T, dir string) func(entries) entries {
			return func(l entries) entries {
				var p loop.ReceiptRecorded
				require.NoError(t, json.Unmarshal(l[l.at(t, "receipt.recorded", 2)].Payload, &p))
				return replaced(t, dir, p.Events.Name, func(b []byte) []byte {
					return bytes.Replace(b, []byte(`"started_at":"2026`), []byte(`"started_at":"2025`), 1)
				})(l)
			}
		}, "the receipt is of events"},
		"raw records made up, and a row that follows from them": {func(t *testing.T, dir string) func(entries) entries { return remeasured(t, dir, 6) }, "it is not what the host signed: metrics."},
		"a measured row turned into a failure": {row(2, func(p map[string]any) {
			r := in(p, "row")
			r["status"], r["failure_reason"], r["metrics"] = "oom", "out of memory", map[string]any{}
			delete(p, "records")
		}), "it is not what the host signed: failure_reason"},
		"a row left out":   {func(t *testing.T, _ string) func(entries) entries { return without(t, "point.measured", 2) }, "the ledger has no row of it"},
		"a quieter host":   {row(2, func(p map[string]any) { in(p, "row", "audit")["foreign_cpu_share"] = 0.2 }), "it is not what the host signed: audit.foreign_cpu_share"},
		"another time":     {row(2, func(p map[string]any) { in(p, "row")["started_at"] = "2026-11-23T08:00:00Z" }), "it is not what the host signed: started_at"},
		"another peak":     {row(2, func(p map[string]any) { in(p, "row", "metrics")["peak_gpu_mem_mib"] = 1 }), "it is not what the host signed: metrics.peak_gpu_mem_mib"},
		"a repeated point": {row(2, func(p map[string]any) { p["repeated"] = "it was slow" }), "repeated is"},
		"an engine's marks taken off": {func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "launch.ended", 2, func(p map[string]any) { p["loaded"] = map[string]any{"a.py": "ab"} })
		}, "its engine is not what the host signed"},
		"a failure made up": {func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "launch.ended", 2, func(p map[string]any) { p["state"] = "failed" })
		}, "the host signed for no failure"},
		"a run called canceled": {func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "run.ended", 2, func(p map[string]any) { p["state"] = "canceled" })
		}, "the host says that run"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), campaignID)
			require.NoError(t, os.CopyFS(dir, os.DirFS(made)))
			forge(t, dir, func(l entries) entries { return x.forge(t, dir)(l) })
			res := check(t, dir, verify.Options{Version: release})
			at := slices.IndexFunc(res.Checks, func(c verify.Check) bool { return c.Name == "receipts" })
			require.GreaterOrEqual(t, at, 0, "%+v", res.First)
			require.Contains(t, res.Checks[at].Problem, x.says)
			require.NotNil(t, res.First)
		})
	}
}

// remeasured replaces a row's raw records by others of the same load and computes all of the row that follows from records:
// without receipts nothing tells such a row from an honest one.
func remeasured(t *testing.T, dir string, n int) func(entries) entries {
	return func(l entries) entries {
		i := l.at(t, "point.measured", n)
		var p loop.PointMeasured
		require.NoError(t, json.Unmarshal(l[i].Payload, &p))
		path := filepath.Join(dir, filepath.FromSlash(p.Records.Name))
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		rec, err := bench.ReadRecords(bytes.NewReader(raw))
		require.NoError(t, err)
		for _, r := range rec.Records {
			r.FirstChunk, r.FirstText, r.First = r.FirstChunk-2000, r.FirstText-2000, r.First-2000
		}
		var packed bytes.Buffer
		require.NoError(t, bench.WriteRecords(&packed, rec))
		require.NoError(t, os.WriteFile(path, packed.Bytes(), 0o600))
		metrics, peak := loop.MeasuredMetrics(rec), p.Row.Metrics["peak_gpu_mem_mib"]
		p.Row.Metrics = metrics
		p.Row.Metrics["peak_gpu_mem_mib"] = peak
		p.Records.SHA256, p.Records.Size = contract.Digest(packed.Bytes()), int64(packed.Len())
		p.Row.RawSHA256 = p.Records.SHA256
		l[i].Payload, err = json.Marshal(p)
		require.NoError(t, err)
		return l
	}
}

// TestRowsBesideTheReceiptsCostTheLevel leaves receipts out, which is no damage and no protected host.
func TestRowsBesideTheReceiptsCostTheLevel(t *testing.T) {
	t.Parallel()
	made, _ := build(t, 2, protects(t))
	for name, x := range map[string]struct {
		edit func(t *testing.T) func(entries) entries
		says string
	}{
		"one missing": {func(t *testing.T) func(entries) entries { return without(t, "receipt.recorded", 2) }, "host: unprotected (1 of "},
		"none": {func(t *testing.T) func(entries) entries {
			return func(l entries) entries {
				return slices.DeleteFunc(l, func(e chain.Pending) bool { return e.Kind == "receipt.recorded" })
			}
		}, "its account signed no receipt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), campaignID)
			require.NoError(t, os.CopyFS(dir, os.DirFS(made)))
			forge(t, dir, func(l entries) entries {
				l = x.edit(t)(l)
				return slices.DeleteFunc(l, func(e chain.Pending) bool { return e.Kind == "report.written" || e.Kind == "report.sealed" })
			})
			lines, _, err := chain.Read(filepath.Join(dir, ledger.ChainFile), nil)
			require.NoError(t, err)
			st, err := loop.Replay(lines)
			require.NoError(t, err)
			require.Contains(t, st.HostLevel(), x.says)
		})
	}
}
