package compare

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Rows of a campaign are a function of its ledger. Foreign rows are what somebody chose to write down, so that a result
// says what could make its blocks less than what they seem.

// oneMeasurement refuses one server, or one file of raw records, that stands for two rows.
func oneMeasurement(rows []*Row) []Refusal {
	for field, get := range map[string]func(*Row) string{
		"launch_id":  func(r *Row) string { return r.LaunchID },
		"raw_sha256": func(r *Row) string { return r.RawSHA256 },
	} {
		seen := map[string]*Row{}
		for _, r := range rows {
			id := get(r)
			if before := seen[id]; id != "" && before != nil {
				return []Refusal{{Rule: RuleReplicates, Field: field, Got: id, Want: "one of its own for each row",
					What: fmt.Sprintf("%s %q stands for two rows: %s and %s", field, id, place(before), place(r))}}
			}
			seen[id] = r
		}
	}
	return nil
}

// selfDeclared refuses rows that say of themselves that the sides were not measured alike.
func selfDeclared(rows []*Row) []Refusal {
	for _, r := range rows {
		n := r.Normalization
		if n == nil {
			continue
		}
		for _, said := range []struct {
			rule, field string
			same        *bool
		}{
			{RuleSameHardware, "same_gpu_count", n.SameGPUCount}, {RuleSameModel, "same_model_weights", n.SameModelWeights},
			{RuleSameModel, "same_tokenizer", n.SameTokenizer}, {RuleSameWorkload, "same_endpoint", n.SameEndpoint},
		} {
			if said.same != nil && !*said.same {
				return []Refusal{{Rule: said.rule, Field: "normalization." + said.field, Got: "false", Want: "true",
					What: fmt.Sprintf("normalization.%s is false at %s: its own row says that the sides differ", said.field, place(r))}}
			}
		}
	}
	return nil
}

// undeclared names what facts do not cover and some row does not say.
func undeclared(pairs []pair) []string {
	missing := map[string]bool{}
	for _, p := range pairs {
		for _, r := range []*Row{p.target, p.other} {
			missing["launch_id"] = missing["launch_id"] || r.LaunchID == ""
			missing["started_at"] = missing["started_at"] || r.StartedAt == nil
			if _, ok := meanOutput(r); !ok && r.Status == StatusOK {
				missing["metrics.mean_output_tokens"] = true
			}
		}
	}
	maps.DeleteFunc(missing, func(_ string, is bool) bool { return !is })
	return sortedKeys(missing)
}

// doubts are warnings about the blocks of one comparison.
func doubts(pairs []pair) []string {
	if len(pairs) == 0 {
		return nil
	}
	out := slices.Concat(leftOut(pairs), unordered(pairs), sameDraws(pairs))
	for _, side := range []func(pair) *Row{func(p pair) *Row { return p.target }, func(p pair) *Row { return p.other }} {
		rows := make([]*Row, len(pairs))
		for i, p := range pairs {
			rows[i] = side(p)
		}
		out = slices.Concat(out, copies(rows), commands(rows), lengths(rows))
	}
	return slices.Concat(out, unequalSuccess(pairs), unequalWarmup(pairs))
}

// leftOut notices block numbers that are jumped over.
func leftOut(pairs []pair) []string {
	var gaps []string
	for i := 1; i < len(pairs); i++ {
		switch from, to := pairs[i-1].block+1, pairs[i].block-1; {
		case from == to:
			gaps = append(gaps, fmt.Sprint(from))
		case from < to:
			gaps = append(gaps, fmt.Sprintf("%d to %d", from, to))
		}
	}
	if first := pairs[0].block; first > 1 { // some count from 1
		gaps = slices.Insert(gaps, 0, fmt.Sprintf("0 to %d", first-1))
	}
	if len(gaps) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("blocks %s are not among those compared: a choice of blocks decides a verdict", strings.Join(gaps[:min(len(gaps), 8)], ", "))}
}

// unordered notices blocks that do not say which launch ran first, or give both the same start. Where the file lists one
// side after the other, that is said: it is how rows look that were measured so.
func unordered(pairs []pair) []string {
	same, missing := 0, 0
	for _, p := range pairs {
		switch _, _, known := p.order(); {
		case known:
		case p.target.StartedAt == nil || p.other.StartedAt == nil:
			missing++
		default:
			same++
		}
	}
	var out []string
	if same > 0 {
		out = append(out, fmt.Sprintf("in %d of %d blocks both launches have the same started_at: that sides alternated is not checked there", same, len(pairs)))
	}
	if missing > 0 {
		out = append(out, fmt.Sprintf("in %d of %d blocks started_at is missing: that sides alternated is not checked there, and sides measured one after the other show the host's drift", missing, len(pairs)))
	}
	if same+missing == len(pairs) && len(pairs) > 1 && oneAfterTheOther(pairs) {
		out = append(out, "the rows of one side all come before the other's: were they measured in that order, nothing would be shown but the host's drift")
	}
	return out
}

// oneAfterTheOther says whether a file lists all launches of one side first.
func oneAfterTheOther(pairs []pair) bool {
	lines := func(side func(pair) *Row) (least, most int) {
		least, most = side(pairs[0]).Line, side(pairs[0]).Line
		for _, p := range pairs {
			least, most = min(least, side(p).Line), max(most, side(p).Line)
		}
		return least, most
	}
	a0, a1 := lines(func(p pair) *Row { return p.target })
	b0, b1 := lines(func(p pair) *Row { return p.other })
	return a1 < b0 || b1 < a0
}

