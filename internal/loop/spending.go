package loop

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/policy"
	"github.com/sotaloop/sotaloop/internal/rules"
)

// spending is what launches took.
type spending struct {
	launches int
	gpuHours float64
}

func (s *spending) add(o spending) {
	s.launches += o.launches
	s.gpuHours += o.gpuHours
}

// spent sums a campaign's launches that ended at or after a time, compilations included, and those of runs that are
// under way, at what one took so far on average.
func (s *State) spent(since time.Time) spending {
	var out spending
	for i, l := range s.Launches {
		if s.ended[i].Before(since) {
			continue
		}
		out.launches++
		out.gpuHours += s.launchHours(l)
	}
	under := s.underWay()
	out.launches += under
	out.gpuHours += float64(under) * s.meanHours()
	return out
}

// launchHours is what one launch took, in GPU-hours.
func (s *State) launchHours(l LaunchEnded) float64 {
	seconds := l.SecondsS
	if l.Cold != nil {
		seconds += l.Cold.SecondsS
	}
	return seconds / 3600 * float64(s.Contract.GPUCount())
}

// meanHours is what a launch of this campaign took on average, in GPU-hours; 0 where none has ended.
func (s *State) meanHours() float64 {
	if len(s.Launches) == 0 {
		return 0
	}
	sum := 0.0
	for _, l := range s.Launches {
		sum += s.launchHours(l)
	}
	return sum / float64(len(s.Launches))
}

// underWay counts the launches of planned runs that have no end, as far as the plans said how many they hold.
func (s *State) underWay() int {
	n := 0
	for id, r := range s.Plans {
		if _, over := s.Runs[id]; over {
			continue
		}
		left := r.Launches
		for _, l := range s.Launches {
			if l.RunID == id {
				left--
			}
		}
		n += max(0, left)
	}
	return n
}

// today is when the UTC day began.
func today() time.Time { return time.Now().UTC().Truncate(24 * time.Hour) }

// budgetFacts are the budgets of the policy beside what a plan of so many launches would add. The caller holds the home's
// budget lock, so that two campaigns cannot both take what is left.
func (c *campaign) budgetFacts(st *State, f policy.Force, launches int) []rules.BudgetFact {
	own := st.spent(time.Time{})
	all, host := c.loop.spentToday(st)
	asked := float64(launches) * st.meanHours()
	var facts []rules.BudgetFact
	for _, key := range policy.BudgetKeys {
		limit, line, ok := f.Budget(key)
		if !ok {
			continue
		}
		b := rules.BudgetFact{Key: key, Unit: "GPU-hours", Limit: limit, Line: line.String(), Change: line.Change("raise " + key)}
		switch key {
		case policy.KeyCampaignGPUHours:
			b.Spent, b.Asked, b.Of = own.gpuHours, asked, "this campaign"
		case policy.KeyHostDayGPUHours:
			b.Spent, b.Asked, b.Of = host.gpuHours, asked, "all campaigns on "+st.Contract.Host.Name+" today (UTC)"
			b.Change = "go on tomorrow, or " + b.Change
		case policy.KeyWallHours:
			b.Unit, b.Spent, b.Of = "hours", time.Since(st.Contract.Created).Hours(), "this campaign since it was opened"
		case policy.KeyLaunches:
			b.Unit, b.Spent, b.Asked, b.Of = "launches", float64(all.launches), float64(launches), "all campaigns of this home today (UTC)"
			b.Change = "go on tomorrow, or " + b.Change
		}
		facts = append(facts, b)
	}
	return facts
}

// spentToday sums today's launches over all campaigns of the home, and over those on the host of st. A host is known by
// its name or by its boot: two entries may name one machine. A campaign whose ledger cannot be read is left out and said
// in the log.
func (l *Loop) spentToday(st *State) (all, host spending) {
	names, err := l.Campaigns()
	if err != nil {
		l.opt.Log.Warn("count what is spent", "err", err)
		return all, host
	}
	since := today()
	for _, name := range names {
		info, err := os.Stat(filepath.Join(l.opt.RunsDir, name, "ledger.jsonl"))
		if err != nil || info.ModTime().Before(since) {
			continue // nothing was written today
		}
		other := st
		if name != st.Contract.Campaign {
			_, other, err = l.open(name)
			if err != nil {
				l.opt.Log.Warn("count what is spent", "campaign", name, "err", err)
				continue
			}
		}
		s := other.spent(since)
		all.add(s)
		if h := other.Contract.Host; h.Name == st.Contract.Host.Name || (h.BootID != "" && h.BootID == st.Contract.Host.BootID) {
			host.add(s)
		}
	}
	return all, host
}

// planRun records a run before anything of it happens on a host, where policy and budgets allow it. It is decided inside
// the home's budget lock and the ledger's: of two campaigns at once, the second sees what the first took.
func (c *campaign) planRun(ctx context.Context, run RunPlanned) error {
	unlock, err := c.loop.lockHome(ctx, "budget")
	if err != nil {
		return err
	}
	defer unlock()
	_, entryNow, err := c.loop.host(run.Host)
	if err != nil {
		return err
	}
	var refused *rules.Violation
	var seen *State
	err = c.record(ctx, func(s *State) ([]chain.Pending, error) {
		seen = s
		if _, planned := s.Plans[run.RunID]; planned {
			return nil, nil
		}
		f, err := c.force(s)
		if err != nil {
			return nil, err
		}
		facts := &rules.Facts{Contract: s.Contract, Policy: append(useFacts(f, s.Contract), readOnlyFact(f, "run"), trustFact(f, s.Contract)), Budgets: c.budgetFacts(s, f, run.Launches), Entry: entryFacts(s.Contract, entryNow)}
		if refused = rules.Check(rules.AtPolicy, facts); refused != nil {
			return nil, nil
		}
		run.Policy, run.HostEntry = f.Now.Digest(), entryNow.Digest()
		p, err := entry(kindRun, run)
		return []chain.Pending{p}, err
	})
	if err == nil && refused != nil {
		refused.Next = []fault.Next{{Tool: "write_report", Why: "what was measured stays, and can be reported"}, {Tool: "get_campaign", Why: "shows the policy in force"}}
		return c.refuseRun(ctx, seen, refused)
	}
	return err
}
