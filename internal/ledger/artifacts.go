package ledger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// Artifacts finds the artifacts that a payload names: objects of name, sha256 and size and nothing else, wherever they
// stand.
func Artifacts(payload json.RawMessage) []Artifact {
	if !bytes.Contains(payload, []byte(`"sha256"`)) {
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(payload, &list) == nil {
		return collect(list)
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(payload, &object) != nil || object == nil {
		return nil
	}
	if len(object) == 3 && object["name"] != nil && object["sha256"] != nil && object["size"] != nil {
		var a Artifact
		if json.Unmarshal(payload, &a) == nil && a.Name != "" {
			return []Artifact{a}
		}
	}
	var members []json.RawMessage
	for _, key := range slices.Sorted(maps.Keys(object)) {
		members = append(members, object[key])
	}
	return collect(members)
}

func collect(list []json.RawMessage) []Artifact {
	var out []Artifact
	for _, m := range list {
		if len(m) > 0 && (m[0] == '{' || m[0] == '[') {
			out = append(out, Artifacts(m)...)
		}
	}
	return out
}

// Prefix hashes the first lines of a chain's file, newlines included.
func Prefix(r io.Reader, lines int) (sum string, size int64, err error) {
	in, hash := bufio.NewReaderSize(r, 1<<16), sha256.New()
	for n := 0; n < lines; {
		part, err := in.ReadSlice('\n')
		hash.Write(part)
		size += int64(len(part))
		switch {
		case err == nil:
			n++
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return "", 0, fmt.Errorf("%s has %d lines, not %d", ChainFile, n, lines)
		default:
			return "", 0, err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), size, nil
}
