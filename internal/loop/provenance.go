package loop

import (
	"fmt"
	"regexp"
	"strings"
)

// What lines of code say about where they come from. "copied from host to device" says nothing of the kind, so that a
// source is an address or a path of a repository.
var (
	licenceNote = regexp.MustCompile(`(?i)\b(copyright\b.*\b(\d{4}|all rights)|spdx-license-identifier|licensed under)`)
	namesOne    = regexp.MustCompile(`(?i)spdx-license-identifier|\blicen[sc]ed?\b|\bapache[- ]2|\bMIT\b|\bBSD[- ]\d`)
	borrowed    = regexp.MustCompile(`(?i)\b(copied|adapted|taken|ported|borrowed|derived|modified)\s+(verbatim\s+|partly\s+)?from\b.{0,40}(https?://|github\.com|\b(vllm|flashinfer|sgl-kernel|tensorrt_llm|TensorRT-LLM|flash-attention|flash_attn|cutlass|lightllm)/)`)
)

// provenance reads in a unified diff which licence notes go without coming back elsewhere, and which added lines say that
// code came from elsewhere in a file whose added lines name no licence.
func provenance(diff string) (unlicensed, taken []string) {
	var gone, back []string
	byFile, licensed := map[string][]string{}, map[string]bool{}
	var order []string
	file := ""
	for line := range strings.Lines(diff) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "+++ "), strings.HasPrefix(line, "--- "):
			if name := strings.TrimPrefix(strings.TrimPrefix(line[4:], "a/"), "b/"); name != "/dev/null" {
				file = name
			}
		case strings.HasPrefix(line, "-") && licenceNote.MatchString(line):
			gone = append(gone, fmt.Sprintf("%s: %s", file, short(strings.TrimSpace(line[1:]), 80)))
		case strings.HasPrefix(line, "+"):
			if licenceNote.MatchString(line) {
				back = append(back, strings.TrimSpace(line[1:]))
			}
			licensed[file] = licensed[file] || namesOne.MatchString(line)
			if borrowed.MatchString(line) {
				if byFile[file] == nil {
					order = append(order, file)
				}
				byFile[file] = append(byFile[file], fmt.Sprintf("%s: %s", file, short(strings.TrimSpace(line[1:]), 80)))
			}
		}
	}
	for _, g := range gone {
		kept := false
		for _, b := range back {
			kept = kept || strings.HasSuffix(g, short(b, 80))
		}
		if !kept {
			unlicensed = append(unlicensed, g)
		}
	}
	for _, f := range order {
		if !licensed[f] {
			taken = append(taken, byFile[f]...)
		}
	}
	return unlicensed, taken
}
