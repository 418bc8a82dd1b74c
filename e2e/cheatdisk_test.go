//go:build linux

package e2e_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

func (p *actor) path(text string) string {
	p.t.Helper()
	path := p.expand(text)
	require.True(p.t, strings.HasPrefix(path, p.r.base), "%s is outside of the scenario's world", path)
	p.touched = true
	return path
}

// write PATH TEXT replaces a file.
func (p *actor) write(text string) {
	p.t.Helper()
	w := p.words(text)
	require.Len(p.t, w, 2, text)
	require.NoError(p.t, os.MkdirAll(filepath.Dir(p.path(w[0])), 0o755))
	require.NoError(p.t, os.WriteFile(p.path(w[0]), []byte(w[1]), 0o600))
}

// appendTo PATH TEXT adds to a file.
func (p *actor) appendTo(text string) {
	p.t.Helper()
	w := p.words(text)
	require.Len(p.t, w, 2, text)
	raw, err := os.ReadFile(p.path(w[0]))
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(p.path(w[0]), append(raw, w[1]...), 0o600))
}

// edit PATH OLD NEW replaces OLD everywhere in a file; it has to be there.
func (p *actor) edit(text string) {
	p.t.Helper()
	w := p.words(text)
	require.Len(p.t, w, 3, text)
	info, err := os.Stat(p.path(w[0]))
	require.NoError(p.t, err)
	raw, err := os.ReadFile(w[0])
	require.NoError(p.t, err)
	require.Contains(p.t, string(raw), w[1], "nothing to edit in %s", w[0])
	require.NoError(p.t, os.Remove(w[0]))
	require.NoError(p.t, os.WriteFile(w[0], bytes.ReplaceAll(raw, []byte(w[1]), []byte(w[2])), info.Mode()))
}

func (p *actor) delete(text string) {
	p.t.Helper()
	path := p.path(text)
	_, err := os.Lstat(path)
	require.NoError(p.t, err)
	require.NoError(p.t, os.RemoveAll(path))
}

// link PATH TARGET puts a symbolic link in the place of a file.
func (p *actor) link(text string) {
	p.t.Helper()
	w := p.words(text)
	require.Len(p.t, w, 2, text)
	_ = os.Remove(p.path(w[0]))
	require.NoError(p.t, os.Symlink(w[1], w[0]))
}

// mode PATH OCTAL changes a file's mode.
func (p *actor) mode(text string) {
	p.t.Helper()
	w := p.words(text)
	require.Len(p.t, w, 2, text)
	bits, err := strconv.ParseUint(w[1], 8, 32)
	require.NoError(p.t, err)
	require.NoError(p.t, os.Chmod(p.path(w[0]), os.FileMode(bits)))
}

// verify checks the run directory offline: an attacker's has to be found out as expected, an honest one passes. What is
// given is verified instead, or added where it begins with a dash.
func (p *actor) verify(text string) {
	p.t.Helper()
	args := []string{"verify", fmt.Sprint(p.vars["run"]), "--approvers", filepath.Join(p.w.home, "config", "allowed_signers")}
	for i, word := range p.words(text) {
		switch {
		case i == 0 && strings.HasPrefix(word, "/"):
			args[1] = word
		case word == "--approvers":
			args = append(args[:2], word)
		default:
			args = append(args, word)
		}
	}
	out, code := p.w.cli(args...)
	p.last = answer{"output": out, "exit": code}
	if !p.attacker {
		require.Zero(p.t, code, "AN HONEST RUN WAS REFUSED: %s", out)
		return
	}
	require.NotZero(p.t, code, "THE CHEAT WORKED: verify found nothing: %s", out)
	for _, word := range p.expected() {
		require.Contains(p.t, out, word)
	}
	p.refusals++
}

// expected are the words that every refusal holds.
func (p *actor) expected() []string {
	p.t.Helper()
	var out []string
	for _, word := range p.s.expect.words {
		out = append(out, p.expand(word))
	}
	return out
}

