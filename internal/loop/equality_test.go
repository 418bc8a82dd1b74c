package loop_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// told is one launch that answered one prompt with a b c, each with that log-probability.
func told(logprobs ...float64) []loop.Told {
	return []loop.Told{{Text: "abc", Tokens: []string{"a", "b", "c"}[:len(logprobs)], Logprobs: logprobs}}
}

// instead is told with another last token.
func instead(logprobs ...float64) []loop.Told {
	out := told(logprobs...)
	out[0].Text, out[0].Tokens = "abx", append(append([]string{}, out[0].Tokens[:len(logprobs)-1]...), "x")
	return out
}

func silent(text string) []loop.Told { return []loop.Told{{Text: text}} }

// TestOutputsAreEqualWithinWhatTheBaseDiffersBy holds patched launches against two of the base.
func TestOutputsAreEqualWithinWhatTheBaseDiffersBy(t *testing.T) {
	t.Parallel()
	sure, likely, tie := -0.01, -0.3, -0.70 // the likeliest token had 99 %, 74 %, just under a half
	for name, c := range map[string]struct {
		base, patched [][]loop.Told
		word          string
	}{
		"the same":                    {[][]loop.Told{told(sure, likely, tie), told(sure, likely, tie)}, [][]loop.Told{told(sure, likely, tie)}, "equal"},
		"other rounding":              {[][]loop.Told{told(sure, likely, tie), told(sure, likely, tie)}, [][]loop.Told{told(sure, likely-0.05, tie+0.1)}, "equal"},
		"fewer bits":                  {[][]loop.Told{told(sure, likely, tie), told(sure, likely, tie)}, [][]loop.Told{told(sure, likely-0.2, tie)}, "differ"},
		"a base that differs as much": {[][]loop.Told{told(sure, likely, tie), told(sure, likely-0.3, tie)}, [][]loop.Told{told(sure, likely-0.2, tie)}, "equal"},
		"another word at a tie":       {[][]loop.Told{told(sure, likely, tie), told(sure, likely, tie)}, [][]loop.Told{instead(sure, likely, tie)}, "equal"},
		"another word, far less sure": {[][]loop.Told{told(sure, likely, tie), told(sure, likely, tie)}, [][]loop.Told{instead(sure, likely, -1.6)}, "differ"},
		"another word where one was clear": {[][]loop.Told{told(sure, likely, sure), told(sure, likely, sure)},
			[][]loop.Told{instead(sure, likely, sure)}, "differ"},
		"after a tie anything follows": {[][]loop.Told{told(sure, tie, sure), told(sure, tie, sure)},
			[][]loop.Told{{{Text: "axq", Tokens: []string{"a", "x", "q"}, Logprobs: []float64{sure, tie, -3}}}}, "equal"},
		"shorter answers":                {[][]loop.Told{told(sure, likely, tie), told(sure, likely, tie)}, [][]loop.Told{told(sure, likely)}, "differ"},
		"one of two launches is another": {[][]loop.Told{told(sure, likely), told(sure, likely)}, [][]loop.Told{told(sure, likely), told(sure, likely-1)}, "differ"},
		"a request that failed":          {[][]loop.Told{told(sure, likely), told(sure, likely)}, [][]loop.Told{silent("")}, "differ"},
		"a base that failed allows nothing": {[][]loop.Told{told(sure, likely), silent("")},
			[][]loop.Told{{{Text: "zzz", Tokens: []string{"z", "z"}, Logprobs: []float64{-3, -3}}}, silent("q")}, "not_measured"},
		"digests alone, the same":  {[][]loop.Told{silent("a"), silent("a")}, [][]loop.Told{silent("a")}, "equal"},
		"digests alone, another":   {[][]loop.Told{silent("a"), silent("a")}, [][]loop.Told{silent("b")}, "differ"},
		"digests of a noisy build": {[][]loop.Told{silent("a"), silent("b")}, [][]loop.Told{silent("c")}, "equal"},
	} {
		e, word := loop.CompareAnswers(c.base, c.patched)
		require.Equal(t, c.word, word, "%s: %+v", name, e)
		require.Equal(t, len(c.base)*len(c.patched), e.Comparisons, name)
	}
}
