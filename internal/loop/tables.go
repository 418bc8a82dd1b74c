package loop

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/trace"
)

// An answer holds at most pageRows rows of tableBytes JSON together, and one row at least: with its frame about 3,500
// tokens. The cursor leads to the rest.
const (
	pageRows   = 15
	tableBytes = 11_000
)

// answerShare hides smaller kernel rows in answers; every row is in the stored table.
const answerShare = 0.01

// smallRows counts the kernel rows that only detail shows.
func smallRows(a *trace.Analysis, stage string) int {
	n := 0
	for _, s := range a.Stages {
		for _, k := range s.Kernels {
			if (stage == "" || s.Stage == stage) && k.Share < answerShare {
				n++
			}
		}
	}
	return n
}

// stageSums says what the tables of each stage are shares of.
func stageSums(a *trace.Analysis, stage string) []map[string]any {
	out := []map[string]any{}
	for _, s := range a.Stages {
		if stage == "" || s.Stage == stage {
			out = append(out, map[string]any{"stage": s.Stage, "total_us": round(s.TotalUS), "busy_us": round(s.BusyUS), "idle_us": round(s.Idle.IdleUS), "steps": s.Steps, "per_step_us": round(s.PerStepUS),
				"share": round(s.Share), "mapped_share": round(s.MappedShare), "kernels": s.KernelsTotal})
		}
	}
	return out
}

// rankRows compares the ranks of one capture.
func (c *campaign) rankRows(st *State, r AnalyzeRequest) ([]map[string]any, error) {
	var stages []trace.Stage
	for _, id := range ranksOf(st, r.Trace) {
		a, err := c.analysis(st, id)
		if err != nil {
			return nil, err
		}
		stages = append(stages, a.Stages...)
	}
	var out []map[string]any
	for _, s := range trace.Spreads(stages) {
		if r.Stage == "" || s.Stage == r.Stage {
			out = append(out, map[string]any{"stage": s.Stage, "compute_us": s.ComputeUS, "communication_us": s.CommunicationUS, "straggler": s.Straggler, "compute_skew": round(s.ComputeSkew),
				"communication_skew": round(s.CommunicationSkew), "waiting_us": round(s.WaitingUS), "finding": s.Finding})
		}
	}
	return out, nil
}

// tableRows gives a table's rows of a stage ("" = all): as people read them, or with detail every row as it is stored.
func tableRows(a *trace.Analysis, r AnalyzeRequest) []map[string]any {
	var out []map[string]any
	for _, s := range a.Stages {
		if r.Stage != "" && s.Stage != r.Stage {
			continue
		}
		if r.Detail {
			out = append(out, wholeRows(s, r.Table)...)
		} else {
			out = append(out, conciseRows(s, r.Table)...)
		}
	}
	return out
}

// wholeRows gives a table's rows with every field.
func wholeRows(s trace.Stage, table string) []map[string]any {
	switch table {
	case "kernel":
		return whole(s, s.Kernels)
	case "overlap":
		return whole(s, s.Overlap)
	case "fuse":
		return whole(s, s.Fuse)
	case "idle":
		return whole(s, s.Idle.Causes)
	}
	return whole(s, s.Layers.Rows)
}

func whole[T any](s trace.Stage, rows []T) []map[string]any {
	out := make([]map[string]any, 0, len(rows))
	for _, row := range rows {
		m := map[string]any{}
		raw, _ := json.Marshal(row) // rows are numbers and texts
		_ = json.Unmarshal(raw, &m)
		told(m)
		m["stage"] = s.Stage
		out = append(out, m)
	}
	return out
}

// recorded are the fields whose texts a trace brought along.
var recorded = []string{"name", "func", "path", "cpu_op", "family", "anchor", "label", "device"}

