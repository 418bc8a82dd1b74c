package trace

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// compiledGraph begins the operator under which TorchInductor's code runs on a CPU.
const compiledGraph = "## Call CompiledFxGraph"

// familyName is a kernel's name without what varies between builds and shapes: parameters, tile sizes,
// addresses and instance numbers.
func familyName(name string) string {
	name = strings.Join(strings.Fields(name), " ")
	if rest, ok := strings.CutPrefix(name, "nvjet_"); ok {
		parts := strings.SplitN(rest, "_", 3)
		return "nvjet_" + strings.Join(parts[:min(2, len(parts))], "_")
	}
	if strings.HasPrefix(name, compiledGraph) { // the graph's hash follows
		return compiledGraph
	}
	if !strings.HasPrefix(name, "Memcpy ") && !strings.HasPrefix(name, "Memset ") {
		name = strings.TrimPrefix(cutArguments(strings.ReplaceAll(name, "(anonymous namespace)", "anonymous")), "void ")
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		if !isDigit(c) {
			b.WriteByte(c)
			continue
		}
		end := i
		for end < len(name) && isDigit(name[end]) {
			end++
		}
		if i == 0 || !isLetter(name[i-1]) || name[i-1] == 'x' && i > 1 && isDigit(name[i-2]) {
			b.WriteByte('#')
		} else { // sm90, bf16: part of a word
			b.WriteString(name[i:end])
		}
		i = end - 1
	}
	return b.String()
}

// families sums a stage's rows by family, with the spread between its steps.
func (b *builder) families(stage uint8, rows []Kernel, steps int) []Family {
	at := map[string]int{}
	list := []Family{}
	var cells []stepTime
	groups := b.groupsOf(stage)
	for i := range groups {
		k := &rows[i]
		name := familyName(k.Name)
		f, ok := at[name]
		if !ok {
			f = len(list)
			at[name] = f
			list = append(list, Family{Name: name, Category: k.Category})
		}
		list[f].TotalUS += k.TotalUS
		list[f].Launches += k.Launches
		for _, e := range groups[i].events {
			if s := b.stepOf[e]; steps > 0 && s >= 0 {
				cells = append(cells, stepTime{int32(f), b.owner[s], b.gpu.at(int(e)).dur})
			}
		}
	}
	if b.onCPU && steps > 0 {
		list, cells = b.outsideFamily(stage, list, cells)
	}
	spread(list, cells, steps)
	return list
}

// stepTime is time of one family in one step.
type stepTime struct {
	family, step int32
	ns           int64
}

// spread fills in the families' time per step and the standard deviation between steps. Steps in which a
// family did not run count as zero. Time of the stage outside of steps (of a file with a label) is in the
// former only, as it is in the stage's.
func spread(list []Family, cells []stepTime, steps int) {
	if steps == 0 {
		return
	}
	slices.SortFunc(cells, func(x, y stepTime) int {
		return cmp.Or(cmp.Compare(x.family, y.family), cmp.Compare(x.step, y.step))
	})
	for i := 0; i < len(cells); {
		family := cells[i].family
		var ran []int64 // the family's time in each step it ran in
		for step := int32(-1); i < len(cells) && cells[i].family == family; i++ {
			if len(ran) == 0 || cells[i].step != step {
				ran, step = append(ran, 0), cells[i].step
			}
			ran[len(ran)-1] += cells[i].ns
		}
		list[family].SDStepUS = deviation(ran, steps)
	}
	for f := range list {
		list[f].PerStepUS = list[f].TotalUS / float64(steps)
	}
}

// deviation is the sample standard deviation over n steps, in microseconds; those not listed took no time.
func deviation(ran []int64, n int) float64 {
	if n < 2 {
		return 0
	}
	var sum int64
	for _, ns := range ran {
		sum += ns
	}
	mean := micros(sum) / float64(n)
	squares := float64(max(n-len(ran), 0)) * mean * mean
	for _, ns := range ran {
		squares += (micros(ns) - mean) * (micros(ns) - mean)
	}
	return math.Sqrt(squares / float64(n-1))
}
