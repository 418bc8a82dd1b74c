// Package transcripts records every MCP message of a server process and copies out what belongs to one campaign.
//
// Each process writes its own hash chain, <dir>/<utc>-<pid>.jsonl, in the format of package chain. A line holds one
// redacted message as it came or went: answered, refused, undecodable, or for a tool that does not exist. A record is
// written before the message is acted upon or sent, so that a killed process leaves no act without its record.
//
// A transcript is a conversation to read, not evidence: the ledger is.
package transcripts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/sotaloop/sotaloop/internal/chain"
)

// Kinds of records.
const (
	Received    = "message.received" // a JSON message of the client
	Sent        = "message.sent"     // a JSON message of the server
	Undecodable = "bytes.received"   // what the client sent is not JSON
)

// Record is one message.
type Record struct {
	Kind    string
	Seq     int
	Time    time.Time // UTC
	Hash    string    // of the record's line
	Session string    // which conversation: "stdio", or one HTTP exchange
	Message json.RawMessage
	Text    string // instead of Message, where it is no JSON
}

// payload is a record on disk.
type payload struct {
	Session string          `json:"session"`
	Message json.RawMessage `json:"message,omitempty"`
	Text    string          `json:"text,omitempty"`
}

// kinds are what a process's chain may hold.
func kinds() chain.Kinds { return chain.Kinds{Received: 1, Sent: 1, Undecodable: 1} }

// Read verifies the chain at path and gives its records, those before the first error with it. torn counts the bytes
// of a last line that was not finished.
func Read(path string) (records []Record, torn int, err error) {
	entries, torn, err := chain.Read(path, kinds())
	for _, e := range entries {
		r, bad := decode(e)
		if bad != nil {
			return records, torn, &chain.CorruptError{Path: path, Line: e.Seq, Err: bad}
		}
		records = append(records, r)
	}
	return records, torn, err
}

// open reads a server's own transcript. A last line that is being written is left out.
func open(raw []byte) (records []Record, err error) {
	entries, _, err := chain.Decode(bytes.NewReader(raw), kinds())
	for _, e := range entries {
		r, bad := decode(e)
		if bad != nil {
			return records, &chain.CorruptError{Line: e.Seq, Err: bad}
		}
		records = append(records, r)
	}
	return records, err
}

// decode gives an entry as a record.
func decode(e chain.Entry) (Record, error) {
	var p payload
	if err := chain.Strict(e.Payload, &p); err != nil {
		return Record{}, fmt.Errorf("payload: %w", err)
	}
	return Record{Kind: e.Kind, Seq: e.Seq, Time: e.Time, Hash: e.Hash, Session: p.Session, Message: p.Message, Text: p.Text}, nil
}
