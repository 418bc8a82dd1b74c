// Package policy reads the engineer's policy file: what the server may do beyond its safe defaults. A file that others
// can write is refused, since whoever writes it decides.
package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/goccy/go-yaml"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Policy is what the file allows; the zero value is the default, which allows the least.
type Policy struct {
	// Flags lists, by framework, flags of free text that a search may set although no list of ours knows them.
	Flags map[string][]string `yaml:"flags"`
	// TrustRemoteCode lists checkpoints, as model@revision, whose own code engines may run.
	TrustRemoteCode []string `yaml:"trust_remote_code"`
	// RequireIndependent refuses approvals that the agent's own account could have made.
	RequireIndependent bool `yaml:"require_independent"`
	// ReadOnly refuses every tool that starts or changes anything.
	ReadOnly bool `yaml:"read_only"`

	digest string
}

// Digest is the SHA-256 of the file's bytes in hex; of no bytes where there is none.
func (p Policy) Digest() string {
	if p.digest == "" {
		sum := sha256.Sum256(nil)
		return hex.EncodeToString(sum[:])
	}
	return p.digest
}

// Read reads the policy at path; a missing file is the default policy.
func Read(path string) (Policy, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Policy{}, nil
	}
	if err != nil {
		return Policy{}, fault.Wrap(fault.InvalidInput, err, "cannot read the policy file").At(path, path)
	}
	if err := private(path); err != nil {
		return Policy{}, err
	}
	return Parse(raw, path)
}

// Parse reads a policy; unknown keys are refused with line and column.
func Parse(raw []byte, path string) (Policy, error) {
	var p Policy
	dec := yaml.NewDecoder(bytes.NewReader(raw), yaml.DisallowUnknownField())
	if err := dec.Decode(&p); err != nil && len(bytes.TrimSpace(raw)) > 0 {
		return Policy{}, fault.New(fault.InvalidInput, "policy file %s: %s", path, yaml.FormatError(err, false, false)).
			At(path, "", "flags", "trust_remote_code", "require_independent", "read_only")
	}
	sum := sha256.Sum256(raw)
	p.digest = hex.EncodeToString(sum[:])
	return p, nil
}

// private refuses a file that its group or others may write.
func private(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fault.New(fault.Denied, "policy file %s can be written by others (mode %04o)", path, mode).
			At(path, fmt.Sprintf("%04o", mode), "0644", "0600").Hint("chmod go-w %s", path)
	}
	return nil
}
