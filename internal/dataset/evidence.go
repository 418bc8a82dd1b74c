package dataset

import (
	"crypto/sha256"
	"io"
)

// Evidence names what was drawn, for the header of a point's records: whoever has the dataset or its index can draw
// again and compare.
type Evidence struct {
	Dataset string `json:"dataset"`
	Digest  string `json:"digest"` // of the drawn rows' digests, in the order of sending
	Rows    int    `json:"rows"`
	Warmup  int    `json:"warmup"`
}

// Evidence is a draw's: SHA-256 over sotaloop.dataset.drawn/1, a zero byte, and a line with the digest of each measured
// row, an empty line, and the same of the warm-up's.
func (ix *Index) Evidence(d Drawn) Evidence {
	h := sha256.New()
	_, _ = io.WriteString(h, "sotaloop.dataset.drawn/1\x00")
	for _, i := range d.Rows {
		_, _ = io.WriteString(h, ix.RowDigest(i)+"\n")
	}
	_, _ = io.WriteString(h, "\n")
	for _, i := range d.Warmup {
		_, _ = io.WriteString(h, ix.RowDigest(i)+"\n")
	}
	return Evidence{Dataset: ix.Digest, Digest: name([32]byte(h.Sum(nil))), Rows: len(d.Rows), Warmup: len(d.Warmup)}
}
