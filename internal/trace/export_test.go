package trace

// For tests of what has no exported name.
var (
	ParseNanos  = parseNanos
	FamilyName  = familyName
	LabelOfPath = labelOfPath
	RankOfName  = rankOfName
	NotARank    = notARank
)

// Step is a step annotation as parsed; ok is false for other names.
func Step(name string) (stage string, draft, unknown, ok bool) {
	s := parseStep(name)
	if s == nil {
		return "", false, false, false
	}
	return s.stage, s.draft, s.unknown, true
}

// Site is a Python frame as parsed.
func Site(name string) (path string, line int, fn string, rank int) {
	s := siteOf(name)
	return s.path, s.line, s.fn, int(s.rank)
}

// Classify names the category of a kernel.
func Classify(name, op string, at ...Location) string { return categorize(catKernel, name, op, at) }

// ClassifyOperator names the category of an operator of a CPU host.
func ClassifyOperator(name string) string { return categorize(catOp, name, name, nil) }

// SpanRoundTrip packs and unpacks a duration.
func SpanRoundTrip(ns int64) int64 { return spanOf(ns).ns() }

// MaxSkip is the largest value that is skipped.
const MaxSkip = maxSkip

// Fusions lists the registry: pattern, framework, source path, provenance, upstream, number of parts.
func Fusions() [][6]string {
	var out [][6]string
	for _, f := range fusions() {
		out = append(out, [6]string{f.Pattern, f.Framework, f.SourcePath, f.Provenance, f.Upstream, string(rune('0' + len(f.Parts)))})
	}
	return out
}
