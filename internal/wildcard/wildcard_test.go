package wildcard_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/wildcard"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "a/b c\n", true}, {"?", "", false}, {"?", "a", true}, {"a*", "ba", false},
		{"*.example", "a.example", true}, {"*.example", "a.example.org", false}, {"a*b*c", "aXbYbZc", true}, {"a*b?c", "abbbc", true}, {"a**c", "ac", true},
		{"a.c", "abc", false}, {"[a]", "a", false}, {"A", "a", false}, {"a*", "a", true}, {"*a", "ab", false},
		{strings.Repeat("*a", 50) + "b", strings.Repeat("a", 5000), false},
	} {
		require.Equal(t, c.want, wildcard.Match(c.pattern, c.s), "%q %q", c.pattern, c.s)
	}
}
