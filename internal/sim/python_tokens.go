package sim

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// countTokens plays the tokenizers library: for each JSON string of a line, its tokens by the simulated model's
// tokenizer, which splits at white space.
func (p *persona) countTokens(in io.Reader) int {
	if len(p.args) == 0 {
		return p.fail(1, "no tokenizer is named")
	}
	raw, err := os.ReadFile(p.args[len(p.args)-1])
	var tok struct {
		Split struct {
			Type string `json:"type"`
		} `json:"pre_tokenizer"`
	}
	if err == nil {
		err = json.Unmarshal(raw, &tok)
	}
	if err != nil || tok.Split.Type != "WhitespaceSplit" {
		return p.fail(1, "Exception: the tokenizer cannot be read")
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<30)
	for lines.Scan() {
		var text string
		if err := json.Unmarshal(lines.Bytes(), &text); err != nil {
			return p.fail(1, "json.decoder.JSONDecodeError")
		}
		fmt.Fprintln(p.stdout, len(DefaultModel().encode(text)))
	}
	return 0
}
