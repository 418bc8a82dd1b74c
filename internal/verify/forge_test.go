package verify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
	"github.com/sotaloop/sotaloop/internal/verify"
)

// entries are a ledger's lines as a forger edits them.
type entries []chain.Pending

// forge rewrites the ledger and its head with a whole chain again, and the projection of the rows: what somebody does
// who can write the directory and knows the format.
func forge(t *testing.T, dir string, edit func(entries) entries) {
	t.Helper()
	path := filepath.Join(dir, ledger.ChainFile)
	read, _, err := chain.Read(path, nil)
	require.NoError(t, err)
	var lines entries
	for _, e := range read {
		lines = append(lines, chain.Pending{Kind: e.Kind, V: e.V, Payload: e.Payload, Time: e.Time})
	}
	lines = edit(lines)
	var b bytes.Buffer
	written, err := chain.Write(&b, time.Now(), lines...)
	require.NoError(t, err)
	if n := len(lines) - 1; lines[n].Kind == "report.sealed" {
		lines[n].Payload = resealed(t, dir, lines[n].Payload, written[:n])
		b.Reset()
		written, err = chain.Write(&b, time.Now(), lines...)
		require.NoError(t, err)
	}
	require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, ledger.HeadFile), headOf(written[len(written)-1]), 0o600))
	if st, err := loop.Replay(written); err == nil && st.Contract != nil {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "benchmark", "candidates.jsonl"), st.CandidateRows(), 0o600))
	}
}

// resealed makes the seal anew over forged lines, without a signature: a forger has the format, not the key.
func resealed(t *testing.T, dir string, old json.RawMessage, lines []chain.Entry) json.RawMessage {
	t.Helper()
	var p loop.ReportSealed
	require.NoError(t, json.Unmarshal(old, &p))
	for _, a := range []*ledger.Artifact{&p.Statement, p.Envelope} {
		if a != nil {
			_ = os.Remove(filepath.Join(dir, filepath.FromSlash(a.Name)))
		}
	}
	var raw bytes.Buffer
	for i, e := range lines {
		var last chain.Entry
		if i > 0 {
			last = lines[i-1]
		}
		_, line, err := chain.Next(last, chain.Pending{Kind: e.Kind, V: e.V, Payload: e.Payload, Time: e.Time}, e.Time)
		require.NoError(t, err)
		raw.Write(line)
	}
	talk, err := os.ReadFile(filepath.Join(dir, "transcript.jsonl"))
	require.NoError(t, err)
	prefix, _ := loop.TranscriptPrefix(talk)
	s, err := loop.Sealed(lines, int64(raw.Len()), contract.Digest(raw.Bytes()), prefix)
	if err != nil {
		return old // what cannot be replayed cannot be sealed
	}
	text, err := s.Bytes()
	require.NoError(t, err)
	name, _ := loop.SealName(len(lines))
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	out, err := json.Marshal(loop.ReportSealed{Lines: len(lines), Head: lines[len(lines)-1].Hash, Statement: ledger.Artifact{Name: name, SHA256: contract.Digest(text), Size: int64(len(text))}})
	require.NoError(t, err)
	return out
}

// at finds the nth line of a kind, from 0; below 0 from the end.
func (l entries) at(t *testing.T, kind string, n int) int {
	t.Helper()
	var found []int
	for i, e := range l {
		if e.Kind == kind {
			found = append(found, i)
		}
	}
	if n < 0 {
		n += len(found)
	}
	require.Less(t, n, len(found), kind)
	return found[n]
}

// edited changes one payload.
func edited(t *testing.T, kind string, n int, edit func(p map[string]any)) func(entries) entries {
	return func(l entries) entries {
		i := l.at(t, kind, n)
		var p map[string]any
		d := json.NewDecoder(bytes.NewReader(l[i].Payload))
		d.UseNumber()
		require.NoError(t, d.Decode(&p))
		edit(p)
		raw, err := json.Marshal(p)
		require.NoError(t, err)
		require.NotEqual(t, string(l[i].Payload), string(raw), "the edit does something")
		l[i].Payload = raw
		return l
	}
}

