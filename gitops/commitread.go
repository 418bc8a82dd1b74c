package gitops

import (
	"errors"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// CommitRecord is a commit object taken apart.
type CommitRecord struct {
	ID       string // of exactly these bytes
	Tree     string
	Parents  []string
	Message  string
	Trailers [][2]string // keys and values of the last paragraph, in order
}

// Trailer gives the value of the only trailer of that key, "" where there is none or more than one.
func (c CommitRecord) Trailer(key string) string {
	found := ""
	for _, t := range c.Trailers {
		if strings.EqualFold(t[0], key) {
			if found != "" {
				return ""
			}
			found = t[1]
		}
	}
	return found
}

// ReadCommit takes the bytes of a commit object apart, without header, as CommitObject gives them. The id is computed: it
// is git's for these bytes and no others.
func ReadCommit(raw []byte) (CommitRecord, error) {
	obj := newObject(plumbing.CommitObject, raw)
	var c object.Commit
	if err := c.Decode(&obj); err != nil {
		return CommitRecord{}, fmt.Errorf("decode commit object: %w", err)
	}
	if c.TreeHash.IsZero() || !strings.HasPrefix(string(raw), "tree ") {
		return CommitRecord{}, errors.New("not a commit object")
	}
	out := CommitRecord{ID: obj.Hash().String(), Tree: c.TreeHash.String(), Parents: []string{}, Message: c.Message, Trailers: trailersOf(c.Message)}
	for _, p := range c.ParentHashes {
		out.Parents = append(out.Parents, p.String())
	}
	return out, nil
}

// trailersOf reads the last paragraph, if every line of it is a trailer and it is not the only one.
func trailersOf(message string) [][2]string {
	paragraphs := strings.Split(strings.TrimRight(message, "\n"), "\n\n")
	if len(paragraphs) < 2 {
		return nil
	}
	var out [][2]string
	for line := range strings.SplitSeq(paragraphs[len(paragraphs)-1], "\n") {
		key, value, ok := strings.Cut(line, ": ")
		if !ok || !trailerKey.MatchString(key) {
			return nil
		}
		out = append(out, [2]string{key, value})
	}
	return out
}

// CommitObject gives the bytes of a commit as git stores them, without header.
func (r *Repo) CommitObject(commit string) ([]byte, error) {
	return r.objects.content(plumbing.CommitObject, plumbing.NewHash(commit))
}
