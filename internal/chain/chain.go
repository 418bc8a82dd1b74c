// Package chain keeps one hash-chained JSONL file: append under a lock, fsync, torn-tail recovery, verification.
//
// # Format
//
// A file is a sequence of lines, each one JSON object ended by a newline:
//
//	{"kind":"point.measured","v":1,"seq":3,"time":"2026-11-23T10:00:00.5Z","prev":"<64 hex>","payload":{…}}
//
// seq counts from 1 without gaps. prev is the SHA-256, in lower-case hex, of the raw bytes of the line before
// without its newline; the first line carries 64 zeros. A line's own hash is never stored in it. Decoding is
// strict: exact-case names, every field present once, no duplicate keys anywhere in the payload, no version newer
// than known.
//
// Bytes after the last newline are a torn line: a writer died inside its write. Readers report them and never
// count them; the next appender cuts them.
//
// An optional head file repeats the last seq and hash after each append. The file may be ahead of its head by one
// append (the writer died in between), never behind: a shorter file than its head has lost lines.
//
// Payloads belong to the callers.
package chain

import (
	"encoding/json"
	"time"
)

// Genesis is the prev of a chain's first line.
const Genesis = "0000000000000000000000000000000000000000000000000000000000000000"

// Entry is one verified line.
type Entry struct {
	Kind    string
	V       int
	Seq     int // from 1, without gaps
	Time    time.Time
	Prev    string // hex SHA-256 of the previous line
	Payload json.RawMessage
	Hash    string // hex SHA-256 of this line's raw bytes without the newline
}

// Pending is a line to be written; the chain gives it seq, time and prev.
type Pending struct {
	Kind    string
	V       int             // 0 means 1
	Payload json.RawMessage // an object; nil means {}
	Time    time.Time       // zero means now
}

// Kinds maps each known kind to its newest known version. A nil Kinds accepts every kind at version 1.
type Kinds map[string]int

// Options say where a chain's companions lie and what it may hold.
type Options struct {
	// LockPath is the lock file. It must not lie in a run directory. Its folder is made on demand and also holds
	// the head file's temporary twin, so it must be on the chain's file system. Empty: the chain has one writer,
	// this File, and is not locked.
	LockPath string
	// HeadPath is the head file; empty means none. It needs a LockPath.
	HeadPath string
	// Kinds are the kinds that may be read and written.
	Kinds Kinds
	// SkipSync leaves out fsync: a crash of the machine, not of the process, may lose the last lines.
	SkipSync bool
}
