package loop

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/policy"
	"github.com/sotaloop/sotaloop/internal/rules"
)

// frozenPolicy is the artifact that holds the bytes of the policy that a campaign was opened under.
const frozenPolicy = "policy.yaml"

// policyNow reads the engineer's policy. One that cannot be read, or that others can write, lets nothing begin.
func (l *Loop) policyNow() (policy.Policy, error) {
	if l.opt.Policy == nil {
		return policy.Policy{}, nil
	}
	return l.opt.Policy()
}

// policyDigest is of the policy as it is now, "" where it cannot be read.
func (l *Loop) policyDigest() string {
	p, err := l.policyNow()
	if err != nil {
		return ""
	}
	return p.Digest()
}

// force gives what is in force for a campaign: the policy it was opened under and the one of now, of which the stricter
// counts. Of campaigns that kept no policy's bytes only the one of now is known.
func (c *campaign) force(st *State) (policy.Force, error) {
	now, err := c.loop.policyNow()
	if err != nil {
		return policy.Force{}, err
	}
	if st.Policy == nil || st.Contract.Policy == now.Digest() {
		return policy.Force{Frozen: now, Now: now}, nil
	}
	frozen, err := ReadFrozenPolicy(st, c.ledger.ReadAll)
	return policy.Force{Frozen: frozen, Now: now}, err
}

// ReadFrozenPolicy reads the policy that a campaign was opened under; the default where its bytes were not kept.
func ReadFrozenPolicy(st *State, read func(ledger.Artifact) ([]byte, error)) (policy.Policy, error) {
	if st.Policy == nil {
		return policy.Policy{}, nil
	}
	raw, err := read(*st.Policy)
	if err != nil {
		return policy.Policy{}, err
	}
	if got := contract.Digest(raw); got != st.Contract.Policy {
		return policy.Policy{}, fault.New(fault.Corrupt, "the kept policy's sha256 is %s, the contract says %s", got, st.Contract.Policy)
	}
	if len(raw) == 0 { // there was no file
		return policy.Policy{}, nil
	}
	return policy.Parse(raw, frozenPolicy)
}

// readOnlyFact is refused where the policy lets nothing be started or changed.
func readOnlyFact(f policy.Force, tool string) rules.PolicyFact {
	fact := rules.PolicyFact{Field: "tool", Got: tool}
	if l := f.ReadOnly(); l != nil {
		fact.Refused, fact.Line, fact.Change = true, l.String(), l.Change("set read_only: false")
	}
	return fact
}

// useFacts are what a contract needs of the policy: its host, model, and every side's engine entry and framework.
func useFacts(f policy.Force, c *contract.Contract) []rules.PolicyFact {
	facts := []rules.PolicyFact{useFact(f, policy.KeyHosts, "host", c.Host.Name), useFact(f, policy.KeyModels, "model", c.Model.ID)}
	for i, side := range c.Sides() {
		field := "against"
		if i == 0 {
			field = "target"
		}
		facts = append(facts, useFact(f, policy.KeyEngines, field, baseEntry(side.Entry)), useFact(f, policy.KeyFrameworks, field, string(side.Framework)))
	}
	return facts
}

func useFact(f policy.Force, key, field, name string) rules.PolicyFact {
	fact := rules.PolicyFact{Field: field, Got: name}
	if l := f.Excludes(key, name); l != nil {
		fact.Refused, fact.Line, fact.Valid, fact.Change = true, l.String(), l.Valid, l.Change(fmt.Sprintf("add %q to %s", name, key))
	}
	return fact
}

// trustFact is refused where a contract trusts a checkpoint's code and the policy by now does not.
func trustFact(f policy.Force, c *contract.Contract) rules.PolicyFact {
	name := c.Model.Checkpoint()
	fact := rules.PolicyFact{Field: "trust_remote_code", Got: name}
	if c.TrustRemoteCode && !f.Trusts(name) {
		fact.Refused, fact.Line = true, "trust_remote_code does not list it any more"
		fact.Change = "ask the engineer whether that checkpoint's code may run again: trust_remote_code: [" + name + "]"
	}
	return fact
}

