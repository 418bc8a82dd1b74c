package gitops

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"
)

// decodeStrict decodes one JSON object into a struct. encoding/json alone ignores letter case in keys and lets a
// repeated key win silently; here every key must be spelt as tagged, stand once, and none may be missing.
func decodeStrict(raw []byte, out any) error {
	if !utf8.Valid(raw) {
		return errors.New("not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := checkKeys(dec, reflect.TypeOf(out).Elem(), "statement"); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("bytes follow the object")
	}
	return json.Unmarshal(raw, out)
}

// checkKeys reads one value that is to become a t and compares its keys with t's tags, recursively.
func checkKeys(dec *json.Decoder, t reflect.Type, at string) error {
	token, err := dec.Token()
	if err != nil {
		return err
	}
	delim, _ := token.(json.Delim)
	switch {
	case token == nil:
		return fmt.Errorf("%s is null", at)
	case delim == '[' && t.Kind() == reflect.Slice:
		for dec.More() {
			if err := checkKeys(dec, t.Elem(), at+"[]"); err != nil {
				return err
			}
		}
		_, err = dec.Token()
		return err
	case delim == '{' && t.Kind() == reflect.Struct:
		return checkFields(dec, t, at)
	case delim != 0:
		return fmt.Errorf("%s is an object or a list", at)
	}
	return nil // kinds of plain values are json.Unmarshal's business
}

func checkFields(dec *json.Decoder, t reflect.Type, at string) error {
	fields := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		fields[name] = f.Type
	}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string)
		kind, ok := fields[key]
		if !ok {
			return fmt.Errorf("field %q of %s is unknown or repeated", key, at)
		}
		delete(fields, key)
		if err := checkKeys(dec, kind, key); err != nil {
			return err
		}
	}
	for name := range fields {
		return fmt.Errorf("field %q of %s is missing", name, at)
	}
	_, err := dec.Token()
	return err
}
