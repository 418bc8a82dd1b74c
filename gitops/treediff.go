package gitops

import (
	"bytes"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// FileChange is what a proposal does to one file. Ids and digests are empty on the side where the file is not.
type FileChange struct {
	Path         string      `json:"path"`
	OldBlob      string      `json:"old_blob"`
	NewBlob      string      `json:"new_blob"`
	OldSHA256    string      `json:"old_sha256"`
	NewSHA256    string      `json:"new_sha256"`
	Mode         string      `json:"mode"` // 100644 or 100755
	AddedLines   int         `json:"added_lines"`
	RemovedLines int         `json:"removed_lines"`
	Touched      []LineRange `json:"touched"`
}

// LineRange is one run of changed lines: OldLines lines from OldStart became NewLines lines from NewStart. Starts
// count from 1; a side without lines starts at the line before the place.
type LineRange struct {
	OldStart int `json:"old_start"`
	OldLines int `json:"old_lines"`
	NewStart int `json:"new_start"`
	NewLines int `json:"new_lines"`
}

// Diff renders the unified diff between two commits or trees (full ids) and describes its files, both in the order
// of paths. The text depends on the trees alone. Only changes that a patch could make are rendered: anything else
// (links, submodules, modes, binary content) is an invalid_input fault.
func (r *Repo) Diff(base, result string) ([]byte, []FileChange, error) {
	from, err := r.treeOf(base)
	if err != nil {
		return nil, nil, err
	}
	to, err := r.treeOf(result)
	if err != nil {
		return nil, nil, err
	}
	pairs, err := r.compareTrees(from, to, "")
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(pairs, func(a, b leafPair) int { return bytes.Compare([]byte(a.path), []byte(b.path)) })
	var out bytes.Buffer
	files := make([]FileChange, 0, len(pairs))
	for _, p := range pairs {
		f, err := r.renderPair(&out, p)
		if err != nil {
			return nil, nil, err
		}
		files = append(files, f)
	}
	return out.Bytes(), files, nil
}

// leafPair is one path that differs between two trees; a missing side is zero.
type leafPair struct {
	path     string
	from, to object.TreeEntry
}

// compareTrees lists the leaves that differ. The prefix is empty or ends in a slash; a zero tree is empty.
func (r *Repo) compareTrees(from, to plumbing.Hash, prefix string) ([]leafPair, error) {
	if from == to {
		return nil, nil
	}
	sides := map[string]*leafPair{}
	var names []string
	for i, id := range []plumbing.Hash{from, to} {
		if id.IsZero() {
			continue
		}
		entries, err := r.objects.tree(id)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if sides[e.Name] == nil {
				sides[e.Name] = &leafPair{path: prefix + e.Name}
				names = append(names, e.Name)
			}
			*[]*object.TreeEntry{&sides[e.Name].from, &sides[e.Name].to}[i] = e
		}
	}
	var out []leafPair
	for _, name := range names {
		p := *sides[name]
		if p.from.Hash == p.to.Hash && p.from.Mode == p.to.Mode {
			continue
		}
		var oldTree, newTree plumbing.Hash
		if p.from.Mode == filemode.Dir {
			oldTree, p.from = p.from.Hash, object.TreeEntry{}
		}
		if p.to.Mode == filemode.Dir {
			newTree, p.to = p.to.Hash, object.TreeEntry{}
		}
		below, err := r.compareTrees(oldTree, newTree, p.path+"/")
		if err != nil {
			return nil, err
		}
		if out = append(out, below...); p.from.Mode != 0 || p.to.Mode != 0 {
			out = append(out, p)
		}
	}
	return out, nil
}

// renderPair renders one file and describes its change.
func (r *Repo) renderPair(out *bytes.Buffer, p leafPair) (FileChange, error) {
	from, err := r.side(p.path, p.from)
	if err != nil {
		return FileChange{}, err
	}
	to, err := r.side(p.path, p.to)
	if err != nil {
		return FileChange{}, err
	}
	if from.mode != 0 && to.mode != 0 && from.mode != to.mode {
		return FileChange{}, unpatchable(p.path, "changes its mode")
	}
	f := FileChange{Path: p.path, Mode: modeText(max(from.mode, to.mode)), Touched: []LineRange{}}
	if from.mode != 0 {
		f.OldBlob, f.OldSHA256 = from.blob.String(), sha256Hex(from.content)
	}
	if to.mode != 0 {
		f.NewBlob, f.NewSHA256 = to.blob.String(), sha256Hex(to.content)
	}
	for _, c := range renderFile(out, p.path, from, to) {
		f.RemovedLines += c.aTo - c.aFrom
		f.AddedLines += c.bTo - c.bFrom
		f.Touched = append(f.Touched, LineRange{
			OldStart: startOf(c.aFrom+1, c.aTo-c.aFrom), OldLines: c.aTo - c.aFrom,
			NewStart: startOf(c.bFrom+1, c.bTo-c.bFrom), NewLines: c.bTo - c.bFrom,
		})
	}
	return f, nil
}

// side reads one version of a file.
func (r *Repo) side(path string, e object.TreeEntry) (side, error) {
	if e.Mode == 0 {
		return side{}, nil
	}
	if !isRegular(e.Mode) {
		return side{}, unpatchable(path, "is "+describeMode(e.Mode))
	}
	content, err := r.objects.content(plumbing.BlobObject, e.Hash)
	if err == nil && bytes.IndexByte(content, 0) >= 0 {
		err = unpatchable(path, "is binary")
	}
	return side{mode: e.Mode, blob: e.Hash, content: content}, err
}

func unpatchable(path, why string) error {
	return fault.New(fault.InvalidInput, "%q %s", path, why).ByRule(RulePaths).At("path", path).
		Hint("touch regular text files only, and leave their modes")
}
