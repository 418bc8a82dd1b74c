package verify

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
)

// chain reads the ledger: hashes, sequence, kinds, payloads, and the head file beside it.
func (v *verifier) chain() (string, error) {
	file, err := v.files.Open(ledger.ChainFile)
	if err != nil {
		return "", plain(err)
	}
	entries, torn, err := chain.Decode(file, loop.Kinds)
	_ = file.Close()
	if err != nil {
		return "", inside(err)
	}
	if len(entries) == 0 {
		return "", errors.New("the ledger has no entry")
	}
	if torn > 0 {
		v.res.note("%d bytes behind the ledger's last line are an unfinished write; they count for nothing and the next writer cuts them", torn)
	}
	if err := v.head(entries); err != nil {
		return "", err
	}
	for _, e := range entries {
		p, err := loop.Decode(e)
		if err != nil {
			return "", fmt.Errorf("entry %d (%s): %w", e.Seq, e.Kind, err)
		}
		v.decoded = append(v.decoded, p)
	}
	state, err := loop.Replay(entries)
	if err != nil {
		return "", err
	}
	if state.Contract == nil {
		return "", errors.New("the ledger holds no contract")
	}
	v.entries, v.state = entries, state
	v.res.Campaign, v.res.Entries, v.res.Head = state.Contract.Campaign, len(entries), state.Head
	return fmt.Sprintf("%d entries, head %.16s", len(entries), state.Head), nil
}

// head compares the ledger with its head file. A writer that died between the two leaves the lines of one append ahead
// of it, and these have one time.
func (v *verifier) head(entries []chain.Entry) error {
	raw, err := fs.ReadFile(v.files, ledger.HeadFile)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is missing", ledger.HeadFile)
	}
	if err != nil {
		return plain(err)
	}
	head, err := chain.ParseHead(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", ledger.HeadFile, plain(err))
	}
	ahead, err := head.Check(entries)
	if err != nil {
		return inside(err)
	}
	if ahead == 0 {
		return nil
	}
	fresh := entries[len(entries)-ahead:]
	for _, e := range fresh {
		if !e.Time.Equal(fresh[0].Time) {
			return fmt.Errorf("%s names entry %d of %d: the entries behind it are of more than one write", ledger.HeadFile, head.Seq, len(entries))
		}
	}
	v.res.note("%s is one write behind the ledger", ledger.HeadFile)
	return nil
}

// inside names a chain's file without the folders above the run directory.
func inside(err error) error {
	var c *chain.CorruptError
	if !errors.As(err, &c) {
		return err
	}
	short := *c
	for i := len(short.Path) - 1; i >= 0; i-- {
		if short.Path[i] == '/' || short.Path[i] == '\\' {
			short.Path = short.Path[i+1:]
			break
		}
	}
	if short.Path == "" {
		short.Path = ledger.ChainFile
	}
	return &short
}
