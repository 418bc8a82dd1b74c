package genuine

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// trampoline is what pip writes where a shebang would be too long: a shell runs the second line.
var trampoline = regexp.MustCompile(`^#!/bin/sh\n'''exec' "?([^"\n]+?)"? "\$0" "\$@"`)

// programs describes the executable and, of a script, its interpreter.
func (l *look) programs() error {
	p, head, err := l.program(l.Program)
	if err != nil {
		return err
	}
	l.id.Program = p
	if isELF(head) {
		l.interpreter(p)
		return nil
	}
	if sums, listed := l.listed[l.Program]; !listed || !slices.ContainsFunc(sums, func(s string) bool { return s != "" }) {
		l.modified("the program %s is in no RECORD", plain(l.Program))
	}
	path := shebang(head)
	if path == "" {
		l.modified("the program %s is neither a binary nor a script of an interpreter", plain(l.Program))
		return nil
	}
	i, head, err := l.program(path)
	if err != nil {
		l.modified("the interpreter of %s: %s", plain(l.Program), plain(err.Error()))
		return nil //nolint:nilerr // a finding of the look
	}
	l.id.Interpreter = &i
	if !isELF(head) {
		l.modified("the interpreter %s is a script", plain(path))
		return nil
	}
	l.interpreter(i)
	return nil
}

func (l *look) program(path string) (Program, []byte, error) {
	p := Program{Path: path, Real: real(path)}
	sum, err := l.digests.of(p.Real)
	if err != nil {
		return p, nil, fmt.Errorf("read the program %s: %w", plain(path), err)
	}
	p.SHA256 = sum
	f, err := os.Open(p.Real)
	if err != nil {
		return p, nil, fmt.Errorf("read the program: %w", err)
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 4096)
	n, _ := f.Read(head)
	return p, head[:n], nil
}

// isELF says whether the bytes begin a binary. Tests on other systems have none.
func isELF(head []byte) bool { return bytes.HasPrefix(head, []byte("\x7fELF")) }

// shebang is the interpreter that a script names; empty for one that looks it up.
func shebang(head []byte) string {
	if m := trampoline.FindSubmatch(head); m != nil {
		return string(m[1])
	}
	line, ok := bytes.CutPrefix(head, []byte("#!"))
	if !ok {
		return ""
	}
	line, _, _ = bytes.Cut(line, []byte("\n"))
	words := strings.Fields(string(line))
	if len(words) == 0 || !filepath.IsAbs(words[0]) || filepath.Base(words[0]) == "env" || !strings.HasPrefix(filepath.Base(words[0]), "python") {
		return ""
	}
	return words[0]
}

// interpreter holds an interpreter of the environment against what pyvenv.cfg says: it is its home's, or a copy in bin.
func (l *look) interpreter(p Program) {
	if !strings.HasPrefix(filepath.Base(p.Path), "python") {
		return
	}
	if l.env.home == "" || filepath.Dir(p.Path) != filepath.Join(l.Prefix, "bin") {
		return
	}
	home := []string{}
	found, _ := filepath.Glob(filepath.Join(quoteGlob(l.env.home), "python*"))
	for _, f := range found {
		home = append(home, real(f))
	}
	if !slices.Contains(home, p.Real) && !l.isCopy(p, home) {
		l.modified("the interpreter %s is %s, which is not that of its home %s", plain(p.Path), plain(p.Real), plain(l.env.home))
	}
}

// isCopy says whether an interpreter in bin has the bytes of one of its home's.
func (l *look) isCopy(p Program, home []string) bool {
	return slices.ContainsFunc(home, func(f string) bool {
		sum, err := l.digests.of(f)
		return err == nil && sum == p.SHA256
	})
}
