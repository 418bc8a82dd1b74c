package verify

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/sotaloop/sotaloop/internal/loop"
)

// mostTraceBytes bounds the trace files that are analysed again, smallest first: large ones take longer than a person
// waits.
const mostTraceBytes = 512 << 20

// traces computes the tables of every trace again, up to a size, and renders their text from them.
func (v *verifier) traces() (string, error) {
	list := slices.Clone(v.state.Traces)
	slices.SortStableFunc(list, func(a, b loop.TraceCaptured) int { return int(a.File.Size - b.File.Size) })
	done, skipped, kept, size := 0, 0, 0, int64(0)
	for _, t := range list {
		rec, ok := v.state.Analyses[t.ID]
		if !ok {
			continue
		}
		stored, err := v.read(rec.Tables)
		if err != nil {
			return "", err
		}
		mapping, _ := v.state.Trace(rec.Mapping)
		if t.File.OnHost || mapping.File.OnHost {
			v.res.note("the tables of %s are not recomputed: it is kept on its host, sha256 %s", t.ID, t.File.SHA256)
			kept++
			continue
		}
		if v.leftOut(t.File.Artifact) || v.leftOut(mapping.File.Artifact) {
			v.res.note("the tables of %s are not recomputed: it is too large for a bundle and stays in the run directory, sha256 %s", t.ID, t.File.SHA256)
			kept++
			continue
		}
		if size += t.File.Size; size > mostTraceBytes {
			skipped++
			continue
		}
		a, err := v.state.Tables(v.ctx, rec, v.files)
		if err != nil {
			return "", fmt.Errorf("%s: %w", t.File.Name, err)
		}
		if err := equal(a, stored); err != nil {
			return "", fmt.Errorf("%s: %w", rec.Tables.Name, err)
		}
		text, err := loop.Markdown(a)
		if err != nil {
			return "", err
		}
		if got, err := v.read(rec.Markdown); err != nil || !bytes.Equal(text, got) {
			return "", fmt.Errorf("%s is not what its tables give", rec.Markdown.Name)
		}
		done++
	}
	if skipped > 0 {
		v.res.note("the tables of %d traces are not recomputed: their files are large; run `sotaloop trace analyze` on them", skipped)
	}
	if kept > 0 {
		return fmt.Sprintf("tables of %d traces, %d not in reach", done, kept), nil
	}
	return fmt.Sprintf("tables of %d traces", done), nil
}
