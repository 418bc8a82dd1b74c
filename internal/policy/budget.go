package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Keys of budgets.
const (
	KeyCampaignGPUHours = "budgets.gpu_hours_per_campaign"
	KeyHostDayGPUHours  = "budgets.gpu_hours_per_host_day"
	KeyWallHours        = "budgets.wall_hours_per_campaign"
	KeyLaunches         = "budgets.launches_per_day"
)

// BudgetKeys lists the budgets in the order they are checked.
var BudgetKeys = []string{KeyWallHours, KeyLaunches, KeyCampaignGPUHours, KeyHostDayGPUHours}

// Budget gives the limit under a key and the line that sets it: the lower one of frozen and now. No limit: ok is false.
func (f Force) Budget(key string) (limit float64, line Line, ok bool) {
	for _, p := range f.both() {
		v := p.budget(key)
		if v > 0 && (!ok || v < limit) {
			limit, line, ok = v, f.line(p, key, strconv.FormatFloat(v, 'g', -1, 64)), true
		}
	}
	return limit, line, ok
}

func (p Policy) budget(key string) float64 {
	switch key {
	case KeyCampaignGPUHours:
		return cmp.Or(p.Budgets.GPUHoursPerCampaign, DefaultGPUHours)
	case KeyHostDayGPUHours:
		return p.Budgets.GPUHoursPerHostDay
	case KeyWallHours:
		return p.Budgets.WallHoursPerCampaign
	}
	return cmp.Or(p.Budgets.LaunchesPerDay, DefaultLaunchesPerDay)
}

// PatchOver is a patch above a size of the policy.
type PatchOver struct {
	Line   Line
	What   string // "612 lines, 400 are the cap"
	Refuse bool
}

// PatchOver gives each size that a patch is above, the strictest of frozen and now.
func (f Force) PatchOver(lines, files int) []PatchOver {
	var out []PatchOver
	for _, size := range []struct {
		key, unit string
		got       int
		most      func(Policy) int
	}{
		{"patch.max_lines", "lines", lines, func(p Policy) int { return cmp.Or(p.Patch.MaxLines, DefaultPatchLines) }},
		{"patch.max_files", "files", files, func(p Policy) int { return cmp.Or(p.Patch.MaxFiles, DefaultPatchFiles) }},
	} {
		over := PatchOver{}
		for _, p := range f.both() {
			most := size.most(p)
			if size.got <= most || (over.What != "" && !(p.Patch.Over == OverRefuse && !over.Refuse)) {
				continue
			}
			over = PatchOver{Line: f.line(p, size.key, strconv.Itoa(most)), Refuse: p.Patch.Over == OverRefuse,
				What: fmt.Sprintf("the patch has %d %s, the policy's cap is %d", size.got, size.unit, most)}
		}
		if over.What != "" {
			out = append(out, over)
		}
	}
	return out
}

// Limits tells in a few lines what matters to whoever asks for work; what is neither written nor a budget is left out.
func (f Force) Limits() []string {
	out := []string{}
	if f.ReadOnly() != nil {
		out = append(out, "read_only: nothing may be started or changed")
	}
	for _, key := range []string{KeyHosts, KeyEngines, KeyFrameworks, KeyModels} {
		for _, p := range f.both() {
			if list := p.list(key); list != nil {
				out = append(out, key+": "+quoteList(list))
			}
		}
	}
	for _, key := range BudgetKeys {
		if limit, _, ok := f.Budget(key); ok {
			out = append(out, fmt.Sprintf("%s: %g", key, limit))
		}
	}
	for _, p := range f.both() {
		out = append(out, p.words()...)
	}
	return slices.Compact(out)
}

// words renders what of a policy is neither a list of what may be used nor a budget.
func (p Policy) words() []string {
	var out []string
	for _, framework := range frameworks {
		if list := p.Flags[framework]; len(list) > 0 {
			out = append(out, fmt.Sprintf("extra flags of %s: %s", framework, quoteList(list)))
		}
	}
	if len(p.TrustRemoteCode) > 0 {
		out = append(out, "trust_remote_code: "+quoteList(p.TrustRemoteCode))
	}
	if p.Approvers != nil {
		out = append(out, "approvers: "+quoteList(p.Approvers))
	}
	if p.RequireIndependent {
		out = append(out, "require_independent: agent-reachable approvals do not count")
	}
	if p.Patch.Over == OverRefuse {
		out = append(out, fmt.Sprintf("patches above %d lines or %d files are refused", cmp.Or(p.Patch.MaxLines, DefaultPatchLines), cmp.Or(p.Patch.MaxFiles, DefaultPatchFiles)))
	}
	return out
}
