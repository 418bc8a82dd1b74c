package gitops

import (
	"context"
	"io"
	"time"

	"golang.org/x/crypto/ssh"
)

// Repo is a git repository opened for reading objects and for creating branches. Safe for concurrent use.
type Repo struct{}

// Open opens the repository whose working tree (also a linked worktree), or whose bare directory, is path.
func Open(path string) (*Repo, error) { return nil, errUnimplemented }

// Head is where HEAD points. Branch is empty when HEAD is detached.
type Head struct {
	Commit string `json:"commit"`
	Branch string `json:"branch"`
}

// Head reads HEAD.
func (r *Repo) Head() (Head, error) { return Head{}, errUnimplemented }

// Resolve gives the commit id of a full commit id, HEAD, a branch, a remote branch or a tag.
func (r *Repo) Resolve(rev string) (string, error) { return "", errUnimplemented }

// Commit is what a commit object says.
type Commit struct {
	ID      string
	Tree    string
	Parents []string
	Author  Person
	When    time.Time
	Message string
}

// Commit reads a commit by its full id.
func (r *Repo) Commit(id string) (Commit, error) { return Commit{}, errUnimplemented }

// Root is the first commit of a history. Shallow says that the clone was cut there and the true root is unknown.
type Root struct {
	Commit  string `json:"commit"`
	Shallow bool   `json:"shallow"`
}

// RootCommit follows first parents from a commit to the start of its history.
func (r *Repo) RootCommit(commit string) (Root, error) { return Root{}, errUnimplemented }

// File is one regular file of a tree.
type File struct {
	Path   string
	Mode   string // 100644 or 100755
	Blob   string // git object id
	SHA256 string // of the content, lower-case hex
	Size   int64
}

// File describes the regular file at path in a commit or tree (full id). A missing file is a not_found fault.
func (r *Repo) File(treeish, path string) (File, error) { return File{}, errUnimplemented }

// FileExists says whether path is a regular file in a commit or tree (full id).
func (r *Repo) FileExists(treeish, path string) (bool, error) { return false, errUnimplemented }

// Blob reads the file at path in a commit or tree (full id), at most 64 MiB.
func (r *Repo) Blob(treeish, path string) ([]byte, error) { return nil, errUnimplemented }

// Patch is a parsed unified diff: text hunks on regular files, at local paths.
type Patch struct{}

// ParsePatch reads a unified diff. Each refusal is a fault that names file, hunk and line.
func ParsePatch(diff []byte) (*Patch, error) { return nil, errUnimplemented }

// Paths lists the files the patch touches, sorted.
func (p *Patch) Paths() []string { return nil }

// Finding is something the approver should look at; it is never a refusal.
type Finding struct {
	Rule string `json:"rule"`
	Path string `json:"path"`
	Line int    `json:"line"` // line of the result file, of the base file for a removal, 0 for the whole file
	What string `json:"what"`
}

// FileChange is what a proposal does to one file. Blob ids are empty on the side where the file does not exist.
type FileChange struct {
	Path      string      `json:"path"`
	OldBlob   string      `json:"old_blob"`
	NewBlob   string      `json:"new_blob"`
	OldSHA256 string      `json:"old_sha256"`
	NewSHA256 string      `json:"new_sha256"`
	Mode      string      `json:"mode"` // 100644 or 100755, of the surviving side
	Added     int         `json:"added_lines"`
	Removed   int         `json:"removed_lines"`
	Touched   []LineRange `json:"touched"`
}

// LineRange is one run of changed lines: OldLines lines from OldStart were replaced by NewLines lines from
// NewStart. Starts count from 1; a side without lines starts at the line before the place.
type LineRange struct {
	OldStart int `json:"old_start"`
	OldLines int `json:"old_lines"`
	NewStart int `json:"new_start"`
	NewLines int `json:"new_lines"`
}

// Proposed is a patch applied to a base commit, in memory.
type Proposed struct {
	BaseCommit string       `json:"base_commit"`
	BaseTree   string       `json:"base_tree"`
	ResultTree string       `json:"result_tree"`
	Diff       []byte       `json:"-"` // our rendering, base tree to result tree
	Files      []FileChange `json:"files"`
	Findings   []Finding    `json:"findings"`
}

// Touches says whether the proposal changes line of the base file at path, or inserts next to it.
func (p *Proposed) Touches(path string, line int) bool { return false }

// Propose applies p to baseCommit, exactly and in memory. No object reaches the checkout.
func (r *Repo) Propose(baseCommit string, p *Patch) (*Proposed, error) { return nil, errUnimplemented }

// Diff renders the unified diff between two trees (full ids), with full object ids and three lines of context.
func (r *Repo) Diff(baseTree, resultTree string) ([]byte, []FileChange, error) {
	return nil, nil, errUnimplemented
}

// Person is an author.
type Person struct {
	Name  string `json:"name"`
	Email string `json:"email"`
}

