package transcripts

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/internal/chain"
)

// Copied is the kind of a copy's lines.
const Copied = "message.copied"

// Source is where a copied record stands in its process's chain.
type Source struct {
	Chain string `json:"chain"` // file name
	Seq   int    `json:"seq"`
	Hash  string `json:"hash"`
}

// Copy is a record in a campaign's transcript.
type Copy struct {
	Record // Seq and Hash are the copy's own
	Source Source
}

// copyPayload is a copy on disk.
type copyPayload struct {
	Source Source `json:"source"`
	Kind   string `json:"kind"`
	payload
}

// Extract copies a campaign's messages, of all processes whose transcripts lie in dir, up to the time until, into a new
// chain, which it gives as the bytes of its file. A message belongs to the campaign when it names it as the argument
// or the result "campaign", or answers or cancels one that does. The order is that of time. What could not be read is
// named in the warnings.
func Extract(dir, campaign string, until time.Time) (file []byte, warnings []string, err error) {
	names, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.jsonl"))
	if err != nil {
		return nil, nil, fmt.Errorf("list transcripts: %w", err)
	}
	var found []Copy
	for _, name := range names {
		copies, err := extractOne(name, campaign, until)
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("transcript %v: what stands behind it is not in the campaign's transcript", err))
		}
		found = append(found, copies...)
	}
	slices.SortStableFunc(found, func(a, b Copy) int {
		return cmp.Or(a.Time.Compare(b.Time), strings.Compare(a.Source.Chain, b.Source.Chain), cmp.Compare(a.Source.Seq, b.Source.Seq))
	})
	file, err = writeCopies(found)
	return file, warnings, err
}

// escapeGlob makes dir stand for itself in a pattern. Windows has no escapes; there the path is taken as it is.
func escapeGlob(dir string) string {
	if filepath.Separator == '\\' {
		return dir
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

// extractOne picks the campaign's records of one process.
func extractOne(path, campaign string, until time.Time) ([]Copy, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.Contains(raw, []byte(campaign)) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, _, err := chain.Decode(bytes.NewReader(raw), kinds())
	var records []Record
	for _, e := range entries {
		r, bad := decode(e)
		if bad != nil {
			err = bad
			break
		}
		if !e.Time.After(until) {
			records = append(records, r)
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	var out []Copy
	for _, i := range belonging(records, campaign) {
		r := records[i]
		out = append(out, Copy{Record: r, Source: Source{Chain: filepath.Base(path), Seq: r.Seq, Hash: r.Hash}})
	}
	return out, err
}

// message is what decides whether a record belongs to a campaign.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Arguments json.RawMessage `json:"arguments"`
		RequestID json.RawMessage `json:"requestId"`
	} `json:"params"`
	Result struct {
		StructuredContent json.RawMessage `json:"structuredContent"`
	} `json:"result"`
}

// belonging gives the indices of the campaign's records.
func belonging(records []Record, campaign string) []int {
	asked := map[string]int{} // open requests by session and id
	chosen := map[int]bool{}
	for i, r := range records {
		var m message
		if json.Unmarshal(r.Message, &m) != nil {
			continue
		}
		key := r.Session + "\x00" + string(m.ID)
		switch {
		case r.Kind == Received && m.Method == "notifications/cancelled":
			if at, ok := asked[r.Session+"\x00"+string(m.Params.RequestID)]; ok && chosen[at] {
				chosen[i] = true
			}
		case r.Kind == Received && m.ID != nil:
			asked[key] = i
			chosen[i] = names(m.Params.Arguments, campaign)
		case r.Kind == Sent && m.Method == "" && m.ID != nil:
			at, ok := asked[key]
			if ok && (chosen[at] || names(m.Result.StructuredContent, campaign)) {
				chosen[at], chosen[i] = true, true
			}
			delete(asked, key)
		}
	}
	var out []int
	for i := range records {
		if chosen[i] {
			out = append(out, i)
		}
	}
	return out
}

// names says whether the object raw has the campaign as its member "campaign".
func names(raw json.RawMessage, campaign string) bool {
	var v struct {
		Campaign any `json:"campaign"`
	}
	return json.Unmarshal(raw, &v) == nil && v.Campaign == campaign
}

// writeCopies renders a campaign's transcript.
func writeCopies(copies []Copy) ([]byte, error) {
	pending := make([]chain.Pending, 0, len(copies))
	for _, c := range copies {
		raw, err := json.Marshal(copyPayload{Source: c.Source, Kind: c.Kind, payload: payload{Session: c.Session, Message: c.Message, Text: c.Text}})
		if err != nil {
			return nil, fmt.Errorf("copy a transcript: %w", err)
		}
		pending = append(pending, chain.Pending{Kind: Copied, Payload: raw, Time: c.Time})
	}
	var b bytes.Buffer
	if _, err := chain.Write(&b, time.Now(), pending...); err != nil {
		return nil, fmt.Errorf("copy a transcript: %w", err)
	}
	return b.Bytes(), nil
}

// Parse verifies a campaign's transcript, as Extract gave it, and gives its head and its records, those before the
// first error with it.
func Parse(file []byte) (copies []Copy, head chain.Head, err error) {
	entries, torn, err := chain.Decode(bytes.NewReader(file), chain.Kinds{Copied: 1})
	if err == nil && torn > 0 {
		err = &chain.CorruptError{Line: len(entries) + 1, Err: errors.New("the last line has no end")}
	}
	for _, e := range entries {
		var p copyPayload
		if bad := chain.Strict(e.Payload, &p); bad != nil {
			return copies, chain.HeadOf(entries), &chain.CorruptError{Line: e.Seq, Err: fmt.Errorf("payload: %w", bad)}
		}
		copies = append(copies, Copy{Source: p.Source, Record: Record{
			Kind: p.Kind, Seq: e.Seq, Time: e.Time, Hash: e.Hash, Session: p.Session, Message: p.Message, Text: p.Text,
		}})
	}
	return copies, chain.HeadOf(entries), err
}
