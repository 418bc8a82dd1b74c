package loop

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/contract"
)

// A family is every campaign on one model, target and GPU class. Whoever opens many and shows one has shown a choice, so
// a report lists them all: those of this home, those that its registry knows and whose directories are gone, and those of
// other homes that the host's lease log has.

// registryFile is the home's list of opened campaigns, a hash chain that outlives their run directories.
const registryFile = "campaigns.jsonl"

// registryHead holds the registry's head, so that a list that lost or changed its last lines is refused.
const registryHead = "campaigns.head.json"

const kindOpened = "campaign.opened"

// registered is an entry of the registry.
type registered struct {
	Campaign string `json:"campaign"`
	Digest   string `json:"contract_digest"`
	Model    string `json:"model"`
	Identity string `json:"identity"`
	Target   string `json:"target"`
	GPU      string `json:"gpu"`
}

// FamilyCounted is what was known of a campaign's family when its report was written.
type FamilyCounted struct {
	Model     string           `json:"model"`
	Target    string           `json:"target"` // framework
	GPU       string           `json:"gpu"`    // or the CPU of a host without
	Campaigns []FamilyCampaign `json:"campaigns"`
	// HostProblem says why the host's lease log was not read, empty where it was.
	HostProblem string `json:"host_problem,omitempty"`
}

// FamilyCampaign is one campaign of a family.
type FamilyCampaign struct {
	Campaign string `json:"campaign"`
	State    string `json:"state"` // open, reported, void, gone, or elsewhere: in another home
	Verdict  string `json:"verdict,omitempty"`
	Points   int    `json:"points,omitempty"` // measured, probes of searches included
	Owner    string `json:"owner,omitempty"`  // account that leased the devices, of one elsewhere
}

// States of a family's campaigns.
const (
	familyOpen      = "open"
	familyReported  = "reported"
	familyVoid      = "void" // nothing was measured: no try
	familyGone      = "gone" // its run directory is no more
	familyElsewhere = "elsewhere"
)

// Tried says whether a campaign measured anything, or may have.
func (c FamilyCampaign) Tried() bool { return c.State != familyVoid }

// Tried counts the campaigns that measured anything, or may have.
func (f *FamilyCounted) Tried() int {
	n := 0
	for _, c := range f.Campaigns {
		if c.Tried() {
			n++
		}
	}
	return n
}

// machine is the class of what a campaign is measured on.
func machine(h contract.Host) string {
	if h.CPU != nil {
		return h.CPU.Model
	}
	return h.GPUModel
}

func entryOf(c *contract.Contract, digest string) registered {
	return registered{Campaign: c.Campaign, Digest: digest, Model: c.Model.ID, Identity: c.Model.Identity, Target: string(c.Target.Framework), GPU: machine(c.Host)}
}

// kin says whether two campaigns are of one family. A model under another name is the same model where its files are.
func (r registered) kin(o registered) bool {
	same := r.Model == o.Model || (r.Identity != "" && r.Identity == o.Identity)
	return same && r.Target == o.Target && r.GPU == o.GPU
}

func (l *Loop) registry() (*chain.File, error) {
	return chain.Open(filepath.Join(l.opt.Home, registryFile), chain.Options{
		Kinds: chain.Kinds{kindOpened: 1}, LockPath: filepath.Join(l.locks(), registryFile), HeadPath: filepath.Join(l.opt.Home, registryHead),
	})
}

// register notes an opened campaign in the home's registry.
func (l *Loop) register(ctx context.Context, r registered) error {
	file, err := l.registry()
	if err != nil {
		return err
	}
	p, err := entry(kindOpened, r)
	if err != nil {
		return err
	}
	_, err = file.Append(ctx, func([]chain.Entry) ([]chain.Pending, error) { return []chain.Pending{p}, nil })
	return err
}

