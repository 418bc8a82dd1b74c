package compare

import (
	"fmt"
	"slices"
	"strings"
)

// comparability is what the facts of one comparison came to.
type comparability struct {
	refused []Refusal
	missing []string // fields that a side does not say
	allowed []string // declared differences that are there
}

// comparable checks every fact over the rows of both sides in one scenario.
func comparable(target, other []*Row, t Terms) comparability {
	rows := slices.Concat(target, other)
	var c comparability
	for _, f := range slices.Concat(facts(rows), slaFacts(rows)) {
		a, b, unequal := f.difference(target, other)
		switch {
		case unequal && slices.Contains(t.Declared, f.field):
			c.allowed = append(c.allowed, fmt.Sprintf("%s differs as declared: %q at %s, %q at %s", f.field, f.get(a), place(a), f.get(b), place(b)))
		case unequal:
			c.refused = append(c.refused, Refusal{
				Rule: f.rule, Field: f.field, Got: f.get(b), Want: f.get(a),
				What: fmt.Sprintf("%s differs: %q at %s, %q at %s", f.field, f.get(a), place(a), f.get(b), place(b)),
			})
		case slices.ContainsFunc(rows, func(r *Row) bool { return f.get(r) == "" }):
			c.missing = append(c.missing, f.field)
		}
	}
	if t.Campaign {
		c.refused = append(c.refused, required(rows, t)...)
	} else {
		c.refused = append(c.refused, selfDeclared(rows)...)
	}
	return c
}

// difference finds two rows within the fact's extent that say different things.
func (f fact) difference(target, other []*Row) (a, b *Row, unequal bool) {
	groups := [][]*Row{slices.Concat(target, other)}
	switch f.extent {
	case withinSide:
		groups = [][]*Row{target, other}
	case withinBlock:
		groups = byBlock(groups[0])
	}
	for _, group := range groups {
		var said *Row
		for _, r := range group {
			switch {
			case f.get(r) == "":
			case said == nil:
				said = r
			case f.get(said) != f.get(r):
				return said, r, true
			}
		}
	}
	return nil, nil, false
}

func byBlock(rows []*Row) [][]*Row {
	blocks := map[int][]*Row{}
	for _, r := range rows {
		blocks[*r.Block] = append(blocks[*r.Block], r)
	}
	var out [][]*Row
	for _, n := range sortedKeys(blocks) {
		out = append(out, blocks[n])
	}
	return out
}

// required refuses a campaign's own rows that lack what every measured row has, or that cite another contract.
func required(rows []*Row, t Terms) []Refusal {
	var out []Refusal
	for _, r := range rows {
		for field, said := range map[string]bool{
			"client": r.Client != "", "launch_id": r.LaunchID != "", "workload.num_prompts": r.Workload.NumPrompts != nil,
			"contract_digest": r.ContractDigest != "",
		} {
			if !said {
				out = append(out, Refusal{Rule: RuleSameContract, Field: field, Got: "", Want: "a value",
					What: fmt.Sprintf("%s is missing at %s: no row of this campaign", field, place(r))})
			}
		}
		if t.ContractDigest != "" && r.ContractDigest != t.ContractDigest {
			out = append(out, Refusal{Rule: RuleSameContract, Field: "contract_digest", Got: r.ContractDigest, Want: t.ContractDigest,
				What: fmt.Sprintf("contract_digest %q at %s is not the frozen %q", r.ContractDigest, place(r), t.ContractDigest)})
		}
	}
	slices.SortStableFunc(out, func(a, b Refusal) int { return strings.Compare(a.What, b.What) })
	return slices.CompactFunc(out, func(a, b Refusal) bool { return a.Field == b.Field })
}
