// Package gitops turns a patch into a reviewable branch of the target checkout and checks who approved it.
//
// Nothing here runs a program. Repositories are read and written through git's own files, so hooks, filters,
// attributes and fsmonitor of the checkout never execute, and the engineer's working tree, index, HEAD and
// other branches stay as they are. The only things ever written into a checkout are loose objects and one new
// ref under refs/heads/sotaloop/.
//
// A patch goes through four hands: [ParsePatch] reads the foreign bytes and refuses what a text patch must
// not contain; [Repo.Propose] applies it exactly, in memory, and renders our own diff from the base tree to the
// result tree; a human signs a [Statement] that holds that diff ([Sign], [VerifySignature]); and
// [Repo.CreateBranch] writes the same tree id, or nothing.
package gitops

// Namespaces of the signatures this product makes and accepts.
const (
	NamespaceApproval = "sotaloop-approval"
	NamespaceWitness  = "sotaloop-witness"
	NamespaceSeal     = "sotaloop-seal"
	NamespaceReceipt  = "sotaloop-receipt"
)

// BranchPrefix is the first element of every branch this package creates.
const BranchPrefix = "sotaloop/"

// Rule ids that refusals of this package name.
const (
	RulePaths    = "patch.paths"
	RuleHarness  = "patch.harness-untouched"
	RuleApproved = "patch.approved"
)