// told makes a stored row fit for an answer, however deep: figures of four digits, and what a trace brought along as
// others' words.
func told(m map[string]any) {
	for key, v := range m {
		switch v := v.(type) {
		case float64:
			m[key] = round(v)
		case string:
			if slices.Contains(recorded, key) {
				m[key] = fault.ForeignName(v, 300)
			}
		case map[string]any:
			told(v)
		case []any:
			for _, x := range v {
				if inner, ok := x.(map[string]any); ok {
					told(inner)
				}
			}
		}
	}
}

// conciseRows gives what decides about a row.
func conciseRows(s trace.Stage, table string) []map[string]any {
	var out []map[string]any
	switch table {
	case "kernel":
		for _, k := range s.Kernels {
			if k.Share < answerShare {
				continue
			}
			row := map[string]any{"id": k.ID, "stage": s.Stage, "kernel": fault.ForeignName(k.Name, 90), "category": k.Category, "total_us": round(k.TotalUS), "share": round(k.Share),
				"launches": k.Launches, "mean_us": round(k.MeanUS), "ceiling": round(k.Ceiling), "locations": places(k.Locations)}
			if k.Roofline != nil && k.Roofline.Bound != "" {
				row["of_peak"], row["bound"] = round(k.Roofline.OfPeak), k.Roofline.Bound
			}
			out = append(out, row)
		}
	case "overlap":
		for _, o := range s.Overlap {
			out = append(out, map[string]any{"id": o.ID, "stage": s.Stage, "kernel": fault.ForeignName(o.Name, 90), "verdict": o.Verdict, "exclusive_us": round(o.ExclusiveUS), "hidden_ratio": round(o.HiddenRatio),
				"share_of_busy": round(o.ShareOfBusy), "risk": o.Risk, "priority": o.Priority, "advice": o.Advice, "ceiling": round(o.Ceiling), "locations": places(o.Locations)})
		}
	case "fuse":
		for _, f := range s.Fuse {
			out = append(out, map[string]any{"id": f.ID, "stage": s.Stage, "pattern": f.Pattern, "state": f.State, "framework": f.Framework, "source": f.SourcePath, "also": frameworks(f.Also), "why": short(f.Why, 160),
				"share": round(f.Share), "ceiling": round(f.Ceiling), "kernels": f.Kernels, "locations": places(f.Locations)})
		}
	case "idle":
		for _, x := range s.Idle.Causes {
			out = append(out, map[string]any{"id": x.ID, "stage": s.Stage, "cause": x.Cause, "total_us": round(x.TotalUS), "share": round(x.Share), "gaps": x.Gaps, "ceiling": round(x.Ceiling)})
		}
	case "layers":
		for _, x := range s.Layers.Rows {
			out = append(out, map[string]any{"id": x.ID, "stage": s.Stage, "role": x.Role, "pass": x.Pass, "layer": x.Index, "wall_us": round(x.WallUS), "sum_us": round(x.SumUS), "start_us": round(x.StartUS), "end_us": round(x.EndUS)})
		}
	}
	return out
}

func frameworks(list []trace.FuseSource) []string {
	out := []string{}
	for _, a := range list {
		out = append(out, a.Framework)
	}
	return out
}

func diffRows(rows []trace.DiffRow, stage string) []map[string]any {
	var out []map[string]any
	for _, d := range rows {
		if stage == "" || d.Stage == stage {
			out = append(out, map[string]any{"stage": d.Stage, "kernel": fault.ForeignName(d.Family, 90), "category": d.Category, "kind": d.Kind, "before_us": round(d.BeforeUS), "after_us": round(d.AfterUS),
				"delta_us": round(d.DeltaUS), "interval": roundedPair(d.Interval), "per_step": d.PerStep, "worth": round(d.Worth), "note": d.Note})
		}
	}
	return out
}

// places renders locations as path:line func.
func places(ls []trace.Location) []string {
	out := []string{}
	for _, l := range ls {
		out = append(out, fmt.Sprintf("%s %s", fault.ForeignName(fmt.Sprintf("%s:%d", l.Path, l.Line), 200), fault.ForeignName(l.Func, 80)))
	}
	return out
}