// in walks into nested objects and lists.
func in(p map[string]any, path ...string) map[string]any {
	for _, name := range path {
		switch v := p[name].(type) {
		case []any:
			p = v[0].(map[string]any)
		case map[string]any:
			p = v
		}
	}
	return p
}

func without(t *testing.T, kind string, n int) func(entries) entries {
	return func(l entries) entries { i := l.at(t, kind, n); return slices.Delete(l, i, i+1) }
}

// replaced stores other bytes for an artifact and names them in every entry: a forger's second step.
func replaced(t *testing.T, dir, name string, change func([]byte) []byte) func(entries) entries {
	return func(l entries) entries {
		path := filepath.Join(dir, filepath.FromSlash(name))
		old, err := os.ReadFile(path)
		require.NoError(t, err)
		fresh := change(bytes.Clone(old))
		require.False(t, bytes.Equal(old, fresh), "the change does something")
		require.NoError(t, os.WriteFile(path, fresh, 0o600))
		for i := range l {
			l[i].Payload = bytes.ReplaceAll(l[i].Payload, fmt.Appendf(nil, "%q,\"size\":%d", contract.Digest(old), len(old)),
				fmt.Appendf(nil, "%q,\"size\":%d", contract.Digest(fresh), len(fresh)))
			l[i].Payload = bytes.ReplaceAll(l[i].Payload, []byte(contract.Digest(old)), []byte(contract.Digest(fresh)))
		}
		return l
	}
}

func TestForgedLedgersAreFoundByComputingAgain(t *testing.T) {
	t.Parallel()
	n := 0
	for name, c := range forgeries() {
		if n++; n%sample != 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _ := campaign(t)
			forge(t, dir, c.forge(t, dir))
			res, err := verify.Path(t.Context(), dir, verify.Options{Version: release})
			require.NoError(t, err)
			require.NotNil(t, res.First, "%+v", res.Checks)
			require.False(t, res.OK)
			require.Equal(t, verify.RuleReproducible, res.First.Rule)
			require.Empty(t, res.Levels)
			at := slices.IndexFunc(res.Checks, func(k verify.Check) bool { return k.Name == c.check })
			require.Contains(t, res.Checks[at].Problem, c.says, "first: %+v", res.First)
			require.NotEmpty(t, res.Checks[at].Problem)
			require.NotContains(t, res.First.What, dir, "no path of this machine")
		})
	}
}

func replaceFirst(raw []byte, pattern, with string) []byte {
	at := regexp.MustCompile(pattern).FindIndex(raw)
	if at == nil {
		return raw
	}
	return slices.Concat(raw[:at[0]], []byte(with), raw[at[1]:])
}

// planOf finds the plan of a job.
func planOf(t *testing.T, dir, job string) string {
	t.Helper()
	read, _, err := chain.Read(filepath.Join(dir, ledger.ChainFile), nil)
	require.NoError(t, err)
	for _, e := range read {
		p, err := loop.Decode(e)
		require.NoError(t, err)
		if r, ok := p.(*loop.RunPlanned); ok && r.Job == job {
			return r.Plan.Name
		}
	}
	require.Fail(t, "no plan", job)
	return ""
}

// forgery is an edit of a whole ledger, the group of checks that has to find it, and what that says.
type forgery struct {
	check string
	says  string
	forge func(t *testing.T, dir string) func(entries) entries
}

