package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// SLA is a row's limits and what was said about them. Passed is for readers of the file only.
type SLA struct {
	Limits contract.SLA
	Passed *bool
}

// MarshalJSON writes the limits by name, then passed.
func (s SLA) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for _, key := range slices.Sorted(maps.Keys(s.Limits)) {
		raw, err := json.Marshal(s.Limits[key])
		if err != nil {
			return nil, fmt.Errorf("sla.%s: %w", key, err)
		}
		fmt.Fprintf(&b, "%q:%s,", key, raw)
	}
	passed := "null"
	if s.Passed != nil {
		passed = fmt.Sprint(*s.Passed)
	}
	b.WriteString(`"passed":` + passed + `}`)
	return b.Bytes(), nil
}

// UnmarshalJSON reads limits; null limits are none. Anything but a boolean under passed is ignored, since it is
// recomputed.
func (s *SLA) UnmarshalJSON(raw []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return err
	}
	s.Limits, s.Passed = contract.SLA{}, nil
	for key, v := range all {
		if key == "passed" {
			var passed bool
			if json.Unmarshal(v, &passed) == nil && string(v) != "null" {
				s.Passed = &passed
			}
			continue
		}
		var limit *float64
		if err := json.Unmarshal(v, &limit); err != nil {
			return fmt.Errorf("sla.%s: %w", key, err)
		}
		if limit != nil {
			s.Limits[key] = *limit
		}
	}
	return nil
}
