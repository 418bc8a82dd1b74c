package policy

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Roots are the two folders where the files that decide may lie. What the system's folder has wins over the user's and
// over the environment.
type Roots struct {
	System string // the engineer's: /etc/sotaloop
	User   string
}

// Names of the files that decide.
const (
	HostsFile     = "hosts.yaml"
	PolicyFile    = "policy.yaml"
	ApproversFile = "allowed_signers"
)

// Files lists the files that decide.
var Files = []string{PolicyFile, HostsFile, ApproversFile}

// File is the path of a file that decides: the system's where it has one, or cannot be looked into, else the user's.
func (r Roots) File(name string) string {
	system := filepath.Join(r.System, name)
	if _, err := os.Lstat(system); err == nil || !missing(err) {
		return system
	}
	return filepath.Join(r.User, name)
}

// missing says that a file is not there, which a folder that cannot be looked into does not say.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// Trust is how far the account that a server runs in is from the files that decide.
type Trust struct {
	Protected bool
	Why       []string // per exposed file, why it is
}

// Levels of trust roots, as answers and reports show them.
const (
	RootsProtected   = "protected"
	RootsUnprotected = "unprotected"
)

// Level is the word for it.
func (t Trust) Level() string {
	if t.Protected {
		return RootsProtected
	}
	return RootsUnprotected
}

// Judge says whether account a could change the policy, the approvers or the hosts.
func (r Roots) Judge(a Account) Trust {
	t := Trust{Why: []string{}}
	for _, name := range Files {
		if why := a.Exposed(r.File(name)); why != "" {
			t.Why = append(t.Why, why)
		}
	}
	t.Protected = len(t.Why) == 0
	return t
}