func forgeries() map[string]forgery {
	return map[string]forgery{
		"a throughput raised": {"rows", "the records give", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "point.measured", 5, func(p map[string]any) { in(p, "row", "metrics")["output_token_throughput"] = 99999.5 })
		}},
		"a metric that nobody measured": {"rows", "the records give none", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "point.measured", 5, func(p map[string]any) { in(p, "row", "metrics")["p99_ttft_ms"] = 1.5 })
		}},
		"a bad metric left out": {"rows", "p50_ttft_ms is missing", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "point.measured", 5, func(p map[string]any) { in(p, "row", "metrics")["p50_ttft_ms"] = nil })
		}},
		"a failed SLA called passed": {"rows", "sla.passed", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "point.measured", 3, func(p map[string]any) { in(p, "row", "sla")["passed"] = false })
		}},
		"an overload hidden": {"rows", "audit.overloaded", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "point.measured", 3, func(p map[string]any) { in(p, "row", "audit")["overloaded"] = true })
		}},
		"a row of another candidate": {"rows", "candidate_id", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "point.measured", 4, func(p map[string]any) { in(p, "row")["candidate_id"] = "sglang-07" })
		}},
		"a row of another GPU": {"rows", "hardware.gpu_model", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "point.measured", 4, func(p map[string]any) { in(p, "row", "hardware")["gpu_model"] = "B200" })
		}},
		"a looser SLA in a row": {"rows", "sla.max_p50_ttft_ms", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "point.measured", 4, func(p map[string]any) { in(p, "row", "sla")["max_p50_ttft_ms"] = 9000 })
		}},
		"a failed row left out": {"runs", "has no row of point chat", func(t *testing.T, dir string) func(entries) entries {
			require.NoError(t, os.Remove(filepath.Join(dir, "benchmark/records/sglang-00.block-1.chat.zst")))
			return without(t, "point.measured", 6)
		}},
		"records that no row names": {"files", "named by no ledger entry", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "point.measured", 6, func(p map[string]any) { delete(p, "records") })
		}},
		"a row without records": {"rows", "has no records", func(t *testing.T, dir string) func(entries) entries {
			require.NoError(t, os.Remove(filepath.Join(dir, "benchmark/records/sglang-00.block-1.chat.zst")))
			return edited(t, "point.measured", 6, func(p map[string]any) { delete(p, "records") })
		}},
		"records of another launch": {"rows", "the records give", func(t *testing.T, dir string) func(entries) entries {
			return replaced(t, dir, "benchmark/records/sglang-00.block-0.chat.zst", func([]byte) []byte {
				other, err := os.ReadFile(filepath.Join(dir, "benchmark/records/vllm-00.block-0.chat.zst"))
				require.NoError(t, err)
				return other
			})
		}},
		"records of another draw": {"rows", "records: block", func(t *testing.T, dir string) func(entries) entries {
			return replaced(t, dir, "benchmark/records/sglang-00.block-0.chat.zst", func([]byte) []byte {
				other, err := os.ReadFile(filepath.Join(dir, "benchmark/records/sglang-00.block-1.chat.zst"))
				require.NoError(t, err)
				return other
			})
		}},
		"a plan with easier prompts": {"runs", "spec.seed", func(t *testing.T, dir string) func(entries) entries {
			name := planOf(t, dir, "blocks")
			return replaced(t, dir, name, func(raw []byte) []byte { return replaceFirst(raw, `"seed":"[0-9]+"`, `"seed":"7"`) })
		}},
		"a plan with other lengths": {"runs", "spec.scenario.output_len", func(t *testing.T, dir string) func(entries) entries {
			name := planOf(t, dir, "blocks")
			return replaced(t, dir, name, func(raw []byte) []byte {
				return bytes.Replace(raw, []byte(`"output_len":4`), []byte(`"output_len":2`), 1)
			})
		}},
		"a plan for another contract": {"runs", "contract_digest", func(t *testing.T, dir string) func(entries) entries {
			name := planOf(t, dir, "blocks")
			return replaced(t, dir, name, func(raw []byte) []byte {
				return bytes.Replace(raw, []byte(`"contract_digest":"`), []byte(`"contract_digest":"0`), 1)
			})
		}},
		"a run under another id": {"runs", "run id", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "run.planned", 2, func(p map[string]any) { p["step"] = "blocks/12" })
		}},
		"another command than was run": {"runs", "command", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "launch.ended", 2, func(p map[string]any) { p["command"] = "sglang serve --fast" })
		}},
		"a patched process that loaded the base": {"runs", "the process loaded", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "launch.ended", -2, func(p map[string]any) { p["loaded"] = map[string]any{source: "cd"}; p["state"] = "ok" })
		}},
		"a job of other arguments": {"runs", "has spec", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "job.started", 0, func(p map[string]any) { p["args"] = map[string]any{"entry": "vllm"} })
		}},
		"a search score raised": {"searches", "scores.sglang-00", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "search.ended", 0, func(p map[string]any) { in(p, "scores")["sglang-00"] = 1e9 })
		}},
		"more effort than was spent": {"searches", "launches", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "search.ended", 1, func(p map[string]any) { p["launches"] = 10 })
		}},
		"a loss called a win": {"verdicts", "verdict", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "verdict.taken", 0, func(p map[string]any) { in(p, "result", "verdicts")["verdict"] = "win" })
		}},
		"a narrower interval": {"verdicts", "interval", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "verdict.taken", 0, func(p map[string]any) { in(p, "result", "verdicts")["interval"] = []any{0.75, 0.78} })
		}},
		"a look that was not frozen": {"verdicts", "not one that the contract froze", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "verdict.taken", 0, func(p map[string]any) { p["look"] = 5 })
		}},
		"a larger measured gain": {"verdicts", "measured", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "revalidation.ended", 0, func(p map[string]any) { p["measured"] = 0.9 })
		}},
		"different outputs called equal": {"verdicts", "base_patched_differ", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "revalidation.ended", 0, func(p map[string]any) { in(p, "equality")["base_patched_differ"] = 3 })
		}},
		"an unseen shape left out": {"verdicts", "results", func(t *testing.T, _ string) func(entries) entries {
			return without(t, "verdict.taken", -1)
		}},
		"tables with another share": {"traces", "analysis/trace-1.json", func(t *testing.T, dir string) func(entries) entries {
			return replaced(t, dir, "analysis/trace-1.json", func(raw []byte) []byte { return bytes.Replace(raw, []byte(`"launches":`), []byte(`"launches":1`), 1) })
		}},
		"text that is not the tables'": {"traces", "is not what its tables give", func(t *testing.T, dir string) func(entries) entries {
			return replaced(t, dir, "analysis/trace-1.md", func(raw []byte) []byte { return append(raw, "more\n"...) })
		}},
		"a larger ceiling": {"patches", "ceiling", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "patch.proposed", 0, func(p map[string]any) { p["ceiling"] = 4.5 })
		}},
		"a row nobody analysed": {"patches", "is in no analysed trace", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "patch.proposed", 0, func(p map[string]any) { p["rows"] = []any{"kernel:decode:1@0000000000000000"} })
		}},
		"another diff than was signed": {"patches", "signed", func(t *testing.T, dir string) func(entries) entries {
			evil := func(raw []byte) []byte { return bytes.Replace(raw, []byte("fast(x)"), []byte("evil(x)"), 1) }
			return func(l entries) entries { // both files have one digest
				l = replaced(t, dir, "patches/patch-1.given.diff", evil)(l)
				return replaced(t, dir, "patches/patch-1.diff", evil)(l)
			}
		}},
		"an approval used twice": {"patches", "nonce", func(t *testing.T, _ string) func(entries) entries {
			return func(l entries) entries { i := l.at(t, "approval.recorded", 0); return slices.Insert(l, i, l[i]) }
		}},
		"a branch without an approval": {"patches", "without an approval", func(t *testing.T, _ string) func(entries) entries {
			return without(t, "approval.recorded", 0)
		}},
		"a branch of another tree": {"patches", "was applied as", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "branch.created", 0, func(p map[string]any) { p["tree"] = baseTree })
		}},
		"an approval of a ledger that was not": {"patches", "signed ledger head", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "rule.refused", 0, func(p map[string]any) { p["what"] = "nothing" })
		}},
		"a level that the key does not carry": {"patches", "nobody touched", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "approval.recorded", 0, func(p map[string]any) { p["level"] = "independent" })
		}},
		"a touch that was not": {"patches", "the signature is of", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "approval.recorded", 0, func(p map[string]any) { p["touched"] = true })
		}},
		"another signature": {"patches", "decision on patch-1", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "approval.recorded", 0, func(p map[string]any) {
				sig := p["signature"].(string)
				p["signature"] = strings.Replace(sig, sig[200:204], "AAAA", 1)
			})
		}},
		"a commit with another ledger head": {"patches", "ledger head", commitWith(loop.TrailerHead+": ", loop.TrailerHead+": 0")},
		"a commit of another patch":         {"patches", `its patch is`, commitWith(loop.TrailerPatch+": ", loop.TrailerPatch+": 0")},
		"a commit with a trailer twice":     {"patches", "campaign", commitWith(loop.TrailerCampaign+": ", loop.TrailerCampaign+": x\n"+loop.TrailerCampaign+": ")},
		"a commit of another tree":          {"patches", "its tree is", commitWith("tree 2", "tree 4")},
		"a commit on another base":          {"patches", "its parents are", commitWith("parent 3", "parent 4")},
		"a commit whose bytes are another's": {"patches", "its id is", func(t *testing.T, dir string) func(entries) entries {
			return replaced(t, dir, "patches/patch-1.commit", func(raw []byte) []byte { return append(raw, '\n') })
		}},
		"a statement edited": {"patches", "", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "approval.recorded", 0, func(p map[string]any) {
				raw, err := base64.StdEncoding.DecodeString(p["statement"].(string))
				require.NoError(t, err)
				p["statement"] = base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(raw), `"push": false`, `"push": true`, 1)))
			})
		}},
		"a better word in the report": {"report", "line", func(t *testing.T, dir string) func(entries) entries {
			return replaced(t, dir, "final_report.md", func(raw []byte) []byte {
				return bytes.Replace(raw, []byte("predicted 20.0 %"), []byte("predicted 29.0 %"), 1)
			})
		}},
		"a claim that the rows do not carry": {"report", "claim", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "report.written", 0, func(p map[string]any) { p["claim"] = "state of the art" })
		}},
		"a manifest of another host": {"report", "manifest.txt", func(t *testing.T, dir string) func(entries) entries {
			return replaced(t, dir, "manifest.txt", func(raw []byte) []byte {
				return bytes.Replace(raw, []byte("driver: 570.1"), []byte("driver: 580.1"), 1)
			})
		}},
		"a message cut from the transcript": {"transcript", "line 2", func(t *testing.T, dir string) func(entries) entries {
			return replaced(t, dir, "transcript.jsonl", func(raw []byte) []byte {
				lines := bytes.SplitAfter(raw, []byte("\n"))
				return bytes.Join(slices.Delete(lines, 1, 2), nil)
			})
		}},
		"a second contract": {"contract", "frozen once", func(t *testing.T, _ string) func(entries) entries {
			return func(l entries) entries { return append(l, l[0]) }
		}},
		"a field that hides": {"ledger", "unknown field", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "search.ended", 0, func(p map[string]any) { p["Scores"] = map[string]any{} })
		}},
		"two contents of one name": {"artifacts", "sha256", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "point.measured", 1, func(p map[string]any) {
				in(p, "records")["name"] = "benchmark/records/sglang-00.search.preflight.zst"
			})
		}},
		"a file outside the directory": {"artifacts", "outside", func(t *testing.T, _ string) func(entries) entries {
			return edited(t, "launch.ended", 0, func(p map[string]any) { in(p, "log")["name"] = "../../etc/passwd" })
		}},
	}
}

// commitWith gives the branch's commit other bytes, under the id that they have.
func commitWith(from, to string) func(t *testing.T, dir string) func(entries) entries {
	return func(t *testing.T, dir string) func(entries) entries {
		var id string
		swap := replaced(t, dir, "patches/patch-1.commit", func(raw []byte) []byte {
			require.Contains(t, string(raw), from)
			raw = bytes.Replace(raw, []byte(from), []byte(to), 1)
			c, err := gitops.ReadCommit(raw)
			require.NoError(t, err)
			id = c.ID
			return raw
		})
		return func(l entries) entries {
			l = swap(l)
			return edited(t, "branch.created", 0, func(p map[string]any) { p["commit"] = id })(l)
		}
	}
}
