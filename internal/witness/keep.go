package witness

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/sotaloop/sotaloop/internal/chain"
)

const (
	kindSeen   = "head.seen"
	maxRequest = 1 << 30 // bytes of one request
	maxHeader  = 4 << 10
)

// Keeper is a witness's memory and key. Several processes may answer from one folder at once.
type Keeper struct {
	dir  string
	sign func(statement []byte) ([]byte, error)
	now  func() time.Time
}

// New gives a witness that remembers in dir, which no other account may write, and signs with sign, which
// gives an armored SSHSIG in the namespace sotaloop-witness.
func New(dir string, sign func(statement []byte) ([]byte, error), now func() time.Time) *Keeper {
	return &Keeper{dir: dir, sign: sign, now: now}
}

// seen is one remembered head, as a line of the campaign's own chain of them.
type seen struct {
	Campaign string    `json:"campaign"`
	Seq      int       `json:"seq"`
	Head     string    `json:"head"`
	First    string    `json:"first"`
	At       time.Time `json:"at"`
}

// shown is what a client showed.
type shown struct {
	Request
	first  string         // hash of line 1, where it was shown
	hashes map[int]string // by seq, the line before the first shown one included
	head   chain.Head
}

// refusal ends an answer.
type refusal struct{ Answer }

// Error renders the reason.
func (r *refusal) Error() string { return r.What }

func refuse(why string, have int, format string, args ...any) error {
	return &refusal{Answer{Kind: answerKind, V: Version, Refused: why, Have: have, What: fmt.Sprintf(format, args...)}}
}

// Answer reads one request and gives the line to answer with. An error is the witness's own: nothing was signed.
func (k *Keeper) Answer(ctx context.Context, in io.Reader) ([]byte, error) {
	a, err := k.answer(ctx, in)
	var no *refusal
	if errors.As(err, &no) {
		a, err = no.Answer, nil
	}
	if err != nil {
		return nil, err
	}
	raw, err := json.Marshal(a)
	return append(raw, '\n'), err
}

func (k *Keeper) answer(ctx context.Context, in io.Reader) (Answer, error) {
	s, err := read(in)
	if err != nil {
		return Answer{}, err
	}
	rec, err := k.remember(ctx, s)
	if err != nil {
		return Answer{}, err
	}
	statement, err := json.Marshal(Statement{Kind: StatementKind, V: Version, Campaign: rec.Campaign, Seq: rec.Seq, Head: rec.Head, First: rec.First, Time: rec.At})
	if err != nil {
		return Answer{}, err
	}
	statement = append(statement, '\n')
	sig, err := k.sign(statement)
	return Answer{Kind: answerKind, V: Version, Statement: statement, Signature: string(sig)}, err
}

// read takes a request in and checks that its lines are a chain.
func read(in io.Reader) (*shown, error) {
	br := bufio.NewReaderSize(io.LimitReader(in, maxRequest), maxHeader)
	line, err := br.ReadSlice('\n')
	if err != nil {
		return nil, refuse(RefusedMalformed, 0, "the request has no first line of at most %d bytes", maxHeader)
	}
	s := &shown{hashes: map[int]string{}}
	if err := chain.Strict(line, &s.Request); err != nil {
		return nil, refuse(RefusedMalformed, 0, "the request: %v", err)
	}
	switch {
	case s.Kind != requestKind || s.V != Version:
		return nil, refuse(RefusedMalformed, 0, "the request is %q version %d, this witness knows %q version %d", s.Kind, s.V, requestKind, Version)
	case !campaignName.MatchString(s.Campaign):
		return nil, refuse(RefusedName, 0, "%q is no campaign's name", s.Campaign)
	case s.Since < 0 || (s.Since == 0) != (s.Request.Head == ""):
		return nil, refuse(RefusedMalformed, 0, "a request since line %d with head %q", s.Since, s.Request.Head)
	}
	s.hashes[s.Since] = s.Request.Head
	s.head, err = chain.Extend(br, chain.Head{Seq: s.Since, Hash: s.Request.Head}, func(e chain.Entry) error {
		s.hashes[e.Seq] = e.Hash
		if e.Seq == 1 {
			s.first = e.Hash
			return ofCampaign(e, s.Campaign)
		}
		return nil
	})
	var no *refusal
	if err != nil && !errors.As(err, &no) {
		err = refuse(RefusedMalformed, 0, "%v", err)
	}
	return s, err
}

// ofCampaign compares a ledger's first line with the name under which it is shown.
func ofCampaign(e chain.Entry, campaign string) error {
	var p struct {
		Contract struct {
			Campaign string `json:"campaign"`
		} `json:"contract"`
	}
	if err := json.Unmarshal(e.Payload, &p); err != nil || p.Contract.Campaign != campaign {
		return refuse(RefusedName, 0, "the ledger's first line is campaign %q's, it was shown as %q", p.Contract.Campaign, campaign)
	}
	return nil
}

// remember decides under the campaign's lock and has the head on disk before anything is signed.
func (k *Keeper) remember(ctx context.Context, s *shown) (seen, error) {
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return seen{}, err
	}
	file, err := chain.Open(filepath.Join(k.dir, s.Campaign+".jsonl"), chain.Options{
		LockPath: filepath.Join(k.dir, "locks", s.Campaign), HeadPath: filepath.Join(k.dir, s.Campaign+".head.json"), Kinds: chain.Kinds{kindSeen: 1},
	})
	if err != nil {
		return seen{}, err
	}
	var rec seen
	_, err = file.Append(ctx, func(before []chain.Entry) ([]chain.Pending, error) {
		var last seen
		if n := len(before); n > 0 {
			if err := chain.Strict(before[n-1].Payload, &last); err != nil {
				return nil, fmt.Errorf("the memory of %s: %w", s.Campaign, err)
			}
		}
		if err := s.extends(last); err != nil {
			return nil, err
		}
		if rec = last; s.head.Seq == last.Seq {
			return nil, nil
		}
		rec = seen{Campaign: s.Campaign, Seq: s.head.Seq, Head: s.head.Hash, First: last.First, At: k.now().UTC().Truncate(time.Second)}
		if rec.First == "" {
			rec.First = s.first
		}
		raw, err := json.Marshal(rec)
		return []chain.Pending{{Kind: kindSeen, Payload: raw, Time: rec.At}}, err
	})
	return rec, err
}

// extends refuses what does not go on from the last head that was seen.
func (s *shown) extends(last seen) error {
	if s.head.Seq == 0 {
		return refuse(RefusedMalformed, last.Seq, "no line was shown")
	}
	if s.Since > last.Seq {
		return refuse(RefusedGap, last.Seq, "the lines begin behind line %d, the last one seen is %d", s.Since, last.Seq)
	}
	if s.first != "" && last.First != "" && s.first != last.First {
		return refuse(RefusedFork, last.Seq, "another ledger was seen under the name %s", s.Campaign)
	}
	if s.head.Seq < last.Seq {
		return refuse(RefusedRollback, last.Seq, "the ledger ends at line %d, line %d was seen already", s.head.Seq, last.Seq)
	}
	if last.Seq > 0 && s.hashes[last.Seq] != last.Head {
		return refuse(RefusedFork, last.Seq, "line %d is not the one that was seen", last.Seq)
	}
	return nil
}
