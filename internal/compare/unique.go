package compare

import (
	"bytes"
	"encoding/json"
	"errors"
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
		name := ""
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			name = key.(string)
			folded := strings.ToLower(strings.ToUpper(name)) // folds as encoding/json does: ſ is s, K is k
			if seen[folded] {
				return fmt.Errorf("key %q twice", name)
			}
			seen[folded] = true
		}
		if err := uniqueIn(d, depth+1); err != nil {
			return within(name, err)
		}
	}
	_, err = d.Token()
	return err
}

// fieldError is an error with the path of the field that it is about.
type fieldError struct {
	path string
	err  error
}

func (e *fieldError) Error() string { return fmt.Sprintf("%s: %v", e.path, e.err) }

func (e *fieldError) Unwrap() error { return e.err }

// within names the field that an error was met in; inside a list it has none.
func within(name string, err error) error {
	var inner *fieldError
	switch {
	case name == "":
		return err
	case errors.As(err, &inner):
		return &fieldError{name + "." + inner.path, inner.err}
	}
	return &fieldError{name, err}
}
