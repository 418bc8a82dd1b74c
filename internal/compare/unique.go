package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// uniqueKeys refuses objects that name a key twice, also in another case: encoding/json would let the last one win
// and readers would disagree about what the row says.
func uniqueKeys(raw []byte) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := uniqueIn(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("more than one JSON value on the line")
	}
	return nil
}

// deepest bounds nesting, so that hostile rows end early.
const deepest = 32

func uniqueIn(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth == deepest {
		return fmt.Errorf("nested more than %d deep", deepest)
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			folded := strings.ToLower(strings.ToUpper(key.(string))) // folds as encoding/json does: ſ is s, K is k
			if seen[folded] {
				return fmt.Errorf("key %q twice", key)
			}
			seen[folded] = true
		}
		if err := uniqueIn(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
