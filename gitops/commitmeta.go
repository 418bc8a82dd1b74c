package gitops

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Person is an author.
type Person struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// CommitMeta is what a commit says beside its tree. Trailers are keys and values, in order; the message must not
// hold a line that reads like one of them.
type CommitMeta struct {
	Message  string
	Trailers [][2]string
	Author   Person    // also the committer
	When     time.Time // recorded in UTC, to the second
}

var trailerKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

// text joins message and trailers as git interpret-trailers would: the trailers are the last paragraph.
func (m CommitMeta) text() (string, error) {
	body := strings.TrimSpace(m.Message)
	if body == "" || strings.ContainsAny(body, "\x00\r") {
		return "", fault.New(fault.InvalidInput, "commit message %q is empty or holds control characters", body).At("message", body)
	}
	var b strings.Builder
	b.WriteString(body + "\n")
	for i, t := range m.Trailers {
		key, value := t[0], t[1]
		if !trailerKey.MatchString(key) || value == "" || strings.TrimSpace(value) != value || strings.ContainsAny(value, "\x00\r\n") {
			return "", fault.New(fault.InvalidInput, "trailer %q: %q is not one line of key and value", key, value).At("trailers", key)
		}
		for line := range strings.Lines(strings.ToLower(body)) {
			if strings.HasPrefix(strings.TrimSpace(line), strings.ToLower(key)+":") {
				return "", fault.New(fault.InvalidInput, "commit message holds a line that reads like the trailer %q", key).
					At("message", strings.TrimSpace(line)).Hint("reword the line")
			}
		}
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s: %s\n", key, value)
	}
	return b.String(), nil
}

// encode writes the commit object; the parent is zero for a first commit.
func (m CommitMeta) encode(tree, parent plumbing.Hash) ([]byte, error) {
	text, err := m.text()
	if err != nil {
		return nil, err
	}
	for _, part := range []string{m.Author.Name, m.Author.Email} {
		if strings.TrimSpace(part) == "" || strings.ContainsAny(part, "<>\x00\r\n") {
			return nil, fault.New(fault.InvalidInput, "author %q <%q> is not a name and an address", m.Author.Name, m.Author.Email).At("author", part)
		}
	}
	who := fmt.Sprintf("%s <%s> %d +0000", strings.TrimSpace(m.Author.Name), strings.TrimSpace(m.Author.Email), m.When.Unix())
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", tree)
	if !parent.IsZero() {
		fmt.Fprintf(&b, "parent %s\n", parent)
	}
	fmt.Fprintf(&b, "author %s\ncommitter %s\n\n%s", who, who, text)
	return []byte(b.String()), nil
}