// CommitMeta is what a commit says beside its tree. Trailers are key and value, in order.
type CommitMeta struct {
	Message  string
	Trailers [][2]string
	Author   Person
	When     time.Time
}

// CreateBranch writes sotaloop/<campaign>/<proposal> with one commit on base whose tree must be wantTree.
func (r *Repo) CreateBranch(name, base, wantTree string, p *Patch, meta CommitMeta) (string, error) {
	return "", errUnimplemented
}

// Tar writes the folder subdir of a tree as a deterministic tar and gives the SHA-256 of its bytes in hex. The tree
// is one of the repository's, or one that this Repo has proposed.
func (r *Repo) Tar(tree, subdir string, w io.Writer) (string, error) { return "", errUnimplemented }

// Create makes a repository in dir with one commit on branch main and its files checked out.
func Create(dir string, files map[string][]byte, message string, when time.Time) (string, error) {
	return "", errUnimplemented
}

// Sign makes an armored SSHSIG (SHA-512) over msg.
func Sign(signer ssh.Signer, namespace string, msg []byte) ([]byte, error) {
	return nil, errUnimplemented
}

// AllowedSigners is a parsed allowed_signers file.
type AllowedSigners struct{}

// ParseAllowedSigners reads an allowed_signers file as ssh-keygen(1) describes it, more strictly.
func ParseAllowedSigners(data []byte) (*AllowedSigners, error) { return nil, errUnimplemented }

// Principals gives the principals under which a key (SHA256 fingerprint) is listed, whatever its validity; empty when unknown.
func (a *AllowedSigners) Principals(fingerprint string) []string { return nil }

// Signature says who made a verified signature, and how.
type Signature struct {
	Principal    string   `json:"principal"` // first of Principals
	Principals   []string `json:"principals"`
	Namespace    string   `json:"namespace"`
	KeyType      string   `json:"key_type"`
	Fingerprint  string   `json:"fingerprint"` // SHA256:…, as ssh-keygen -l prints it
	SecurityKey  bool     `json:"security_key"`
	UserPresent  bool     `json:"user_present"`  // the key was touched; false for keys that cannot tell
	UserVerified bool     `json:"user_verified"` // a PIN or biometric was checked
}

// VerifySignature checks an armored SSHSIG over msg against the signers allowed at a time.
func VerifySignature(allowed *AllowedSigners, namespace string, msg, armored []byte, at time.Time) (*Signature, error) {
	return nil, errUnimplemented
}

// LoadSigner reads a private key file; passphrase is called only for an encrypted one.
func LoadSigner(path string, passphrase func() ([]byte, error)) (ssh.Signer, error) {
	return nil, errUnimplemented
}

// Agent is a connection to an ssh-agent. Close it after the last signature.
type Agent struct{}

// AgentSigners connects to the agent at a Unix socket.
func AgentSigners(ctx context.Context, socket string) (*Agent, error) { return nil, errUnimplemented }

// Signers gives the agent's keys.
func (a *Agent) Signers() ([]ssh.Signer, error) { return nil, errUnimplemented }

// Close ends the connection.
func (a *Agent) Close() error { return errUnimplemented }

// KeyInfo names a public key without holding it.
type KeyInfo struct {
	Type        string `json:"type"`
	Fingerprint string `json:"fingerprint"`
	SecurityKey bool   `json:"security_key"`
}

// DescribeSigner names a signer's key.
func DescribeSigner(s ssh.Signer) KeyInfo { return KeyInfo{} }

// Permits is what an approval allows to happen.
type Permits struct {
	Host     string   `json:"host"`
	Account  string   `json:"account"`
	Commands []string `json:"commands"`
	Push     bool     `json:"push"`
}

// Decision is approve or reject.
type Decision string

// The decisions.
const (
	Approve Decision = "approve"
	Reject  Decision = "reject"
)

// Statement is what an approver signs: everything the decision rests on.
type Statement struct {
	Decision        Decision
	Nonce           string
	Created         time.Time
	Expires         time.Time
	Principal       string
	Campaign        string
	Proposal        string
	ContractDigest  string
	PolicyDigest    string
	ApproversDigest string
	LedgerHead      string
	RootCommit      string
	BaseCommit      string
	BaseTree        string
	ResultTree      string
	Branch          string
	Diff            []byte
	EvidenceDigests []string
	VerdictDigest   string
	SymptomDigest   string
	PredictedGain   float64
	Permits         Permits
}

// Bytes renders the statement once; sign and store exactly these bytes.
func (s *Statement) Bytes() ([]byte, error) { return nil, errUnimplemented }

// ParseStatement reads stored statement bytes, strictly.
func ParseStatement(raw []byte) (*Statement, error) { return nil, errUnimplemented }

// Printable makes control, bidi and invisible characters of a diff visible for a terminal.
func Printable(diff []byte) string { return "" }