// sameDraws notices blocks that offered the same requests: what those requests favour is in every block.
func sameDraws(pairs []pair) []string {
	seen := map[string]int{}
	for _, p := range pairs {
		digest := p.target.Workload.DrawDigest
		if before, ok := seen[digest]; ok && digest != "" {
			return []string{fmt.Sprintf("blocks %d and %d have the same workload.draw_digest: the same requests again, so that the verdict holds for those requests", before, p.block)}
		}
		seen[digest] = p.block
	}
	return nil
}

// copies notices a side whose blocks have the same metrics to the last digit.
func copies(rows []*Row) []string {
	seen := map[string]*Row{}
	for _, r := range rows {
		raw, err := r.Metrics.MarshalJSON()
		if err != nil || len(r.Metrics) == 0 || r.Status != StatusOK {
			continue
		}
		if before := seen[string(raw)]; before != nil {
			return []string{fmt.Sprintf("all metrics of %s equal those of %s to the last digit: one measurement, written twice?", place(r), place(before))}
		}
		seen[string(raw)] = r
	}
	return nil
}

// commands notices a side that was not started alike in every block.
func commands(rows []*Row) []string {
	first := rows[0]
	for _, r := range rows[1:] {
		if r.ServerCommand != "" && first.ServerCommand != "" && withoutPorts(r.ServerCommand) != withoutPorts(first.ServerCommand) {
			return []string{fmt.Sprintf("server_command of %s is not that of %s: a side has one candidate in all blocks", place(r), place(first))}
		}
	}
	return nil
}

// withoutPorts leaves out what may differ from launch to launch of one candidate.
func withoutPorts(command string) string {
	words := strings.Fields(command)
	for i, w := range words {
		name, _, assigned := strings.Cut(w, "=")
		if !strings.HasPrefix(name, "--") || !strings.Contains(name, "port") {
			continue
		}
		if words[i] = name; !assigned && i+1 < len(words) {
			words[i+1] = ""
		}
	}
	return strings.Join(words, " ")
}

// lengths notices a side that generated more or less than was asked for although it was told to ignore the end.
func lengths(rows []*Row) []string {
	for _, r := range rows {
		out, ok := meanOutput(r)
		w := r.Workload
		if !ok || w.OutputLen == nil || w.IgnoreEOS == nil || !*w.IgnoreEOS {
			continue
		}
		if share := out / float64(*w.OutputLen); share < 0.99 || share > 1.01 {
			return []string{fmt.Sprintf("%s generated %.4g tokens a request, workload.output_len is %d with ignore_eos: these are failed requests", place(r), out, *w.OutputLen)}
		}
	}
	return nil
}

// unequalSuccess notices a side that answered fewer of its requests: what it dropped did not slow it down.
func unequalSuccess(pairs []pair) []string {
	a, okA := lowest(pairs, func(p pair) *Row { return p.target })
	b, okB := lowest(pairs, func(p pair) *Row { return p.other })
	if !okA || !okB || (a >= 1 && b >= 1) {
		return nil
	}
	return []string{fmt.Sprintf("not every request succeeded: success_rate falls to %.4g at %s and %.4g at %s; throughput and latencies are of the others", a, pairs[0].target.SideName(), b, pairs[0].other.SideName())}
}

func lowest(pairs []pair, side func(pair) *Row) (least float64, ok bool) {
	least = 1
	for _, p := range pairs {
		if v, has := side(p).Metrics.Get("success_rate"); has {
			least, ok = min(least, v), true
		}
	}
	return least, ok
}

// unequalWarmup notices a side that was warmed up and one that was not.
func unequalWarmup(pairs []pair) []string {
	for _, p := range pairs {
		a, b := p.target.WarmupRequests, p.other.WarmupRequests
		if a != nil && b != nil && (*a == 0) != (*b == 0) {
			return []string{fmt.Sprintf("warmup_requests is %d at %s and %d at %s: one side was measured cold", *a, place(p.target), *b, place(p.other))}
		}
	}
	return nil
}

// simulatedWarning says that rows support no claim because nothing of them is real.
func simulatedWarning(rows []Row) []string {
	n := 0
	for i := range rows {
		if rows[i].Simulated {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%d of %d rows are simulated: their figures come from a simulator and support no claim", n, len(rows))}
}

// otherPhases says which rows a result leaves out because they were measured for something else.
func otherPhases(rows []Row, t Terms) []string {
	count := map[Phase]int{}
	for i := range rows {
		if !t.about(&rows[i]) {
			count[rows[i].Phase]++
		}
	}
	var out []string
	for _, phase := range sortedKeys(count) {
		out = append(out, fmt.Sprintf("%d rows of phase %s are not part of any verdict: a result is measured again, in blocks", count[phase], phase))
	}
	return out
}

// restsOnFailures says that one side's failures decided, not a measured ratio.
func restsOnFailures(v *Verdict, pairs []pair) []string {
	broken := func(side func(pair) *Row) bool {
		return !slices.ContainsFunc(pairs, func(p pair) bool { return side(p).Status == StatusOK })
	}
	switch {
	case len(pairs) == 0:
	case broken(func(p pair) *Row { return p.other }):
		return []string{fmt.Sprintf("no launch of %s worked: nothing was compared, and whether it was started as it should be is not known", v.Against)}
	case broken(func(p pair) *Row { return p.target }):
		return []string{fmt.Sprintf("no launch of %s worked: nothing was compared, and whether it was started as it should be is not known", v.Candidate)}
	}
	return nil
}
