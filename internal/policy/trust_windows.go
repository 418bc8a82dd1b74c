package policy

import (
	"os"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// Account is who a process runs as. Permissions of this system are not judged.
type Account struct{}

// Self is this process's account.
func Self() Account { return Account{} }

// ReadFile reads a file that decides.
func (Account) ReadFile(path, what string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil && !missing(err) {
		return nil, fault.Wrap(fault.InvalidInput, err, "cannot read the %s", what).At(path, path)
	}
	return raw, err
}

// Exposed says why the account could change the file at path: here it is always assumed to be able to.
func (Account) Exposed(path string) string {
	return "permissions of " + path + " are not judged on this system"
}
