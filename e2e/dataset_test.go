//go:build linux

package e2e_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/sim"
	"github.com/sotaloop/sotaloop/server"
)

// planted is a sentence that no private campaign may carry off its host.
const planted = "the merger with Plugh closes on Friday"

// chats is n conversations of two rows each, which begin alike and hold the planted sentence.
func chats(n int) string {
	var b strings.Builder
	for i := range n {
		system := strings.Repeat("You are a careful assistant . ", 12)
		for turn := range 2 {
			fmt.Fprintf(&b, `{"conversation":"%s %d","messages":[{"role":"system","content":"%s"},{"role":"user","content":"%d %d: %s . %s"}],"output_len":%d}`+"\n",
				planted, i, system, i, turn, planted, strings.Repeat("why ", 5+i%20), 8+i%5)
		}
	}
	return b.String()
}

// prompts is n rows with a timestamp every 20 ms.
func prompts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"prompt":"%d %s","output_len":%d,"timestamp":%.2f}`+"\n", i, strings.Repeat("word ", 20+i%30), 6+i%6, float64(i)*0.02)
	}
	return b.String()
}

// add stores a file that lies outside the home, as a person would, and gives its digest.
func (w *world) add(text string, more ...string) answer {
	w.t.Helper()
	file := filepath.Join(w.t.TempDir(), "rows.jsonl")
	require.NoError(w.t, os.WriteFile(file, []byte(text), 0o600))
	out, code := w.cli(append([]string{"dataset", "add", file, "--home", w.home, "--worker-dir", w.programs.workers, "--host", "simhost", "--json"}, more...)...)
	require.Zero(w.t, code, out)
	var got answer
	require.NoError(w.t, json.Unmarshal([]byte(out), &got), out)
	return got
}

// plain unpacks what is packed.
func plain(t *testing.T, name string, raw []byte) []byte {
	t.Helper()
	switch filepath.Ext(name) {
	case ".gz":
		r, err := gzip.NewReader(bytes.NewReader(raw))
		require.NoError(t, err, name)
		raw, err = io.ReadAll(r)
		require.NoError(t, err, name)
	case ".zst":
		rec, err := bench.ReadRecords(bytes.NewReader(raw))
		require.NoError(t, err, name)
		raw, err = json.Marshal(rec)
		require.NoError(t, err, name)
	}
	return raw
}

// nowhere looks for words in every file below dir but those below except.
func nowhere(t *testing.T, dir, except string, words ...string) (looked int) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			if path == except {
				return fs.SkipDir
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // of another campaign that goes on meanwhile
		}
		if err != nil {
			return err
		}
		looked++
		raw = plain(t, path, raw)
		for _, w := range words {
			require.NotContains(t, string(raw), w, path)
		}
		return nil
	}))
	return looked
}

// TestDatasets plays campaigns whose load is rows of datasets: private chats that end by themselves, and public prompts in
// a closed loop and at their own times.
func TestDatasets(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sim.Config{GPUs: 2, Fault: "log-requests"})
	chat, text := w.add(chats(400), "--private"), w.add(prompts(1200))
	require.Equal(t, true, chat["private"])
	require.Positive(t, chat.at("prompt_tokens").number("p50"), "the simulated model's tokenizer counts: %s", chat)
	require.Greater(t, chat.at("shared_prefix").number("share"), 0.5)
	listed, code := w.cli("dataset", "list", "--home", w.home, "--worker-dir", w.programs.workers, "--host", "simhost")
	require.Zero(t, code, listed)
	require.Contains(t, listed, chat.text("digest"))
	share := w.add(`[{"id":"a","conversations":[{"from":"human","value":"one two"},{"from":"gpt","value":"three four five"}]}]`)
	require.Equal(t, 3.0, share.at("output_len").number("p50"), "answers are counted on the host: %s", share)
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	require.NoError(t, os.WriteFile(bad, []byte(prompts(2)+`{"prompt":"`+planted+`","output_len":"`+planted+`","timestamp":9}`), 0o600))
	refused, code := w.cli("dataset", "add", bad, "--private", "--home", w.home, "--worker-dir", w.programs.workers, "--host", "simhost")
	require.Equal(t, 2, code)
	require.Contains(t, refused, "line 3, column ")
	require.Contains(t, refused, "output_len")
	require.NotContains(t, refused, "merger")
	first, _ := w.stdioAgent(server.Era2026)
	hosts := first.call("list_hosts", map[string]any{"refresh": true}).list("hosts")
	require.Len(t, hosts[0].list("datasets"), 3, "an agent sees what it may name: %s", hosts[0])
	missing := w.terms()
	maps.Copy(missing, map[string]any{"study": "look", "max_blocks": 0, "scenarios": []map[string]any{{"name": "chat", "kind": "text", "dataset": "sha256:" + strings.Repeat("0", 64), "max_concurrency": 4, "num_prompts": 32}}})
	first.refused("open_campaign", missing, "is not on this host", "sotaloop dataset add")
	many := maps.Clone(missing)
	many["scenarios"] = []map[string]any{{"name": "chat", "kind": "chat", "dataset": chat.text("digest"), "max_concurrency": 4, "num_prompts": 120}}
	first.refused("open_campaign", many, "give a dataset of at least", "reuse: blocks")

	for gpu, c := range []struct {
		name      string
		scenarios []map[string]any
		endpoint  string
		primary   string
		dataset   answer
	}{
		{"private chat", []map[string]any{{"name": "chat", "kind": "chat", "dataset": chat.text("digest"), "max_concurrency": 4, "num_prompts": 32, "warmup_waves": 1}}, "/v1/chat/completions", "p50_tpot_ms", chat},
		{"public text", []map[string]any{
			{"name": "loop", "kind": "text", "dataset": text.text("digest"), "max_concurrency": 4, "num_prompts": 32, "warmup_waves": 1, "ignore_eos": true, "primary": "p50_tpot_ms"},
			{"name": "replay", "kind": "text", "dataset": text.text("digest"), "arrival": "replay", "num_prompts": 60, "warmup_waves": 1, "ignore_eos": true, "reuse": "blocks"}}, "/v1/completions", "p50_e2e_user_ms", text},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := &agent{t: t, w: w, client: first.client}
			terms := w.terms()
			maps.Copy(terms, map[string]any{"study": "look", "scenarios": c.scenarios, "gpus": []int{gpu}})
			delete(terms, "max_blocks")
			opened := a.call("open_campaign", terms)
			a.campaign, a.runDir = opened.text("campaign"), opened.text("run_dir")
			frozen := opened.at("contract")
			require.Equal(t, c.endpoint, frozen.text("endpoint"))
			last := frozen.list("scenarios")[len(c.scenarios)-1]
			require.Equal(t, c.primary, last.text("primary"))
			require.Equal(t, c.dataset.text("digest"), frozen.list("datasets")[0].text("digest"))
			require.Len(t, frozen.list("datasets"), 1)
			a.measured(nil, 2, "sglang", "vllm-00")
			verdicts := a.call("compare_results", nil).list("verdicts")
			require.Len(t, verdicts, len(c.scenarios))
			require.Len(t, verdicts[0].at("prefix_cache_hit_rate"), 2, "both sides tell: %s", verdicts[0])
			a.call("write_report", nil)
			report, err := os.ReadFile(filepath.Join(a.runDir, "final_report.md"))
			require.NoError(t, err)
			require.Contains(t, string(report), "found in the prefix cache, measured: ")
			a.verified(w)
			if c.dataset["private"] == true {
				require.Greater(t, verdicts[0].at("prefix_cache_hit_rate").number("sglang-00"), 0.3, "the rows begin alike")
				workdir := filepath.Join(w.layout.Home, "sotaloop")
				require.Greater(t, nowhere(t, w.home, workdir, planted, "Plugh"), 50)
				stored, err := os.ReadFile(filepath.Join(workdir, "datasets", strings.Replace(c.dataset.text("digest"), ":", "-", 1)+".jsonl"))
				require.NoError(t, err)
				require.Contains(t, string(stored), planted)
				logs, err := filepath.Glob(filepath.Join(workdir, "runs", "*", "launches", "*", "engine.log"))
				require.NoError(t, err)
				said := 0
				for _, name := range logs {
					raw, err := os.ReadFile(name)
					require.NoError(t, err)
					said += strings.Count(string(raw), planted)
				}
				require.Greater(t, said, 100, "the engines did log what they were asked")
				return
			}
			out, code := w.cli("verify", a.runDir, "--dataset", filepath.Join(w.layout.Home, "sotaloop", "datasets", strings.Replace(c.dataset.text("digest"), ":", "-", 1)+".jsonl"))
			require.Zero(t, code, out)
			require.Contains(t, out, "compared with the dataset itself")
		})
	}
}
