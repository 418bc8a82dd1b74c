package server

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// exact is the largest whole number below which every float64 is exact.
const exact = 1 << 53

// scalar reads a string, number or truth value.
func (d *decoder) scalar(v reflect.Value, n node, at slot) error {
	n = d.only(n, at, text, digits, truth)
	switch v.Kind() {
	case reflect.String:
		return d.str(v, n, at)
	case reflect.Bool:
		b, ok := map[string]bool{"true": true, "false": false}[strings.ToLower(strings.TrimSpace(n.text))]
		if !ok || n.kind != truth && n.kind != text {
			return wrongType(v.Type(), n, at)
		}
		if n.kind == text {
			d.warn(at, n, strconv.FormatBool(b))
		}
		v.SetBool(b)
		return nil
	case reflect.Int, reflect.Int64, reflect.Int32:
		whole, ok := wholeNumber(n)
		if !ok || v.OverflowInt(whole) {
			return wrongType(v.Type(), n, at)
		}
		if n.kind == text {
			d.warn(at, n, fmt.Sprintf("the number %d", whole))
		}
		v.SetInt(whole)
		return inRange(float64(whole), n, at)
	case reflect.Float64:
		x, ok := number(n)
		if !ok {
			return wrongType(v.Type(), n, at)
		}
		if n.kind == text {
			d.warn(at, n, "the number "+strconv.FormatFloat(x, 'g', -1, 64))
		}
		v.SetFloat(x)
		return inRange(x, n, at)
	}
	return fmt.Errorf("field %s: inputs of type %s are not supported", at, v.Type())
}

// str reads a string, or a number or truth value as it is written.
func (d *decoder) str(v reflect.Value, n node, at slot) error {
	switch n.kind {
	case text:
	case digits, truth:
		d.warn(at, n, "the string "+strconv.Quote(n.text))
	default:
		return wrongType(v.Type(), n, at)
	}
	if want := at.field.enum; len(want) > 0 && !slices.Contains(want, n.text) {
		if bare := strings.TrimSpace(n.text); slices.Contains(want, bare) {
			d.warn(at, n, strconv.Quote(bare))
			v.SetString(bare)
			return nil
		}
		f := fault.New(fault.InvalidInput, "%s is %q, which is not one of its values", at, n.text).At(at.path, n.text, want...)
		if near := nearest(n.text, want); near != "" {
			return f.Hint("did you mean %q?", near)
		}
		return f.Hint("give one of the values listed in want")
	}
	v.SetString(n.text)
	return nil
}

// number reads n as a finite number.
func number(n node) (float64, bool) {
	if n.kind != digits && n.kind != text {
		return 0, false
	}
	x, err := strconv.ParseFloat(strings.TrimSpace(n.text), 64)
	return x, err == nil && !math.IsInf(x, 0) && !math.IsNaN(x) && !strings.ContainsAny(n.text, "xX_pP")
}

// wholeNumber reads n as a whole number; 4.0 and 4e3 are whole too.
func wholeNumber(n node) (int64, bool) {
	x, ok := number(n)
	if !ok {
		return 0, false
	}
	if whole, err := strconv.ParseInt(strings.TrimSpace(n.text), 10, 64); err == nil {
		return whole, true
	}
	return int64(x), x == math.Trunc(x) && math.Abs(x) < exact
}

// inRange checks the bounds that the field declares.
func inRange(x float64, n node, at slot) error {
	low, high := at.field.min, at.field.max
	if (low == nil || x >= *low) && (high == nil || x <= *high) {
		return nil
	}
	var want string
	switch {
	case low != nil && high != nil:
		want = fmt.Sprintf("%v to %v", *low, *high)
	case low != nil:
		want = fmt.Sprintf("%v or more", *low)
	default:
		want = fmt.Sprintf("%v or less", *high)
	}
	return fault.New(fault.InvalidInput, "%s is %s, expected %s", at, n.text, want).At(at.path, n.text, want).Hint("give %s", want)
}
