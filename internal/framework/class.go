package framework

import "strings"

// table is what an adapter knows of flags by name (see key): classes that kinds alone do not tell, and kinds that the
// help does not show.
type table struct {
	contract  []string
	host      []string
	forbidden []string
	pinned    []string
	search    map[string]string // knob → kind; "" leaves the help's
	roles     map[string]string
}

// class applies a table: named flags first, then by kind. An unlisted boolean, number or enumeration is a search knob;
// an unlisted free string or JSON is unlisted.
func (t table) class(f Flag) FlagClass {
	k := key(f.Name)
	for _, name := range append([]string{f.Name}, f.Aliases...) {
		n := key(name)
		switch {
		case has(t.contract, n):
			return ClassContract
		case has(t.host, n):
			return ClassHost
		case has(t.forbidden, n):
			return ClassForbidden
		case has(t.pinned, n):
			return ClassPinned
		}
	}
	if _, ok := t.search[k]; ok {
		return ClassSearch
	}
	for _, word := range []string{"path", "file", "dir", "url", "uri", "key", "cert", "token", "plugin", "module", "middleware", "hook", "class", "script", "socket"} {
		for _, part := range strings.Split(k, "-") {
			if part == word && f.Kind != KindBool && f.Kind != KindInt && f.Kind != KindFloat && f.Kind != KindEnum {
				return ClassForbidden
			}
		}
	}
	switch f.Kind {
	case KindBool, KindInt, KindFloat, KindEnum:
		return ClassSearch
	}
	return ClassUnlisted
}

// refine gives a help's flags the kinds that the table knows.
func (t table) refine(h Help) Help {
	for i := range h.Flags {
		if kind := t.search[key(h.Flags[i].Name)]; kind != "" && h.Flags[i].Kind == KindString {
			h.Flags[i].Kind = kind
		}
		if has(t.pinned, key(h.Flags[i].Name)) && h.Flags[i].Kind == KindString {
			h.Flags[i].Kind = KindFloat
		}
	}
	return h
}

func (t table) role(name string) string { return t.roles[key(name)] }

func has(list []string, k string) bool {
	for _, x := range list {
		if x == k {
			return true
		}
	}
	return false
}