// family gathers every campaign of a campaign's family that this home or its host knows of, by name.
func (c *campaign) family(ctx context.Context, st *State) (FamilyCounted, error) {
	mine := entryOf(st.Contract, st.Digest)
	out := FamilyCounted{Model: mine.Model, Target: mine.Target, GPU: mine.GPU, Campaigns: []FamilyCampaign{}}
	names, err := c.loop.Campaigns()
	if err != nil {
		return out, err
	}
	for _, name := range names {
		other, err := c.loop.campaign(name)
		if err != nil {
			continue
		}
		s, err := other.state()
		if err != nil {
			out.Campaigns = append(out.Campaigns, FamilyCampaign{Campaign: name, State: familyGone, Verdict: "its ledger cannot be read"})
			continue
		}
		if entryOf(s.Contract, s.Digest).kin(mine) {
			out.Campaigns = append(out.Campaigns, familyLine(name, s))
		}
	}
	if err := c.loop.gone(mine, names, &out); err != nil {
		return out, err
	}
	c.elsewhere(ctx, st, names, &out)
	slices.SortFunc(out.Campaigns, func(a, b FamilyCampaign) int { return strings.Compare(a.Campaign+" "+a.Owner, b.Campaign+" "+b.Owner) })
	return out, nil
}

func familyLine(name string, s *State) FamilyCampaign {
	line := FamilyCampaign{Campaign: name, State: familyOpen, Points: len(s.Points), Verdict: s.Verdict()}
	switch {
	case len(s.Points) == 0:
		line.State, line.Verdict = familyVoid, ""
	case len(s.Reports) > 0:
		line.State = familyReported
	}
	return line
}

// gone adds what the registry knows and no run directory holds.
func (l *Loop) gone(mine registered, names []string, out *FamilyCounted) error {
	file, err := l.registry()
	if err != nil {
		return err
	}
	entries, err := file.Entries()
	if err != nil {
		return fmt.Errorf("read the home's registry of campaigns: %w", err)
	}
	for _, e := range entries {
		var r registered
		if err := json.Unmarshal(e.Payload, &r); err != nil {
			return fmt.Errorf("read the home's registry of campaigns: %w", err)
		}
		if r.kin(mine) && !slices.Contains(names, r.Campaign) {
			out.Campaigns = append(out.Campaigns, FamilyCampaign{Campaign: r.Campaign, State: familyGone})
		}
	}
	return nil
}

// studyOf is what a campaign's name says of its model: the name without date, study and number.
var studyOf = regexp.MustCompile(`^[0-9]{8}_(.+)_(?:sota|tune|ab|look)_loop(?:_[0-9]+)?$`)

// elsewhere adds campaigns of other homes on the same model, as the host's lease log names them. The log does not tell
// their target; it is this host's, so its GPUs are the same class.
func (c *campaign) elsewhere(ctx context.Context, st *State, names []string, out *FamilyCounted) {
	model := studyOf.FindStringSubmatch(st.Contract.Campaign)
	h, _, err := c.loop.host(st.Contract.Host.Name)
	if err != nil || model == nil {
		out.HostProblem = "the host is not in the inventory any more"
		return
	}
	facts, _, _, err := h.probe(ctx, "")
	if err != nil {
		out.HostProblem = short(c.loop.opt.Redact.String(err.Error()), 200)
		return
	}
	for _, leased := range facts.Leased {
		if slices.Contains(names, leased.Campaign) || !campaignName.MatchString(leased.Campaign) {
			continue
		}
		gone := slices.ContainsFunc(out.Campaigns, func(k FamilyCampaign) bool { return k.Campaign == leased.Campaign })
		if other := studyOf.FindStringSubmatch(leased.Campaign); other != nil && other[1] == model[1] && !gone {
			out.Campaigns = append(out.Campaigns, FamilyCampaign{Campaign: leased.Campaign, State: familyElsewhere, Owner: short(leased.Owner, 60)})
		}
	}
}

// countFamily records a campaign's family where it changed since the last count, and gives the state with it.
func (c *campaign) countFamily(ctx context.Context, st *State) (*State, error) {
	f, err := c.family(ctx, st)
	if err != nil {
		return nil, err
	}
	if st.Family != nil && same(*st.Family, f) {
		return st, nil
	}
	if err := c.put(ctx, kindFamily, f); err != nil {
		return nil, err
	}
	return c.state()
}

func same(a, b FamilyCounted) bool {
	return a.HostProblem == b.HostProblem && slices.Equal(a.Campaigns, b.Campaigns)
}
