package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// noSecret is the rule that arguments are held to.
const noSecret = "flow.no-secret" //nolint:gosec // the name of a rule

// withoutSecrets refuses arguments that hold what looks like a credential. What a caller sends is kept, in the ledger, in
// transcripts and in signed statements, where nothing can be taken out again; an engine gets secrets by name only.
func (s *Server) withoutSecrets(raw json.RawMessage, t reflect.Type) error {
	if bytes.Equal(s.opts.Redact.JSON(raw), raw) {
		return nil
	}
	field, kind := "arguments", ""
	if n, err := parse(raw); err == nil {
		for _, m := range n.members {
			if clean := s.opts.Redact.JSON(m.raw); !bytes.Equal(clean, m.raw) {
				field, kind = m.name, kindIn(clean)
			}
		}
	}
	f := fault.New(fault.RuleViolation, "%q holds what looks like a secret%s: nothing was done, and its value was not kept", field, kind).
		ByRule(noSecret).At(field, "[redacted]", "the same without it").
		Hint("secrets are the engineer's: an engine gets them by the variables' names, listed under secrets of the host in hosts.yaml")
	if _, isPatch := t.FieldByName("Diff"); isPatch && field == "diff" {
		f.Hints = []string{"a patch is stored and signed as it is: take the credential out of it; where it stands in the repository already, give the hunk fewer lines of context"}
	}
	return f
}

// kindIn names the kind of the first secret that was taken out of a text.
func kindIn(clean []byte) string {
	if _, after, ok := strings.Cut(string(clean), "[redacted:"); ok {
		kind, _, _ := strings.Cut(after, "]")
		return fmt.Sprintf(" (%s)", kind)
	}
	return ""
}