// policed checks what a tool is about to begin against the policy; it goes into ensureJob, under the ledger's lock.
func (c *campaign) policed(st *State, tool string) (*rules.Violation, error) {
	f, err := c.force(st)
	if err != nil {
		return nil, err
	}
	facts := &rules.Facts{Contract: st.Contract, Policy: []rules.PolicyFact{readOnlyFact(f, tool)}}
	if tool != "analyze_trace" && tool != "propose_patch" { // those launch nothing
		facts.Policy = append(append(facts.Policy, useFacts(f, st.Contract)...), trustFact(f, st.Contract))
		_, now, err := c.loop.host(st.Contract.Host.Name)
		if err != nil {
			return nil, err
		}
		facts.Entry = entryFacts(st.Contract, now)
	}
	return rules.Check(rules.AtPolicy, facts), nil
}

// mayWrite is the check of what starts nothing and writes.
func (c *campaign) mayWrite(st *State, tool string) error {
	f, err := c.force(st)
	if err != nil {
		return err
	}
	if v := rules.Check(rules.AtPolicy, &rules.Facts{Contract: st.Contract, Policy: []rules.PolicyFact{readOnlyFact(f, tool)}}); v != nil {
		return v.Fault()
	}
	return nil
}

// mayOpen checks a drafted contract against the policy of now, before its host is asked anything.
func (l *Loop) mayOpen(p policy.Policy, c *contract.Contract, plan bool) error {
	f := policy.Force{Frozen: p, Now: p}
	facts := &rules.Facts{Contract: c, Policy: useFacts(f, c)}
	if !plan {
		facts.Policy = append(facts.Policy, readOnlyFact(f, "open_campaign"))
	}
	if v := rules.Check(rules.AtPolicy, facts); v != nil {
		return v.Fault()
	}
	return nil
}

// patchFacts judge a proposal's size and branch. A size above the cap is a finding, or refused where the policy says so.
func patchFacts(f policy.Force, campaign, proposal, branch string, lines, files int) (facts []rules.PolicyFact, findings []string) {
	fact := rules.PolicyFact{Field: "branch", Got: branch}
	if l := f.RefusesBranch(campaign, proposal, branch); l != nil {
		fact.Refused, fact.Line, fact.Valid, fact.Change = true, l.String(), l.Valid, "open a new campaign: its branches are named as the policy says now"
	}
	facts = append(facts, fact)
	for _, over := range f.PatchOver(lines, files) {
		if over.Refuse {
			facts = append(facts, rules.PolicyFact{Field: "diff", Got: over.What, Refused: true, Line: over.Line.String(),
				Change: "propose one bottleneck at a time, or " + over.Line.Change("raise "+over.Line.Key)})
			continue
		}
		findings = append(findings, "flow.policy "+over.What+" ("+over.Line.String()+")")
	}
	return facts, findings
}

// inForce tells in a few lines what the policy lets a campaign do, and what has changed since it opened.
func (c *campaign) inForce(st *State) (limits, changes []string) {
	f, err := c.force(st)
	if err != nil {
		return []string{}, []string{"the policy cannot be used, so nothing may begin: " + c.loop.opt.Redact.String(err.Error())}
	}
	if st.Contract.Policy != f.Now.Digest() {
		switch {
		case st.Policy != nil:
			changes = append(changes, "the policy has changed since the campaign opened: of both the stricter counts")
		default:
			changes = append(changes, "the policy has changed since the campaign opened, and what it said then was not kept: the one of now counts")
		}
	}
	if st.Contract.Approvers != c.loop.approversDigest() {
		changes = append(changes, "allowed_signers has changed since the campaign opened: approvals count only under the one of then")
	}
	return f.Limits(), append(changes, c.hostChange(st)...)
}

// hostChange names a host entry that is not the one the campaign was opened with.
func (c *campaign) hostChange(st *State) []string {
	inv, err := c.loop.opt.Inventory()
	if err != nil {
		return nil
	}
	e, err := inv.Host(st.Contract.Host.Name)
	if err != nil {
		return []string{fmt.Sprintf("host %q is not in hosts.yaml any more", st.Contract.Host.Name)}
	}
	if digest := e.Digest(); digest != st.Contract.Host.EntryDigest && st.Contract.Host.EntryDigest != "" {
		return []string{fmt.Sprintf("the entry of host %q has changed since the campaign opened (digest %.12s then, %.12s now): what is launched has to stay as it was, the rest is recorded as such", st.Contract.Host.Name, st.Contract.Host.EntryDigest, digest)}
	}
	return nil
}

// entriesOf are the engine entries of a contract's sides.
func entriesOf(c *contract.Contract) []string {
	var out []string
	for _, side := range c.Sides() {
		out = append(out, baseEntry(side.Entry))
	}
	return out
}

