package gitops_test

import (
	"bytes"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/stretchr/testify/require"
)

func statement() *gitops.Statement {
	return &gitops.Statement{
		Version: 2, Decision: gitops.Approve, Nonce: "0123456789abcdef", Created: when(), Expires: when().Add(24 * time.Hour), Principal: "eve@x",
		Campaign: "20261123_x_sota_loop", Proposal: "patch-1", ContractDigest: "c", PolicyDigest: "p", ApproversDigest: "a", LedgerHead: "h",
		RootCommit: "r", BaseCommit: "b", BaseTree: "t", ResultTree: "u", Branch: "sotaloop/c/patch-1", Diff: []byte(goodDiff),
		EvidenceDigests: []string{"e1", "e2"}, VerdictDigest: "v", SymptomDigest: "s", PredictedGain: 0.07,
		Permits:        gitops.Permits{Host: "h100a", Account: "gpu", Commands: []string{"python -m sglang.launch_server <&>"}},
		CampaignDigest: "g", LedgerSeq: 7, PatchDigest: "d", EvidenceRows: []string{"kernel:decode:1@0"}, Symptom: gitops.Symptom{Scenario: "chat", Metric: "p50_tpot_ms"},
		Stage: "decode", Location: "a.py:3", Ceiling: 0.1, Rationale: "fuse", Elsewhere: "", Findings: []string{"a finding"}, Shown: []string{"a verdict"},
	}
}

// first is the statement as version 1 has it.
func first() *gitops.Statement {
	s := statement()
	s.Version, s.CampaignDigest, s.LedgerSeq, s.PatchDigest, s.EvidenceRows, s.Symptom = 1, "", 0, "", nil, gitops.Symptom{}
	s.Stage, s.Location, s.Ceiling, s.Rationale, s.Findings, s.Shown = "", "", 0, "", nil, nil
	return s
}

func TestStatementRoundTrip(t *testing.T) {
	t.Parallel()
	for name, diff := range map[string]string{"text": goodDiff, "bytes": "--- a\n+caf\xe9\xff\x80", "odd": "\u2028\u202e<b>&\x00\x1b[2K\r\n\"\\", "replacement": "\ufffd",
		"newlines": "\n\n", "beyond": "\U000e0041\x7f\u00a0"} {
		for _, s := range []*gitops.Statement{statement(), first()} {
			s.Diff = []byte(diff)
			raw, err := s.Bytes()
			require.NoError(t, err)
			again, err := s.Bytes()
			require.NoError(t, err)
			require.Equal(t, raw, again)
			got, err := gitops.ParseStatement(raw)
			require.NoError(t, err, name)
			require.Equal(t, s, got, name)
			if s.Version == 2 {
				require.Equal(t, string(raw), gitops.Printable(raw), "a terminal shows the file as it is")
			}
		}
	}
	raw, err := statement().Bytes()
	require.NoError(t, err)
	require.Contains(t, string(raw), "<&>", "commands read as they are")
	require.True(t, bytes.HasPrefix(raw, []byte("{\n  \"kind\": \"sotaloop.approval\",\n  \"v\": 2,\n")))
	zone := statement()
	zone.Created = zone.Created.In(time.FixedZone("x", 3600)).Add(time.Millisecond)
	other, err := zone.Bytes()
	require.NoError(t, err)
	require.Equal(t, string(raw), string(other))
}

// TestAStatementOfTheFirstVersionIsRead holds the bytes of before there was a second version.
func TestAStatementOfTheFirstVersionIsRead(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/statement_v1.json")
	require.NoError(t, err)
	s, err := gitops.ParseStatement(raw)
	require.NoError(t, err)
	require.Equal(t, first(), s)
	again, err := s.Bytes()
	require.NoError(t, err)
	require.Equal(t, string(raw), string(again))
}

