package verify

import "errors"

// policy checks the bytes of the policy that the campaign was opened under, and that what the ledger tells keeps to it.
func (v *verifier) policy() (string, error) {
	what, err := v.state.HeldToPolicy(v.read)
	if err == nil && what == "" {
		what = "none was kept"
	}
	if err == nil && v.state.Policy != nil && v.state.Contract.Policy == "" {
		err = errors.New("a policy was kept that the contract does not name")
	}
	return what, err
}
