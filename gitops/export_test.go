package gitops

import "bytes"

// TextDiff renders the diff between two versions of a file called f.
func TextDiff(from, to []byte) []byte {
	var b bytes.Buffer
	renderFile(&b, "f", side{mode: 0o100644, content: from}, side{mode: 0o100644, content: to})
	return b.Bytes()
}

// ApplyText applies a patch's only file to a text.
func ApplyText(p *Patch, base []byte) ([]byte, error) { return p.files[0].apply(base) }
