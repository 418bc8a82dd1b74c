package loop

import (
	"errors"

	"github.com/sotaloop/sotaloop/gitops"
)

// Levels of an approval.
const (
	LevelIndependent    = "independent"
	LevelAgentReachable = "agent-reachable"
)

// Where a signature was made, as far as whoever records it can tell.
const (
	OriginTerminal = "terminal" // by the approve command, in this account
	OriginImported = "imported" // elsewhere, over an exported statement
	OriginDemo     = "demo"     // by the demo, with its throwaway key
)

// Level says how far an agent's own shell is from having made an approval.
type Level struct {
	Level string // LevelIndependent or LevelAgentReachable
	Why   string
}

// level judges a verified signature, from here and now. A signature is independent where somebody touched a security key;
// or where it was made elsewhere, the key is found nowhere in this account's reach, and this account cannot put another
// key into the approvers file. What is not found may be there all the same: docs/APPROVING.md says what this cannot see.
func (c *campaign) level(sig *gitops.Signature, origin string) Level {
	exposed := "nothing says who can change the approvers file"
	if c.loop.opt.ApproversExposed != nil {
		exposed = c.loop.opt.ApproversExposed()
	}
	reach := "nothing looked for the key"
	if c.loop.opt.AgentReachable != nil {
		reach = c.loop.opt.AgentReachable(sig.Fingerprint)
	}
	return levelOf(sig, origin, reach, exposed)
}

func levelOf(sig *gitops.Signature, origin, reach, exposed string) Level {
	switch {
	case sig.SecurityKey && sig.UserPresent && exposed != "":
		return Level{LevelIndependent, "a security key was touched; the list of approvers itself is not out of this account's reach: " + exposed}
	case sig.SecurityKey && sig.UserPresent:
		return Level{LevelIndependent, "a security key was touched"}
	case origin == OriginDemo:
		return Level{LevelAgentReachable, "the demo signed its own proposal with a throwaway key"}
	case reach != "":
		return Level{LevelAgentReachable, "this server's account can use the key: " + reach}
	case sig.SecurityKey:
		return Level{LevelAgentReachable, "a security key that nobody touched"}
	case origin != OriginImported:
		return Level{LevelAgentReachable, "this server's account made the signature, with a key that needs no touch"}
	case exposed != "":
		return Level{LevelAgentReachable, "this server's account can add an approver: " + exposed}
	}
	return Level{LevelIndependent, "signed elsewhere; the key was found nowhere in this account's reach, and the list of approvers is out of it"}
}

// level is what the ledger says of an approval's level: the lower of what it was when it was recorded and when the branch was
// made. Empty without an approval.
func (p *ProposalState) level() Level {
	n := len(p.Approvals)
	if n == 0 || p.Approvals[n-1].Decision != string(gitops.Approve) {
		return Level{}
	}
	out := Level{p.Approvals[n-1].Level, p.Approvals[n-1].LevelWhy}
	if b := p.Branch; b != nil && out.Level == LevelIndependent && b.Level == LevelAgentReachable {
		out = Level{b.Level, b.LevelWhy}
	}
	return out
}

// String renders a level with what it rests on.
func (l Level) String() string {
	if l.Why == "" {
		return l.Level
	}
	return l.Level + " (" + l.Why + ")"
}

// trust is what the engineer vouches for now.
func (l *Loop) trust() (gitops.Trust, error) {
	raw, err := l.opt.Approvers()
	if err != nil {
		return gitops.Trust{}, err
	}
	if len(raw) == 0 {
		return gitops.Trust{}, errors.New("no allowed_signers file was found, so nobody can approve")
	}
	allowed, err := gitops.ParseAllowedSigners(raw)
	if err != nil {
		return gitops.Trust{}, err
	}
	out := gitops.Trust{Allowed: allowed}
	if l.opt.Revoked == nil {
		return out, nil
	}
	if raw, err = l.opt.Revoked(); err != nil {
		return gitops.Trust{}, err
	}
	out.Revoked, err = gitops.ParseRevokedKeys(raw)
	return out, err
}
