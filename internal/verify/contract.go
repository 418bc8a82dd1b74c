package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"

	"github.com/sotaloop/sotaloop/internal/contract"
)

const (
	kindContract = "contract.frozen"
	contractFile = "contract.json"
)

// contract checks that the terms were frozen once and first, and that their projection holds the frozen bytes. Replay
// has compared the bytes with their digest.
func (v *verifier) contract() (string, error) {
	for i, e := range v.entries {
		if (e.Kind == kindContract) != (i == 0) {
			return "", fmt.Errorf("ledger entry %d is %s: a contract is frozen once, by the first entry", e.Seq, e.Kind)
		}
	}
	var frozen struct {
		Contract json.RawMessage `json:"contract"`
	}
	if err := json.Unmarshal(v.entries[0].Payload, &frozen); err != nil {
		return "", err
	}
	if _, again, err := v.state.Contract.Freeze(); err != nil || again != v.state.Digest {
		return "", fmt.Errorf("the contract holds more or other than its fields: its digest is %s, written again it is %s", v.state.Digest, again)
	}
	file, err := fs.ReadFile(v.files, contractFile)
	if err != nil {
		return "", fmt.Errorf("%s: %w", contractFile, plain(err))
	}
	if !bytes.Equal(file, append(bytes.Clone(frozen.Contract), '\n')) {
		return "", fmt.Errorf("%s is not the frozen contract: its sha256 is %s, the ledger's is %s", contractFile, contract.Digest(bytes.TrimSuffix(file, []byte("\n"))), v.state.Digest)
	}
	return "frozen once, digest " + v.state.Digest[:16], nil
}
