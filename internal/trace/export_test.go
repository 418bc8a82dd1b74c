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

// Fusion is an entry of the registry.
type Fusion = fusion

// Fusions lists the registry.
func Fusions() []Fusion { return fusions() }

// ReadFusions reads a registry.
func ReadFusions(text []byte) ([]Fusion, error) { return readRegistry(text) }
