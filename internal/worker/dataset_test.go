//go:build linux

package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/internal/worker"
)

const secret = "XYZZY"

// prompts are n rows of different lengths, each with a word to look for.
func prompts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"output_len":%d,"prompt":"%s row %d%s"}`+"\n", 3+i%4, secret, i, strings.Repeat(" more", i%7))
	}
	return b.String()
}

// normalised stores text here, as the command does before it sends a dataset.
func normalised(t *testing.T, text string) (*dataset.Set, []byte) {
	t.Helper()
	s, err := dataset.Store(t.TempDir(), strings.NewReader(text), dataset.Options{})
	require.NoError(t, err)
	raw, err := os.ReadFile(s.Path())
	require.NoError(t, err)
	return s, raw
}

func adding(s *dataset.Set, raw []byte) worker.AddDataset {
	return worker.AddDataset{Digest: s.Digest, Size: int64(len(raw)), Format: s.Format, Open: opener(raw), PartSize: 1000}
}

// brokenConn loses its connection at the n-th upload.
type brokenConn struct {
	hosts.Conn
	left    int
	uploads *[]string
}

func (c *brokenConn) Upload(ctx context.Context, r io.Reader, dst string, mode fs.FileMode) error {
	if c.left--; c.left < 0 {
		return fault.New(fault.HostUnreachable, "cable")
	}
	*c.uploads = append(*c.uploads, filepath.Base(dst))
	return c.Conn.Upload(ctx, r, dst, mode)
}

func TestDatasetTravels(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	s, raw := normalised(t, prompts(100))
	none, err := r.client.Datasets(t.Context())
	require.NoError(t, err)
	require.Empty(t, none)
	_, err = r.client.Dataset(t.Context(), s.Digest, "")
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
	missing, isFault := fault.As(err)
	require.True(t, isFault)
	require.Contains(t, missing.Hints[0], "dataset add")

	var sent []string
	broken := worker.NewClient(&brokenConn{Conn: r.conn, left: 2, uploads: &sent}, r.binary, r.workdir)
	_, err = broken.StoreDataset(t.Context(), adding(s, raw))
	require.Equal(t, fault.HostUnreachable, fault.CodeOf(err))
	_, err = r.client.Dataset(t.Context(), s.Digest, "")
	require.Equal(t, fault.NotFound, fault.CodeOf(err), "what is half there is not there")
	again := worker.NewClient(&brokenConn{Conn: r.conn, left: 100, uploads: &sent}, r.binary, r.workdir)
	stored, err := again.StoreDataset(t.Context(), adding(s, raw))
	require.NoError(t, err)
	parts := (len(raw) + 999) / 1000
	require.Len(t, sent, parts, "no part is sent twice: %v", sent)
	require.Equal(t, s.Digest, stored.Description.Digest)
	require.Equal(t, 100, stored.Description.Rows)
	require.NotEmpty(t, stored.Uncounted)
	_, err = again.StoreDataset(t.Context(), adding(s, raw))
	require.NoError(t, err)
	require.Len(t, sent, parts, "a stored dataset is not sent again")
	list, err := r.client.Datasets(t.Context())
	require.NoError(t, err)
	require.Equal(t, []dataset.Description{stored.Description}, list)

	var b bytes.Buffer
	require.NoError(t, r.client.FetchIndex(t.Context(), stored, &b))
	ix, err := dataset.ReadIndex(&b)
	require.NoError(t, err)
	require.Equal(t, s.RowDigest(99), ix.RowDigest(99))
}

func TestDatasetThatChangedOnItsWay(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	s, raw := normalised(t, prompts(20))
	other, _ := normalised(t, prompts(21))
	lie := adding(s, raw)
	lie.Digest = other.Digest
	_, err := r.client.StoreDataset(t.Context(), lie)
	require.Equal(t, fault.Corrupt, fault.CodeOf(err))
	for _, bad := range []string{"", "sha256:../../x", "sha256:" + strings.Repeat("0", 63)} {
		lie.Digest = bad
		_, err := r.client.StoreDataset(t.Context(), lie)
		require.Equal(t, fault.InvalidInput, fault.CodeOf(err), bad)
	}
	list, err := r.client.Datasets(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	left, err := filepath.Glob(filepath.Join(r.workdir, "datasets", "*", "*"))
	require.NoError(t, err)
	require.Empty(t, left, "what is of no use goes")
	_, err = r.client.StoreDataset(t.Context(), adding(s, raw))
	require.NoError(t, err)
}

// TestOncePrivateAlwaysPrivate: a second adding without the word does not take the secrecy away.
func TestOncePrivateAlwaysPrivate(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	s, raw := normalised(t, prompts(30))
	open, err := r.client.StoreDataset(t.Context(), adding(s, raw))
	require.NoError(t, err)
	require.False(t, open.Description.Private)
	a := adding(s, raw)
	a.Private = true
	closed, err := r.client.StoreDataset(t.Context(), a)
	require.NoError(t, err)
	require.True(t, closed.Description.Private)
	require.Empty(t, closed.Description.Content)
	require.NotEqual(t, open.Index.SHA256, closed.Index.SHA256)
	a.Private = false
	still, err := r.client.StoreDataset(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, closed, still)
	shown, err := r.client.Dataset(t.Context(), s.Digest, "")
	require.NoError(t, err)
	require.True(t, shown.Description.Private)
	require.NoError(t, os.Remove(filepath.Join(r.workdir, "datasets", strings.Replace(s.Digest, ":", "-", 1)+".jsonl.key")))
	rekeyed, err := r.client.StoreDataset(t.Context(), a)
	require.NoError(t, err)
	require.True(t, rekeyed.Description.Private, "a lost key makes nothing public")
	require.NotEqual(t, closed.Index.SHA256, rekeyed.Index.SHA256)
	for _, name := range []string{".jsonl", ".jsonl.key", ".index.jsonl.gz", ".description.json"} {
		info, err := os.Stat(filepath.Join(r.workdir, "datasets", strings.Replace(s.Digest, ":", "-", 1)+name))
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, "%s is the account's alone", name)
	}
}

// TestTokensAreCountedByTheModelsTokenizer uses the simulated host's interpreter and model.
func TestTokensAreCountedByTheModelsTokenizer(t *testing.T) {
	t.Parallel()
	binary, err := os.Executable()
	require.NoError(t, err)
	host, err := sim.New(filepath.Join(t.TempDir(), "host"), sim.Options{Binary: binary})
	require.NoError(t, err)
	t.Cleanup(func() { _ = host.Close() })
	lay := host.Layout()
	r := newRig(t, nil)
	tok := worker.Tokenizer{Model: lay.ModelPath, Pythons: []string{"/nowhere/python", filepath.Join(lay.Engines["sglang"].Venv, "bin", "python")}}
	counts, err := r.client.CountTokens(t.Context(), tok, []string{"one", "one two\nthree", "", strings.Repeat("w ", 100_000)})
	require.NoError(t, err)
	require.Equal(t, []int{1, 3, 0, 100_000}, counts)
	_, err = r.client.CountTokens(t.Context(), worker.Tokenizer{Model: lay.ModelPath, Pythons: []string{"/bin/false"}}, []string{"one"})
	require.Equal(t, fault.NotFound, fault.CodeOf(err))

	s, raw := normalised(t, prompts(7))
	a := adding(s, raw)
	a.Tokenizer = &tok
	stored, err := r.client.StoreDataset(t.Context(), a)
	require.NoError(t, err)
	require.Empty(t, stored.Uncounted)
	require.Equal(t, 6.0, stored.Description.PromptTokens.P50, "three words and none to six more")
	require.Equal(t, 9+5, *stored.Description.LongestTokens)
	for model, counted := range map[string]bool{lay.ModelPath: true, "": true, t.TempDir(): false} {
		shown, err := r.client.Dataset(t.Context(), s.Digest, model)
		require.NoError(t, err)
		require.Equal(t, counted, shown.Description.PromptTokens != nil, "%q", model)
	}
	a.Tokenizer = nil
	kept, err := r.client.StoreDataset(t.Context(), a)
	require.NoError(t, err)
	require.Equal(t, stored.Description, kept.Description, "adding again without a model loses nothing")
}

// textPoint sends ten rows.
func textPoint(id, digest string) worker.Point {
	p := point(id)
	p.Spec.Scenario.Kind, p.Spec.Scenario.Dataset, p.Spec.Scenario.InputLen, p.Spec.Scenario.OutputLen = contract.KindText, digest, 0, 0
	p.Spec.Scenario.WarmupWaves = 1
	p.Rows = &worker.DatasetDraw{Dataset: digest, By: dataset.ByConversation,
		Draw: dataset.Draw{Seed: 7, Phase: "block", Scenario: "chat", Part: dataset.PartBlocks, Prompts: 10, Warmup: 4}}
	return p
}

func recording(t *testing.T, r *rig, run string, e worker.Event) *bench.Recording {
	t.Helper()
	require.Nil(t, e.Failure)
	rec, err := bench.ReadRecords(bytes.NewReader(r.fetch(run, e.Files[0].Name)))
	require.NoError(t, err)
	return rec
}

func TestPointsDrawTheirRows(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	s, raw := normalised(t, prompts(100))
	_, err := r.client.StoreDataset(t.Context(), adding(s, raw))
	require.NoError(t, err)
	other := textPoint("b", s.Digest)
	other.Rows.Draw.Block = 1
	st := r.run(r.plan("draws", r.launch("l1", nil, textPoint("a", s.Digest), other), r.launch("l2", nil, textPoint("a", s.Digest))))
	require.Equal(t, worker.StateDone, st.State)
	var done []*bench.Recording
	for _, e := range st.Events {
		if e.Kind == worker.EventPointDone {
			done = append(done, recording(t, r, "draws", e))
		}
	}
	require.Len(t, done, 3)

	division, err := dataset.Divide(s.Index, dataset.ByConversation)
	require.NoError(t, err)
	drawn, err := division.Draw(textPoint("a", s.Digest).Rows.Draw)
	require.NoError(t, err)
	require.Equal(t, bench.Drawn(s.Evidence(drawn)), *done[0].Header.Drawn)
	require.Equal(t, done[0].Header.Drawn, done[2].Header.Drawn, "every side has the same rows")
	require.NotEqual(t, done[0].Header.Drawn.Digest, done[1].Header.Drawn.Digest)
	for _, rec := range done[0].Records {
		if rec.Role != bench.RoleWarmup {
			require.Equal(t, s.OutputLen(drawn.Rows[rec.Index]), rec.WantOut)
		}
	}
	raws, err := os.ReadFile(filepath.Join(r.workdir, "runs", "draws", "plan.json"))
	require.NoError(t, err)
	require.NotContains(t, string(raws), secret, "a plan names rows and does not hold them")
}

// TestRowsThatCannotBeDrawnAreNoCandidatesFault: the run fails, and nothing is told of the point.
func TestRowsThatCannotBeDrawnAreNoCandidatesFault(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	s, raw := normalised(t, prompts(100))
	_, err := r.client.StoreDataset(t.Context(), adding(s, raw))
	require.NoError(t, err)
	err = r.client.Start(t.Context(), r.plan("absent", r.launch("l1", nil, textPoint("a", "sha256:"+strings.Repeat("0", 64)))), nil)
	require.Equal(t, fault.NotFound, fault.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, "is not on this host")

	many, sealed := textPoint("many", s.Digest), textPoint("a", s.Digest)
	sealed.Rows.Private = true
	many.Rows.Draw.Block = 1000
	for _, c := range []struct {
		name  string
		point worker.Point
		says  string
		harm  func()
	}{
		{"exhausted", many, "too small", func() {}},
		{"damaged", textPoint("a", s.Digest), "is not what was stored", func() {
			path := filepath.Join(r.workdir, "datasets", strings.Replace(s.Digest, ":", "-", 1)+".jsonl")
			require.NoError(t, os.WriteFile(path, bytes.Replace(raw, []byte("row 3"), []byte("row X"), 1), 0o600))
		}},
		{"public", sealed, "its key is gone", func() {
			path := filepath.Join(r.workdir, "datasets", strings.Replace(s.Digest, ":", "-", 1)+".jsonl")
			require.NoError(t, os.WriteFile(path, raw, 0o600))
		}},
	} {
		c.harm()
		st := r.run(r.plan(c.name, r.launch("l1", nil, c.point, textPoint("b", s.Digest)), r.launch("l2", nil, c.point)))
		require.Equal(t, worker.StateFailed, st.State, c.name)
		for _, e := range st.Events {
			require.NotContains(t, []worker.EventKind{worker.EventPointDone, worker.EventPointFailed}, e.Kind, c.name)
			if e.Kind == worker.EventRunDone {
				require.Contains(t, e.Failure.Reason, c.says)
			}
		}
	}
}

// TestPrivateTextStaysOnTheHost sends private rows to an engine that repeats them wherever it can: in its log, in error
// bodies, as its output, as its finish reason, and in its last words.
func TestPrivateTextStaysOnTheHost(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]string{"gossip": {"gossip"}, "death": {"gossip", "die-after=8"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			s, raw := normalised(t, prompts(100))
			a := adding(s, raw)
			a.Private = true
			_, err := r.client.StoreDataset(t.Context(), a)
			require.NoError(t, err)
			p := textPoint("a", s.Digest)
			p.Spec.KeepOutputs, p.Spec.WantLogprobs = true, true // asked for, and not given
			st := r.run(r.plan("private", r.launch("l1", faults, p)))
			events, err := json.Marshal(st)
			require.NoError(t, err)
			require.NotContains(t, string(events), secret)
			logs, err := filepath.Glob(filepath.Join(r.workdir, "runs", "private", "launches", "*", "engine.log"))
			require.NoError(t, err)
			require.Len(t, logs, 1)
			text, err := os.ReadFile(logs[0])
			require.NoError(t, err)
			require.Contains(t, string(text), secret, "the engine did say it")
			fetched := 0
			for _, e := range st.Events {
				for _, f := range e.Files {
					require.NotEqual(t, "log", f.Role)
					rec, err := bench.ReadRecords(bytes.NewReader(r.fetch("private", f.Name)))
					require.NoError(t, err)
					require.True(t, rec.Header.Keyed)
					plain, err := json.Marshal(rec)
					require.NoError(t, err)
					require.NotContains(t, string(plain), secret)
					require.Contains(t, string(plain), "http_status")
					fetched++
				}
			}
			require.Positive(t, fetched, "%s", events)
			if name == "death" {
				require.Contains(t, string(events), "its log stays on the host")
			}
		})
	}
}
