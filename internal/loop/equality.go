package loop

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/bench"
	"github.com/sotaloop/sotaloop/internal/ledger"
)

// leastEnvelope is the difference of log-probabilities that is never held against a build: bfloat16 holds a logit between
// 16 and 32 in steps of 1/8, so that another order of the same sums moves it by as much. Two launches of a deterministic
// build differ by nothing, and no kernel but the same one would pass without it.
const leastEnvelope = 0.125

// answered is what one launch answered to one of the prompts that every launch is asked.
type answered struct {
	index  int
	digest string
	tokens []bench.TokenLogprob // none of private text, and where the endpoint does not tell
}

// equality compares base and patched by what they answer to the same prompts, greedily. Where token log-probabilities were
// told, they must stay within the envelope of two launches of the base up to the first token that differs, and a token may
// differ only where two were as likely as each other; else the answers' digests are counted.
func equality(st *State, prop *ProposalState, suffix string, read func(ledger.Artifact) ([]byte, error)) (Equality, string, error) {
	var base, patched [][]answered
	for _, p := range st.Points {
		if p.Use != useEquality || p.Records == nil || !strings.Contains(p.Row.LaunchID, "."+prop.ID+".") {
			continue
		}
		answers, err := outputs(*p.Records, read)
		if err != nil {
			return Equality{}, "", err
		}
		if strings.HasSuffix(p.Row.Side, suffix) {
			patched = append(patched, answers)
		} else {
			base = append(base, answers)
		}
	}
	if len(base) < 2 || len(patched) < 1 {
		return Equality{}, "not_measured", nil
	}
	e, word := compareAnswers(base, patched)
	return e, word, nil
}

// compareAnswers weighs the patched launches against the base's, which are at least two: equal, differ or not_measured.
func compareAnswers(base, patched [][]answered) (e Equality, word string) {
	e = Equality{Requests: len(base[0]), BaseBase: differing(base[0], base[1])}
	told := false
	for _, answers := range slices.Concat(base, patched) {
		told = told || slices.ContainsFunc(answers, func(a answered) bool { return len(a.tokens) > 0 })
	}
	envelope, largest := leastEnvelope, 0.0
	for i := range base {
		for _, other := range base[:i] {
			envelope = max(envelope, widest(base[i], other))
		}
	}
	for _, b := range base {
		for _, p := range patched {
			e.BasePatched = max(e.BasePatched, differing(b, p))
			e.Comparisons++
			largest = max(largest, widest(b, p))
		}
	}
	allowed := e.BasePatched <= e.BaseBase
	if told {
		if envelope >= maxWidth { // the base did not answer as often itself: that allows nothing
			return e, "not_measured"
		}
		e.Envelope, e.Largest, allowed = &envelope, &largest, largest <= envelope
	}
	if !allowed {
		return e, "differ"
	}
	return e, "equal"
}

// widest is by how much two launches differ at most, over all prompts: in log-probability of tokens that are the same, and
// where the first token differs, by how much one of the two was the likelier. A prompt that one of them did not answer is
// as wide as nothing can be.
func widest(a, b []answered) float64 {
	if len(a) != len(b) {
		return maxWidth
	}
	width := 0.0
	for i := range a {
		if a[i].index != b[i].index || len(a[i].tokens) == 0 || len(b[i].tokens) == 0 {
			return maxWidth
		}
		width = max(width, apart(a[i].tokens, b[i].tokens))
	}
	return width
}

// maxWidth stands for answers that cannot be compared; infinity is no JSON.
const maxWidth = 1e9

func apart(a, b []bench.TokenLogprob) float64 {
	width := 0.0
	for i := range min(len(a), len(b)) {
		width = max(width, math.Abs(a[i].Logprob-b[i].Logprob))
		if a[i].Token != b[i].Token { // as each was its launch's likeliest, the two were as far apart as the clearer choice
			return max(width, margin(a[i].Logprob), margin(b[i].Logprob))
		}
	}
	if len(a) != len(b) {
		return maxWidth // one ended where the other went on, at a token that neither tells
	}
	return width
}

// margin is the least by which a token of log-probability lp was likelier than any other: all others share what is left.
func margin(lp float64) float64 {
	rest := -math.Expm1(min(lp, 0))
	if rest <= 0 {
		return maxWidth
	}
	return max(0, min(maxWidth, lp-math.Log(rest)))
}

// outputs reads what measured requests were answered, by index.
func outputs(a ledger.Artifact, read func(ledger.Artifact) ([]byte, error)) ([]answered, error) {
	raw, err := read(a)
	if err != nil {
		return nil, err
	}
	rec, err := bench.ReadRecords(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	var out []answered
	for _, r := range rec.Records {
		if r.Role != bench.RoleWarmup {
			out = append(out, answered{index: r.Index, digest: fmt.Sprintf("%d %s", r.Index, r.Digest), tokens: r.Logprobs})
		}
	}
	slices.SortStableFunc(out, func(x, y answered) int { return x.index - y.index })
	return out, nil
}

// differing counts the requests that two launches answered otherwise.
func differing(a, b []answered) int {
	n := 0
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i].digest != b[i].digest {
			n++
		}
	}
	return n
}
