package bench

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
)

// Gaps are the times between the content events of one request, in whole microseconds. They are differences of rounded
// times, so that they add up. In JSON they are the base64 of unsigned varints: about four bytes a gap.
type Gaps []uint32

// errGaps says that stored gaps cannot be read.
var errGaps = errors.New("gaps are not base64 of varints below 2³²")

// MarshalJSON packs the gaps.
func (g Gaps) MarshalJSON() ([]byte, error) {
	packed := make([]byte, 0, 3*len(g))
	for _, gap := range g {
		packed = binary.AppendUvarint(packed, uint64(gap))
	}
	return json.Marshal(base64.RawStdEncoding.EncodeToString(packed))
}

// UnmarshalJSON unpacks what MarshalJSON packed.
func (g *Gaps) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return errGaps
	}
	packed, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return errGaps
	}
	out := make(Gaps, 0, len(packed)/2)
	for len(packed) > 0 {
		v, n := binary.Uvarint(packed)
		if n <= 0 || v > 1<<32-1 {
			return errGaps
		}
		out = append(out, uint32(v))
		packed = packed[n:]
	}
	*g = out
	return nil
}
