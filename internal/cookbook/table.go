package cookbook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
)

const preface = `# Cookbook

Generated from ¬internal/cookbook/models¬ by ¬UPDATE=1 go test ./internal/cookbook¬; do not edit.

Starting points for %d models: load, layout, base flags and knobs worth trying, one file a model. **None of them was run by us.** A campaign of such a model takes its defaults from here, a search without a space its base flags and knobs, and both say so.
¬documented¬ means: every flag stands in the framework's own help, every value fits it, layout and memory add up. Where the
framework's documentation or sources name the model or its architecture, the entry says where (¬listed¬); ○ in the table marks a
framework for which no such place was found. – means unsupported, with the reason among the notes.

Every entry: chat 1000 → 1000 and summarization 8000 → 1000 tokens, 80 prompts or five a slot, %s. Context and KV
cache type are one term for every framework; prefix caching is on everywhere but where a note says otherwise. GiB is the
least memory a GPU must have; Context is what the engines are told, in tokens; Load is the slots of closed loops, ∞ a burst; Rate
bounds the search for the highest rate under the SLA, in requests/s, which needs more prompts than these.

Mended in every entry that had it: context lengths among the knobs of TensorRT-LLM (they are a term, equal on every side);
prefix caching among vLLM's and TokenSpeed's knobs with one value (part of the base); values that only repeat a default, such as
expert-parallel size 1 (leaving a knob alone is a value of its own); 80 prompts for 32 slots (160); no context limit on SGLang.

¬fa3¬ is a kernel of Hopper: on other GPUs a start leaves it out, and the engine chooses.

## Models

| Entry | Checkpoint | Precision | GPUs | GiB | Context | Code | Load | Rate | SGLang | vLLM | TensorRT-LLM | TokenSpeed | Knob families | Notes |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
`

// Markdown is the cookbook as a document: one line a model, then the notes.
func (b *Book) Markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, strings.ReplaceAll(preface, "¬", "`"), len(b.Entries), b.slaWords())
	for _, e := range b.Entries {
		out.WriteString(e.row())
	}
	out.WriteString("\n## Layouts\n\n")
	for _, name := range contract.Frameworks {
		fmt.Fprintf(&out, "- `%s`: %s.\n", name, LayoutRule(contract.Framework(name)))
	}
	out.WriteString("\n## Notes\n\n*mended*: the recipe that the entry started from was wrong or unfair there. *unverified*: no public source was found.\n")
	for _, e := range b.Entries {
		out.WriteString(e.notes())
	}
	return out.String()
}

func (b *Book) slaWords() string {
	if len(b.Entries) == 0 {
		return ""
	}
	s := b.Entries[0].SLA
	return fmt.Sprintf("SLA median TTFT ≤ %g ms, median TPOT ≤ %g ms, success ≥ %g", s["max_p50_ttft_ms"], s["max_p50_tpot_ms"], s["min_success_rate"])
}

func (e Entry) row() string {
	var load, states, families []string
	for _, c := range e.Concurrency {
		if c == nil {
			load = append(load, "∞")
		} else {
			load = append(load, fmt.Sprint(*c))
		}
	}
	for _, name := range contract.Frameworks {
		s := e.Frameworks[contract.Framework(name)]
		switch {
		case s.State == StateUnsupported:
			states = append(states, "–")
		case s.Listed == "":
			states = append(states, string(s.State)+" ○")
		default:
			states = append(states, string(s.State))
		}
		for _, f := range s.Families {
			if !slices.Contains(families, f.Name) {
				families = append(families, f.Name)
			}
		}
	}
	code := ""
	if e.RemoteCode {
		code = "remote"
	}
	gpus := fmt.Sprint(e.GPUs)
	if e.Hosts > 1 {
		gpus = fmt.Sprintf("%d × %d hosts", e.GPUs, e.Hosts)
	}
	m := e.Model()
	return fmt.Sprintf("| `%s` | `%s` | %s | %s | %g | %d | %s | %s | %g–%g | %s | %s | %s |\n", e.ID, m.ID, m.Precision, gpus, e.GPUMemoryGiB, e.MaxContext, code,
		strings.Join(load, " "), e.Rate.Lower, e.Rate.Upper, strings.Join(states, " | "), strings.Join(families, ", "), e.noteCount())
}

// noteCount tells what the notes below hold.
func (e Entry) noteCount() string {
	counts := map[NoteKind]int{}
	for _, n := range e.Notes {
		counts[n.Kind]++
	}
	var out []string
	for _, k := range []NoteKind{NoteMended, NoteUnverified, NoteCaution} {
		if counts[k] > 0 {
			out = append(out, fmt.Sprintf("%d %s", counts[k], k))
		}
	}
	return strings.Join(out, ", ")
}

func (e Entry) notes() string {
	var lines []string
	for _, n := range e.Notes {
		lines = append(lines, fmt.Sprintf("- *%s*: %s\n", n.Kind, n.Text))
	}
	var reasons []string
	for _, name := range contract.Frameworks {
		if s := e.Frameworks[contract.Framework(name)]; s.State == StateUnsupported {
			if i := len(reasons) - 1; i >= 0 && strings.HasSuffix(reasons[i], ": "+s.Reason) {
				reasons[i] = strings.TrimSuffix(reasons[i], ": "+s.Reason) + ", " + name + ": " + s.Reason
				continue
			}
			reasons = append(reasons, name+": "+s.Reason)
		}
	}
	for _, r := range reasons {
		lines = append(lines, "- *unsupported*: "+r+"\n")
	}
	if len(lines) == 0 {
		return ""
	}
	return "\n### " + e.ID + "\n\n" + strings.Join(lines, "")
}
