package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/policy"
)

// local looks at this machine.
func (o Options) local(ctx context.Context, n *notes, inv *hosts.Inventory, broken error) {
	o.program(n)
	o.home(n)
	o.inventory(n, inv, broken)
	if broken == nil {
		o.routes(n, inv)
	}
	pol := o.policy(n)
	o.approvers(ctx, n, pol)
}

// program says what this is, and whether hosts of both architectures can be given their worker.
func (o Options) program(n *notes) {
	var have []string
	var missing *fault.Error
	for _, arch := range []string{"amd64", "arm64"} {
		_, err := o.Binary.Digest(arch)
		if err == nil {
			have = append(have, "linux/"+arch)
		} else if f, ok := fault.As(err); ok {
			missing = f
		}
	}
	if len(have) == 0 {
		x := n.red("program", "sotaloop %s, %s, has a worker for no host", o.Version, o.Platform)
		if missing != nil {
			x.fix(missing.Hints...)
		}
		return
	}
	n.ok("program", "sotaloop %s, %s; worker for hosts of %s", o.Version, o.Platform, strings.Join(have, " and "))
}

// home says whether campaigns can be written. Nothing is written to find out.
func (o Options) home(n *notes) {
	if wrong := unwritable(o.State); wrong != "" {
		n.red("home", "%s: %s", o.short(o.State), o.short(wrong)).
			fix("sudo chown -R \"$USER\" "+word(o.short(o.State)), "or name another folder: export SOTALOOP_HOME=DIR")
		return
	}
	free, ok := freeMiB(o.State)
	switch {
	case ok && free < redHomeMiB:
		n.red("home", "%s has %s free", o.short(o.State), size(free)).fix("free space there, or move it: export SOTALOOP_HOME=DIR")
	case ok && free < warnHomeMiB:
		n.warn("home", "%s has %s free: records of a campaign take some GiB", o.short(o.State), size(free)).fix("free space there, or move it: export SOTALOOP_HOME=DIR")
	case ok:
		n.ok("home", "%s can be written, %s free", o.short(o.State), size(free))
	default:
		n.ok("home", "%s can be written", o.short(o.State))
	}
}

// What a home should have free, in MiB.
const (
	redHomeMiB  = 256
	warnHomeMiB = 4 << 10
)

// inventory says whether hosts.yaml can be read, and what it names.
func (o Options) inventory(n *notes, inv *hosts.Inventory, broken error) {
	const name = "hosts.yaml"
	file := o.File(policy.HostsFile)
	switch {
	case broken != nil:
		n.fault(Red, name, broken, "correct "+o.short(file)+", then: sotaloop doctor")
	case len(inv.Hosts) == 0:
		n.warn(name, "names no hosts yet (%s)", o.short(file)).fix(addHost)
	default:
		n.ok(name, "%s: %s", o.short(file), strings.Join(inv.Names(), ", "))
	}
}

// routes reads the SSH files for each host, without the network.
func (o Options) routes(n *notes, inv *hosts.Inventory) {
	files := map[string]bool{}
	bad := 0
	for _, name := range inv.Names() {
		e := inv.Hosts[name]
		if e.Local || o.Only != "" && name != o.Only {
			continue
		}
		r, err := hosts.ReadRoute(e.SSH, o.SSH)
		if err != nil {
			n.fault(Red, "ssh files", err)
			bad++
			continue
		}
		for _, f := range r.KnownHosts {
			if _, err := os.Stat(f); err == nil {
				files[o.short(f)] = true
			}
		}
	}
	if bad == 0 && len(files) > 0 {
		n.ok("ssh files", "configuration and known hosts can be read (%s)", strings.Join(sorted(files), ", "))
	}
}

// policy says what is in force, and who could change it.
func (o Options) policy(n *notes) policy.Policy {
	file := o.File(policy.PolicyFile)
	p, err := o.Policy()
	if err != nil {
		n.fault(Red, "policy", err, "correct "+o.short(file)+", then: sotaloop policy")
		return p
	}
	text := "no file: the defaults hold"
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		text = o.short(file)
	}
	if line := (policy.Force{Frozen: p, Now: p}).ReadOnly(); line != nil {
		n.warn("policy", "read-only by %s: nothing may be started", line).fix("set read_only: false in " + o.short(file))
	} else {
		n.ok("policy", "%s", text)
	}
	trust := o.Trust()
	if trust.Protected {
		n.ok("trust roots", "%s: this account cannot change hosts, policy or approvers", trust.Level())
	} else {
		n.ok("trust roots", "%s: this account could change hosts, policy and approvers (docs/POLICY.md, Who may write it)", trust.Level())
	}
	return p
}

// approvers says whether anybody could approve a patch, and whether the agent's account could do it as well.
func (o Options) approvers(ctx context.Context, n *notes, p policy.Policy) {
	const name = "approvers"
	file := o.short(o.File(policy.ApproversFile))
	list := "list a public key in " + file + ` as: NAME namespaces="` + gitops.NamespaceApproval + `" KEY-TYPE BASE64 (docs/APPROVING.md)`
	signers, err := o.Signers()
	if err != nil {
		n.fault(Red, name, err, "correct "+file)
		return
	}
	names := signers.Names(gitops.NamespaceApproval)
	var counted []string
	for _, who := range names {
		if (policy.Force{Frozen: p, Now: p}).RefusesApprover(who) == nil {
			counted = append(counted, who)
		}
	}
	switch {
	case signers.Len() == 0:
		n.warn(name, "nobody can approve a patch: %s lists no key", file).fix("ssh-keygen -t ed25519-sk -f ~/.ssh/approver_sk (a security key; without one: -t ed25519)", list)
		return
	case len(names) > 0 && len(counted) == 0:
		n.red(name, "the policy counts none of %s", strings.Join(names, ", ")).fix("add one of them to approvers in " + o.short(o.File(policy.PolicyFile)))
		return
	}
	who := cmp.Or(strings.Join(counted, ", "), fmt.Sprintf("%d keys", signers.Len()))
	reach, err := o.InReach(ctx)
	switch {
	case err != nil:
		n.fault(Warn, name, err)
	case len(reach) > 0 && p.RequireIndependent:
		n.warn(name, "%s; the policy wants independent approvals, and this account can use %s", who, strings.Join(reach, "; ")).
			fix("keep that key where this account is not: a security key, another account, another machine (docs/APPROVING.md)")
	case len(reach) > 0:
		n.ok(name, "%s; agent-reachable, since this account can use %s", who, strings.Join(reach, "; "))
	default:
		n.ok(name, "%s; no key of theirs that needs no touch was found in this account's reach", who)
	}
}

// fault notes an error with what it says to do; more comes after.
func (n *notes) fault(level Level, name string, err error, more ...string) noted {
	x := n.add(level, name, "%s", err)
	if f, ok := fault.As(err); ok {
		x.fix(f.Hints...)
	}
	return x.fix(more...)
}

// short writes paths below the home folder with ~.
func (o Options) short(text string) string {
	if len(o.UserHome) < 2 {
		return text
	}
	return strings.ReplaceAll(text, o.UserHome+string(filepath.Separator), "~/")
}
