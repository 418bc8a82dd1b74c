package tools

import (
	"fmt"
	"maps"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// none is the word that says that there are no limits.
const none = "none"

// SLA are limits by key, or the word "none", as a string or as a key: forgetting limits must not look like waiving them.
type SLA map[string]float64

// UnmarshalText accepts the word "none".
func (s *SLA) UnmarshalText(text []byte) error {
	if string(text) != none {
		return fmt.Errorf("the only word for it is %q", none)
	}
	*s = SLA{none: 1}
	return nil
}

// limits gives the limits, and whether there are said to be none.
func (s SLA) limits() (contract.SLA, bool) {
	if _, said := s[none]; said && len(s) == 1 {
		return nil, true
	}
	return contract.SLA(maps.Clone(s)), false
}
