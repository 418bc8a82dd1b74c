package trace

import "strings"

// symbol is a kernel's name taken apart: what its function, the namespaces around it and its template
// arguments are called, each as words.
type symbol struct {
	function  string
	scope     string
	templates string
}

// parseSymbol takes a kernel's name apart. C++ names are demangled or (where the profiler could not)
// mangled; Triton's and cuBLAS's are plain.
func parseSymbol(name string) symbol {
	if strings.HasPrefix(name, "_ZN") || strings.HasPrefix(name, "_Z") && len(name) > 2 && isDigit(name[2]) {
		return parseMangled(name)
	}
	name = strings.ReplaceAll(name, "(anonymous namespace)", "anonymous")
	name = strings.ReplaceAll(name, "<unnamed>", "anonymous")
	name = lastToken(cutArguments(name))
	path := splitScopes(name)
	last := path[len(path)-1]
	function, templates, _ := strings.Cut(last, "<")
	return symbol{
		function:  words(function),
		scope:     words(strings.Join(path[:len(path)-1], " ")),
		templates: words(templates),
	}
}

// cutArguments drops the parameter list of a demangled function.
func cutArguments(name string) string {
	depth := 0
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '<':
			depth++
		case '>':
			depth--
		case '(':
			if depth <= 0 && i > 0 {
				return name[:i]
			}
			if depth > 0 {
				depth++
			}
		case ')':
			if depth > 0 {
				depth--
			}
		}
	}
	return name
}

// lastToken drops the return type: what stands before the last space outside of brackets.
func lastToken(name string) string {
	depth, at := 0, 0
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '<', '(', '{':
			depth++
		case '>', ')', '}':
			depth--
		case ' ':
			if depth <= 0 && i+1 < len(name) {
				at = i + 1
			}
		}
	}
	return name[at:]
}

// splitScopes splits a qualified name at "::" outside of brackets.
func splitScopes(name string) []string {
	var path []string
	depth, from := 0, 0
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '<', '(', '{':
			depth++
		case '>', ')', '}':
			depth--
		case ':':
			if depth <= 0 && i+1 < len(name) && name[i+1] == ':' {
				path = append(path, name[from:i])
				i++
				from = i + 1
			}
		}
	}
	return append(path, name[from:])
}

// parseMangled reads the nested name at the head of an Itanium-mangled symbol; the rest are templates.
func parseMangled(name string) symbol {
	rest := strings.TrimPrefix(strings.TrimPrefix(name, "_Z"), "N")
	var path []string
	for {
		n, digits := 0, 0
		for digits < len(rest) && isDigit(rest[digits]) && digits < 4 {
			n = n*10 + int(rest[digits]-'0')
			digits++
		}
		if digits == 0 || n == 0 || digits+n > len(rest) {
			break
		}
		path = append(path, rest[digits:digits+n])
		rest = rest[digits+n:]
	}
	if len(path) == 0 {
		return symbol{function: words(name), scope: " ", templates: " "}
	}
	return symbol{
		function:  words(path[len(path)-1]),
		scope:     words(strings.Join(path[:len(path)-1], " ")),
		templates: words(rest),
	}
}