// ledgerLine ACTION KIND edits the ledger at the first line of a kind, as somebody does who has an editor: cut takes the
// line away, double repeats it, swap lets it change places with the next one, truncate takes away what follows.
func (p *actor) ledgerLine(text string) {
	p.t.Helper()
	w := p.words(text)
	require.Len(p.t, w, 2, text)
	lines := p.ledger()
	at := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, `"kind":"`+w[1]+`"`) })
	require.GreaterOrEqual(p.t, at, 0, text)
	switch w[0] {
	case "cut":
		lines = slices.Delete(lines, at, at+1)
	case "double":
		lines = slices.Insert(lines, at, lines[at])
	case "swap":
		lines[at], lines[at+1] = lines[at+1], lines[at]
	case "truncate":
		lines = lines[:at+1]
	default:
		require.Fail(p.t, "unknown edit", text)
	}
	require.NoError(p.t, os.WriteFile(filepath.Join(fmt.Sprint(p.vars["run"]), "ledger.jsonl"), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}

// copyFile FROM TO puts a copy in the place of a file.
func (p *actor) copyFile(text string) {
	p.t.Helper()
	w := p.words(text)
	require.Len(p.t, w, 2, text)
	raw, err := os.ReadFile(p.path(w[0]))
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(p.path(w[1]), raw, 0o600))
}

// flip PATH PERCENT turns one bit at that share of a file.
func (p *actor) flip(text string) {
	p.t.Helper()
	w := p.words(text)
	require.Len(p.t, w, 2, text)
	share, err := strconv.Atoi(strings.TrimSuffix(w[1], "%"))
	require.NoError(p.t, err)
	raw, err := os.ReadFile(p.path(w[0]))
	require.NoError(p.t, err)
	raw[len(raw)*share/100] ^= 1
	require.NoError(p.t, os.WriteFile(w[0], raw, 0o600))
}

// forge N OLD NEW replaces text in the payload of the Nth line (from 1; "all" for every line) and chains the whole
// ledger again, head included, as somebody does who knows the format. NEW "" with OLD "" takes the line away.
func (p *actor) forge(text string) {
	p.t.Helper()
	w := p.words(text)
	require.Len(p.t, w, 3, text)
	var lines []string
	done := false
	for i, line := range p.ledger() {
		if w[0] == strconv.Itoa(i+1) || w[0] == "all" || strings.Contains(line, `"kind":"`+w[0]+`"`) && !done {
			if w[1] == "" {
				done = true
				continue
			}
			changed := strings.ReplaceAll(line, w[1], w[2])
			done, line = done || changed != line, changed
		}
		lines = append(lines, line)
	}
	require.True(p.t, done, "nothing to forge: %s", text)
	rechain(p.t, fmt.Sprint(p.vars["run"]), lines)
}

// ledger gives the campaign's lines.
func (p *actor) ledger() []string {
	p.t.Helper()
	raw, err := os.ReadFile(p.path(filepath.Join(fmt.Sprint(p.vars["run"]), "ledger.jsonl")))
	require.NoError(p.t, err)
	return strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
}

// enter KIND PAYLOAD adds a line to the ledger, chained as it should be.
func (p *actor) enter(text string) {
	p.t.Helper()
	kind, payload, _ := strings.Cut(text, " ")
	var object map[string]any
	require.NoError(p.t, json.Unmarshal([]byte(p.expand(payload)), &object))
	raw, err := json.Marshal(object)
	require.NoError(p.t, err)
	line := fmt.Sprintf(`{"kind":%q,"v":1,"seq":1,"time":%q,"prev":%q,"payload":%s}`, kind, time.Now().UTC().Format(time.RFC3339Nano), strings.Repeat("0", 64), raw)
	rechain(p.t, fmt.Sprint(p.vars["run"]), append(p.ledger(), line))
}

// replace ARTIFACT OLD NEW edits a file of the run directory, and names what it became in the ledger, chained again.
func (p *actor) replace(text string) {
	p.t.Helper()
	w := p.words(text)
	require.Len(p.t, w, 3, text)
	file := p.path(filepath.Join(fmt.Sprint(p.vars["run"]), w[0]))
	old, err := os.ReadFile(file)
	require.NoError(p.t, err)
	require.Contains(p.t, string(old), w[1])
	fresh := bytes.ReplaceAll(old, []byte(w[1]), []byte(w[2]))
	require.NoError(p.t, os.WriteFile(file, fresh, 0o600))
	digest := func(raw []byte) string { sum := sha256.Sum256(raw); return hex.EncodeToString(sum[:]) }
	lines := p.ledger()
	for i := range lines {
		lines[i] = strings.ReplaceAll(lines[i], fmt.Sprintf(`%q,"size":%d`, digest(old), len(old)), fmt.Sprintf(`%q,"size":%d`, digest(fresh), len(fresh)))
		lines[i] = strings.ReplaceAll(lines[i], digest(old), digest(fresh))
	}
	rechain(p.t, fmt.Sprint(p.vars["run"]), lines)
}