// entryFacts are what hosts.yaml says of launching the sides, then and now; none for contracts that did not keep it.
func entryFacts(c *contract.Contract, now hosts.HostEntry) []rules.EntryFact {
	if c.Host.Entry == nil {
		return nil
	}
	is := now.Launching(entriesOf(c)...)
	keys := map[string]string{}
	maps.Copy(keys, c.Host.Entry)
	maps.Copy(keys, is)
	var facts []rules.EntryFact
	for _, k := range sortedKeys(keys) {
		facts = append(facts, rules.EntryFact{Key: k, Then: c.Host.Entry[k], Now: is[k]})
	}
	return facts
}

// changedHost names what the ledger itself says of host entries: runs that were planned under another one.
func (s *State) changedHost() string {
	var jobs []string
	for _, r := range s.order {
		if run := s.Plans[r]; run.HostEntry != "" && run.HostEntry != s.Contract.Host.EntryDigest {
			jobs = append(jobs, run.Job+" "+run.Step)
		}
	}
	if len(jobs) == 0 {
		return ""
	}
	return fmt.Sprintf("the entry of host %q was changed while the campaign ran: %d runs were planned under another one, the first %s", s.Contract.Host.Name, len(jobs), strings.TrimSpace(jobs[0]))
}

// trustRoots is the level of the files that decide, as the loop's surroundings judge it.
func (l *Loop) trustRoots() policy.Trust {
	if l.opt.Roots == nil {
		return policy.Trust{}
	}
	return l.opt.Roots()
}

// refuseRun records a policy's refusal inside a job like one of any other rule.
func (c *campaign) refuseRun(ctx context.Context, st *State, v *rules.Violation) error {
	tool := "run"
	for _, j := range st.Jobs {
		if j.End == nil {
			tool = j.Tool
		}
	}
	return c.refuse(ctx, tool, v)
}

// againstPolicy says why an approval that verifies does not count under the policy in force; "" = it does.
func (c *campaign) againstPolicy(st *State, principal string, level Level) string {
	f, err := c.force(st)
	if err != nil {
		return "the policy cannot be used: " + err.Error()
	}
	if l := f.RefusesApprover(principal); l != nil {
		return fmt.Sprintf("%q is no approver by the policy: %s", principal, l)
	}
	if l := f.Independent(); l != nil && level.Level != LevelIndependent {
		return fmt.Sprintf("the policy demands an independent approval, this one is %s: %s", level, l)
	}
	return ""
}

// mayBranch holds an approved proposal against the policy in force before its branch is made.
func (c *campaign) mayBranch(st *State, p *ProposalState) (*rules.Violation, error) {
	f, err := c.force(st)
	if err != nil {
		return nil, err
	}
	var files []gitops.FileChange
	if err := json.Unmarshal(p.Files, &files); err != nil {
		return nil, err
	}
	lines := 0
	for _, file := range files {
		lines += file.AddedLines + file.RemovedLines
	}
	facts, _ := patchFacts(f, c.id, p.ID, p.PatchProposed.Branch, lines, len(files))
	return rules.Check(rules.AtPolicy, &rules.Facts{Contract: st.Contract, Policy: append(facts, readOnlyFact(f, "apply_patch_branch"))}), nil
}

// HeldToPolicy checks offline what a campaign's own ledger tells of the policy it was opened under: what it was opened
// for, the code it trusts, and the names of its branches. It gives a line for people, "" where no policy was kept.
func (s *State) HeldToPolicy(read func(ledger.Artifact) ([]byte, error)) (string, error) {
	if s.Policy == nil {
		return "", nil
	}
	p, err := ReadFrozenPolicy(s, read)
	if err != nil {
		return "", err
	}
	f := policy.Force{Frozen: p, Now: p}
	facts := append(useFacts(f, s.Contract), trustFact(f, s.Contract))
	for _, x := range s.Proposals {
		branch, _ := patchFacts(f, s.Contract.Campaign, x.ID, x.PatchProposed.Branch, 0, 0)
		facts = append(facts, branch...)
	}
	if v := rules.Check(rules.AtPolicy, &rules.Facts{Contract: s.Contract, Policy: facts}); v != nil {
		return "", v.Fault()
	}
	limit, _, _ := f.Budget(policy.KeyCampaignGPUHours)
	return fmt.Sprintf("policy %.12s, %.4g of %.4g GPU-hours taken", p.Digest(), s.spent(time.Time{}).gpuHours, limit), nil
}
