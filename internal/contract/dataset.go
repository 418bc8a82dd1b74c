package contract

import "math"

// ReuseBlocks is the recorded alternative for a dataset that is too small: every block has the same rows, and the prefix
// cache is flushed between.
const ReuseBlocks = "blocks"

// Dataset is what was found of a stored dataset when the campaign opened. It holds no text.
type Dataset struct {
	Digest        string   `json:"digest"`            // sha256:… of the normalised rows
	Content       string   `json:"content,omitempty"` // of the rows in any order; left out for a private dataset
	Index         string   `json:"index"`             // SHA-256 of the index kept with the campaign, which draws are made from again
	Private       bool     `json:"private"`           // text never leaves the host
	Shape         string   `json:"shape"`             // prompt or messages
	Rows          int      `json:"rows"`
	Conversations int      `json:"conversations"`
	PromptChars   Lengths  `json:"prompt_chars"`
	PromptTokens  *Lengths `json:"prompt_tokens,omitempty"` // by Tokenizer; nobody counted them where it is absent
	OutputLen     Lengths  `json:"output_len"`              // tokens asked for
	LongestChars  int      `json:"longest_chars"`           // of a prompt
	LongestOutput int      `json:"longest_output"`          // tokens
	LongestTokens int      `json:"longest_tokens,omitempty"`
	Tokenizer     string   `json:"tokenizer,omitempty"` // digest of the model's tokenizer.json
	SharedPrefix  float64  `json:"shared_prefix_share"` // of all characters of all prompts
	// By says what divides the rows: conversation, or time where a scenario replays them; Parts how many each part has.
	By    string         `json:"by"`
	Parts map[string]int `json:"parts"`
}

// Lengths are quantiles over all rows.
type Lengths struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// charsPerToken turns characters into tokens where nobody counted them: about what English has.
const charsPerToken = 4

// Longest is the longest sequence, prompt and output, in tokens; estimated where nobody counted.
func (d Dataset) Longest() int {
	if d.LongestTokens > 0 {
		return d.LongestTokens
	}
	return d.LongestChars/charsPerToken + 1 + d.LongestOutput
}

// Median is the median prompt in tokens; estimated where nobody counted.
func (d Dataset) Median() int {
	if d.PromptTokens != nil {
		return max(1, int(math.RoundToEven(d.PromptTokens.P50)))
	}
	return max(1, int(math.RoundToEven(d.PromptChars.P50/charsPerToken)))
}

// Dataset finds a dataset by its digest.
func (c *Contract) Dataset(digest string) (Dataset, bool) {
	for _, d := range c.Datasets {
		if d.Digest == digest {
			return d, true
		}
	}
	return Dataset{}, false
}

// Private says whether any text of the campaign has to stay on its host.
func (c *Contract) Private() bool {
	for _, d := range c.Datasets {
		if d.Private {
			return true
		}
	}
	return false
}

// NaturalEnd says whether answers end where the model ends them, and not at a length that was asked for.
func (s Scenario) NaturalEnd() bool { return s.Kind != KindRandom && !s.IgnoreEOS }
