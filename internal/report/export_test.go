package report

import "github.com/sotaloop/sotaloop/internal/loop"

// Complete is complete for tests.
func Complete(report []byte, st *loop.State) error { return complete(report, st) }

// Signs are the beginnings of lines by which a report's parts are found.
func Signs(st *loop.State) []string {
	var out []string
	for _, p := range parts(st) {
		out = append(out, p.sign)
	}
	return out
}

// Labelled is labelled for tests.
func Labelled(report []byte, levels []string) error { return labelled(report, levels) }
