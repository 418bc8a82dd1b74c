package loop

import (
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// Bounds of what an approver is shown of one patch, and from where on a number is worth showing: smaller ones are in
// every patch.
const (
	mostSuspicions  = 40
	smallestLiteral = 16
)

// suspicion is a way in which a patch can win a benchmark and nothing else. Honest patches have their uses for all of
// them: they are shown to the approver and refuse nothing.
type suspicion struct {
	pattern *regexp.Regexp
	what    string
}

// suspicions look at added lines.
var suspicions = []suspicion{
	{regexp.MustCompile(`\b(time|asyncio|anyio|trio)\.sleep\b|\b(u|nano|__nano)sleep\s*\(|\bsleep_(for|until)\b`), "waits"},
	{regexp.MustCompile(`\blru_cache\b|\bfunctools\.cache\b|@cache\b|\bmemo(i[sz]\w*)?\b|\b\w*_?cached?\s*(:[^=]*)?=\s*(\{\}|dict\(|\[\]|None\b|OrderedDict)`), "keeps results for later"},
	{regexp.MustCompile(`\bos\.(environ|getenv)\b|\bgetenv\s*\(|\bget_\w*env_\w*\(|\benvs\.\w+`), "depends on the environment"},
	{regexp.MustCompile(`(?i)\buser[-_ ]?agent\b|\bsotaloop\b|\bbench(mark)?(_?serving|_?client)?\b|request\.headers\b|\bheaders\.get\(`), "depends on who asks"},
	{regexp.MustCompile(`\bignore_eos\b|\bmin_(new_)?tokens\b|\bstop_token_ids\b`), "touches when an answer ends"},
	{regexp.MustCompile(`\b(temperature|top_p|top_k|min_p|repetition_penalty|logit_bias)\b`), "touches sampling"},
	{regexp.MustCompile(`\btime\.(time|monotonic|perf_counter)(_ns)?\s*\(|\bdatetime\.(now|utcnow)\b|\bclock64\s*\(`), "reads the clock"},
	{regexp.MustCompile(`\b(subprocess|socket|urllib|httpx|aiohttp)\.\w|\brequests\.(get|post)\b|\bos\.(system|popen|exec\w*|spawn\w*)\b`), "reaches outside its process"},
	{regexp.MustCompile(`(^|[^.\w])(eval|exec)\s*\(|\b__import__\s*\(|\bimportlib\.|\bctypes\.|\bpickle\.loads?\b`), "runs code that the diff does not show"},
}

// ofAnswers are names of files that decide what is answered.
var ofAnswers = regexp.MustCompile(`(?i)(^|_)(de)?tokeniz\w*|(^|_)sampl(er|ing)|logits_process`)

// number is a whole literal, not part of a name, a version or a decimal fraction.
var number = regexp.MustCompile(`(?:^|[^\w.])(\d[\d_]*)(?:$|[^\w.])`)

// suspects lists what an approver should look at in a diff, for the contract that it is to be measured under.
func suspects(diff string, c *contract.Contract) []gitops.Finding {
	var out []gitops.Finding
	add := func(file string, line int, what string) {
		if len(out) < mostSuspicions {
			out = append(out, gitops.Finding{Rule: gitops.RuleHarness, Path: file, Line: line, What: what})
		}
	}
	terms := literals(c)
	file, at := "", 0
	for line := range strings.Lines(diff) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "+++ "):
			file = strings.TrimPrefix(line[4:], "b/")
			if stem := strings.TrimSuffix(path.Base(file), path.Ext(file)); ofAnswers.MatchString(stem) {
				add(file, 0, "is code that decides what is answered")
			}
		case strings.HasPrefix(line, "@@ "):
			at = hunkStart(line)
		case strings.HasPrefix(line, "+"):
			for _, s := range suspicions {
				if found := s.pattern.FindString(line[1:]); found != "" {
					add(file, at, fmt.Sprintf("%s: %q", s.what, strings.TrimSpace(found)))
				}
			}
			for _, what := range named(line[1:], c, terms) {
				add(file, at, what)
			}
			at++
		case strings.HasPrefix(line, " "):
			at++
		}
	}
	return out
}

// hunkStart is the first line of a hunk in the new file, from "@@ -a,b +c,d @@".
func hunkStart(header string) int {
	_, after, _ := strings.Cut(header, "+")
	digits := strings.FieldsFunc(after, func(r rune) bool { return r < '0' || r > '9' })
	if len(digits) == 0 {
		return 0
	}
	n, err := strconv.Atoi(digits[0])
	if err != nil {
		return 0
	}
	return n
}

// literals are the numbers that a contract's requests have.
func literals(c *contract.Contract) map[int]string {
	out := map[int]string{}
	put := func(n int, what string, s contract.Scenario) {
		if n >= smallestLiteral && out[n] == "" {
			out[n] = what + " of scenario " + s.Name
		}
	}
	for _, s := range c.Scenarios {
		put(s.InputLen, "input_len", s)
		put(s.OutputLen, "output_len", s)
		put(s.InputLen+s.OutputLen, "input_len + output_len", s)
		put(s.NumPrompts, "num_prompts", s)
		if s.MaxConcurrency != nil {
			put(*s.MaxConcurrency, "max_concurrency", s)
		}
	}
	return out
}

// named are the contract's terms that a line of code names.
func named(line string, c *contract.Contract, terms map[int]string) []string {
	var out []string
	for _, m := range number.FindAllStringSubmatch(line, -1) {
		if n, err := strconv.Atoi(strings.ReplaceAll(m[1], "_", "")); err == nil && terms[n] != "" {
			out = append(out, fmt.Sprintf("names %d, the %s", n, terms[n]))
		}
	}
	if model := path.Base(c.Model.ID); len(model) > 3 && strings.Contains(strings.ToLower(line), strings.ToLower(model)) {
		out = append(out, fmt.Sprintf("names the contract's model %q", model))
	}
	return out
}