func TestParseStatementRefuses(t *testing.T) {
	t.Parallel()
	raw, err := statement().Bytes()
	require.NoError(t, err)
	swap := func(from, to string) string {
		require.Contains(t, string(raw), from)
		return strings.Replace(string(raw), from, to, 1)
	}
	for name, text := range map[string]string{
		"unknown field":     swap(`"nonce"`, `"extra": 1, "nonce"`),
		"repeated":          swap(`"decision": "approve"`, `"decision": "reject", "decision": "approve"`),
		"other case":        swap(`"decision"`, `"Decision"`),
		"both cases":        swap(`"decision": "approve"`, `"decision": "reject", "DECISION": "approve"`),
		"repeated below":    swap(`"push": false`, `"push": true, "push": false`),
		"unknown below":     swap(`"push": false`, `"pull": true, "push": false`),
		"missing":           swap(`  "principal": "eve@x",`+"\n", ""),
		"missing below":     swap(",\n    \"push\": false", ""),
		"null":              swap(`"permits": {`, `"permits": null, "x": {`),
		"null list":         swap("[\n    \"e1\",\n    \"e2\"\n  ]", "null"),
		"nested list":       swap(`"e1"`, `["e1"]`),
		"wrong kind":        swap(`"v": 2`, `"v": "2"`),
		"newer":             swap(`"v": 2`, `"v": 3`),
		"older in name":     swap(`"v": 2`, `"v": 1`),
		"no version":        swap(`"v": 2`, `"v": 0`),
		"two versions":      swap(`"v": 2`, `"v": 1, "v": 2`),
		"no campaign":       swap(`"campaign_digest": "g"`, `"campaign_digest": ""`),
		"a line of two":     swap(`"diff": [`, `"diff": ["a\nb",`),
		"other kind":        swap("sotaloop.approval", "sotaloop.witness"),
		"push":              swap(`"push": false`, `"push": true`),
		"maybe":             swap(`"approve"`, `"maybe"`),
		"short nonce":       swap("0123456789abcdef", "0123"),
		"empty principal":   swap(`"eve@x"`, `" "`),
		"expired at birth":  swap("2026-11-24", "2026-11-22"),
		"encoding":          swap(`"lines"`, `"rot13"`),
		"not base64":        swap(`"lines"`, `"base64"`),
		"bytes after":       string(raw) + "{}",
		"not UTF-8":         swap("eve@x", "e\xffe"),
		"list":              "[" + string(raw) + "]",
		"empty":             "",
		"cut":               string(raw[:len(raw)-4]),
		"no evidence":       swap("[\n    \"e1\",\n    \"e2\"\n  ]", "[]"),
		"object for string": swap(`"principal": "eve@x"`, `"principal": {"a": 1}`),
		"object for time":   swap(`"created": "2026-11-23T10:00:00Z"`, `"created": {}`),
	} {
		_, err := gitops.ParseStatement([]byte(text))
		f, ok := fault.As(err)
		require.True(t, ok, name)
		require.Equal(t, fault.InvalidInput, f.Code, name)
		require.Equal(t, gitops.RuleApproved, f.Rule, name)
	}
	for name, spoil := range map[string]func(*gitops.Statement){
		"NaN":     func(s *gitops.Statement) { s.PredictedGain = math.NaN() },
		"no diff": func(s *gitops.Statement) { s.Diff = nil },
		"no time": func(s *gitops.Statement) { s.Created = time.Time{} },
		"bytes":   func(s *gitops.Statement) { s.Principal = "e\xff" },
	} {
		s := statement()
		spoil(s)
		_, err := s.Bytes()
		require.Error(t, err, name)
	}
}

func TestApprovalCannotBeReused(t *testing.T) {
	t.Parallel()
	key := newEd25519(t)
	raw, err := statement().Bytes()
	require.NoError(t, err)
	sig, err := gitops.Sign(key, gitops.NamespaceApproval, raw)
	require.NoError(t, err)
	allowed := allow(t, "", key)
	_, err = gitops.VerifySignature(allowed, gitops.NamespaceApproval, raw, sig, when())
	require.NoError(t, err)
	for i := range raw {
		if i%37 != 0 {
			continue
		}
		spoilt := bytes.Clone(raw)
		spoilt[i] ^= 0x20
		_, err = gitops.VerifySignature(allowed, gitops.NamespaceApproval, spoilt, sig, when())
		require.Equal(t, fault.Denied, fault.CodeOf(err))
	}
	_, err = gitops.VerifySignature(allowed, gitops.NamespaceWitness, raw, sig, when())
	require.Equal(t, fault.Denied, fault.CodeOf(err))
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                         "",
		"+a\tb\n ü 漢 🚀\n":          "+a\tb\n ü 漢 🚀\n",
		"a\r\nb":                   "a<U+000D>\nb",
		"\x1b[2J\x07\x7f\x00":      "<U+001B>[2J<U+0007><U+007F><U+0000>",
		"\u009b31m":                "<U+009B>31m",
		"\x9b31m\xff":              "<0x9B>31m<0xFF>",
		"if a\u202e\u2066b\u2069:": "if a<U+202E><U+2066>b<U+2069>:",
		"a\u200bb\u200dc\ufeff":    "a<U+200B>b<U+200D>c<U+FEFF>",
		"a\u00a0b\u3000c\u2028d":   "a<U+00A0>b<U+3000>c<U+2028>d",
		"x\ufe0f\U000e0041\u3164":  "x<U+FE0F><U+E0041><U+3164>",
		"\u2800\u115f\u034f\u00ad": "<U+2800><U+115F><U+034F><U+00AD>",
		"\ufffd":                   "\ufffd",
	} {
		require.Equal(t, want, gitops.Printable([]byte(in)))
	}
}
