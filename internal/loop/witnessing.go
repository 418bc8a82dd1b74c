package loop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/witness"
)

// showTimeout bounds how long a witness is waited for.
const showTimeout = 20 * time.Second

// showSoon shows the ledger's head to the witness without being waited for.
func (c *campaign) showSoon(ctx context.Context) {
	if c.loop.opt.Witness == nil {
		return
	}
	c.loop.shows.Go(func() { c.showNow(context.WithoutCancel(ctx)) })
}

// showNow shows the ledger's head to the witness, where one is configured, and records its answer. What keeps it from
// answering is a note: work never waits for a witness.
func (c *campaign) showNow(ctx context.Context) []string {
	if c.loop.opt.Witness == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, showTimeout)
	defer cancel()
	c.showing.Lock()
	defer c.showing.Unlock()
	err := c.show(ctx)
	if err == nil {
		return nil
	}
	c.loop.opt.Log.Warn("witness", "campaign", c.id, "err", err)
	return []string{"the witness has not seen this ledger's head: " + err.Error()}
}

// show proves the head to the witness, from the last line that it has seen.
func (c *campaign) show(ctx context.Context) error {
	lines, err := c.ledger.Entries()
	if err != nil {
		return err
	}
	st, err := c.replay(lines)
	if err != nil {
		return err
	}
	since := 0
	if n := len(st.Witnessed); n > 0 {
		since = st.Witnessed[n-1].Seq
	}
	if news := lines[since:]; since > 0 && len(newsOf(news)) == 0 {
		return nil
	}
	head := chain.HeadOf(lines)
	a, err := c.ask(ctx, lines, since)
	if err == nil && a.Refused == witness.RefusedGap && a.Have >= 0 && a.Have < since {
		a, err = c.ask(ctx, lines, a.Have) // another witness, or one that forgot what it had not yet signed
	}
	if err != nil {
		return err
	}
	if a.Refused != "" {
		return fmt.Errorf("it refused (%s): %s", a.Refused, a.What)
	}
	s, err := witness.ParseStatement(a.Statement)
	if err != nil {
		return err
	}
	if s.Campaign != c.id || s.Seq != head.Seq || s.Head != head.Hash || s.First != lines[0].Hash {
		return fmt.Errorf("it signed line %d of %q, line %d was shown", s.Seq, s.Campaign, head.Seq)
	}
	key, err := witness.Inspect(a.Statement, a.Signature)
	if err != nil {
		return err
	}
	return c.put(ctx, kindWitnessed, LedgerWitnessed{Seq: s.Seq, Head: s.Head, Statement: a.Statement, Signature: a.Signature, Key: key})
}

// newsOf are the entries that are more than witnesses' answers.
func newsOf(lines []chain.Entry) []chain.Entry {
	var out []chain.Entry
	for _, e := range lines {
		if e.Kind != kindWitnessed {
			out = append(out, e)
		}
	}
	return out
}

// ask sends a request with the lines behind line since.
func (c *campaign) ask(ctx context.Context, lines []chain.Entry, since int) (witness.Answer, error) {
	var from chain.Head
	if since > 0 {
		from = chain.HeadOf(lines[:since])
	}
	first, err := witness.NewRequest(c.id, from)
	if err != nil {
		return witness.Answer{}, err
	}
	f, err := os.Open(filepath.Join(c.ledger.Dir(), ledger.ChainFile))
	if err != nil {
		return witness.Answer{}, err
	}
	defer f.Close()
	_, skip, err := ledger.Prefix(f, since)
	if err != nil {
		return witness.Answer{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return witness.Answer{}, err
	}
	_, end, err := ledger.Prefix(f, len(lines))
	if err != nil {
		return witness.Answer{}, err
	}
	raw, err := c.loop.opt.Witness(ctx, io.MultiReader(bytes.NewReader(first), io.NewSectionReader(f, skip, end-skip)))
	if err != nil {
		return witness.Answer{}, err
	}
	return witness.ParseAnswer(raw)
}

// witnessLevel says how far a witness has seen the ledger, as the ledger itself tells it.
func (s *State) witnessLevel() string {
	if len(s.Witnessed) == 0 {
		return "unwitnessed"
	}
	return fmt.Sprintf("witnessed to entry %d by the key %s", s.Witnessed[len(s.Witnessed)-1].Seq, s.Witnessed[len(s.Witnessed)-1].Key)
}
