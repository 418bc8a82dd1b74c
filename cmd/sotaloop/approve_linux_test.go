package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"
	"golang.org/x/sys/unix"

	"github.com/sotaloop/sotaloop/gitops"
	"github.com/sotaloop/sotaloop/hosts/hoststest"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/compare"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/ledger"
	"github.com/sotaloop/sotaloop/internal/loop"
)

const (
	tinyCampaign = "20261123_tiny_sota_loop"
	alice        = "alice@example.org"
)

// office is a home with a proposal that waits, a checkout, and a person with a key in a user's home.
type office struct {
	t                        *testing.T
	home, user, checkout, at string // at is the person's working folder
	env                      []string
}

// newOffice lays one out. The diff is the proposal's.
func newOffice(t *testing.T, diff string) *office {
	t.Helper()
	base := t.TempDir()
	o := &office{t: t, home: filepath.Join(base, "home"), user: filepath.Join(base, "user"), checkout: filepath.Join(base, "checkout"), at: filepath.Join(base, "desk")}
	for _, dir := range []string{filepath.Join(o.home, "config"), filepath.Join(o.user, ".ssh"), o.at, filepath.Join(base, "bin"), filepath.Join(base, "tmp")} {
		require.NoError(t, os.MkdirAll(dir, 0o700))
	}
	self, err := os.Executable()
	require.NoError(t, err)
	require.NoError(t, os.Symlink(self, filepath.Join(base, "bin", "sotaloop")))
	o.env = []string{"HOME=" + o.user, "SOTALOOP_HOME=" + o.home, "PATH=" + filepath.Join(base, "bin") + ":" + os.Getenv("PATH"), "TMPDIR=" + filepath.Join(base, "tmp"), "TERM=dumb"}
	o.config("hosts.yaml", fmt.Sprintf("hosts:\n  gpu:\n    local: true\n    device: cuda\n    gpus: [0]\n    models: {tiny: /models/tiny}\n    engines:\n"+
		"      sglang: {type: sglang, venv: /venvs/sglang, checkout: %q, package_root: python/sglang, import_name: sglang}\n      vllm: {type: vllm, venv: /venvs/vllm}\n", o.checkout))
	commit, err := gitops.Create(o.checkout, map[string][]byte{"python/sglang/a.py": []byte("slow()\n")}, "Import", time.Now())
	require.NoError(t, err)
	o.propose(commit, diff)
	return o
}

func (o *office) config(name, text string) {
	o.t.Helper()
	require.NoError(o.t, os.WriteFile(filepath.Join(o.home, "config", name), []byte(text), 0o600))
}

// propose writes a campaign's ledger up to a proposal.
func (o *office) propose(commit, diff string) {
	o.t.Helper()
	repo, err := gitops.Open(o.checkout)
	require.NoError(o.t, err)
	patch, err := gitops.ParsePatch([]byte(diff))
	require.NoError(o.t, err)
	p, err := repo.Propose(commit, patch)
	require.NoError(o.t, err)
	slots := 2
	c := &contract.Contract{Kind: contract.Kind, V: contract.Version, Campaign: tinyCampaign, Study: contract.StudySOTA, Created: time.Now().UTC().Truncate(time.Second),
		Model: contract.Model{ID: "tiny", Path: "/models/tiny", Vocabulary: 32000}, Precision: "auto", KVDtype: "auto", Endpoint: "/v1/completions", Delta: 0.03, Seed: 42,
		Host:   contract.Host{Name: "gpu", Device: "cuda", GPUs: []int{0}, GPUModel: "H100"},
		Target: contract.Side{Entry: "sglang", Framework: contract.SGLang}, Against: []contract.Side{{Entry: "vllm", Framework: contract.VLLM}},
		Scenarios: []contract.Scenario{{Name: "chat", Kind: contract.KindRandom, InputLen: 20, OutputLen: 4, NumPrompts: 40, Arrival: contract.ArrivalClosed,
			MaxConcurrency: &slots, IgnoreEOS: true, Stream: true, Primary: "p50_tpot_ms"}},
		Blocks: contract.Blocks{Max: 12, Looks: []int{8, 12}, Comparisons: 1}, Budget: contract.Budget{Launches: 10}, Assumed: []string{}, Cost: []contract.Cost{}}
	raw, digest, err := c.Freeze()
	require.NoError(o.t, err)
	led, err := ledger.Open(filepath.Join(o.home, "runs", tinyCampaign), filepath.Join(o.home, "locks"), loop.Kinds)
	require.NoError(o.t, err)
	art, err := led.Put("patches/patch-1.diff", bytes.NewReader(p.Diff))
	require.NoError(o.t, err)
	v := loop.VerdictTaken{Look: 8, Phase: "block", Family: "campaign", Digest: "v1"}
	v.Result.Verdicts = []compare.Verdict{{Scenario: "chat", Metric: "p50_tpot_ms", Candidate: "sglang-00", Against: "vllm-00", Verdict: "loss"}}
	var pending []chain.Pending
	for _, e := range []struct {
		kind string
		of   any
	}{
		{"contract.frozen", loop.ContractFrozen{Contract: raw, Digest: digest}}, {"verdict.taken", v},
		{"patch.proposed", loop.PatchProposed{ID: "patch-1", BaseCommit: p.BaseCommit, BaseTree: p.BaseTree, RootCommit: p.BaseCommit, ResultTree: p.ResultTree,
			Branch: "sotaloop/" + tinyCampaign + "/patch-1", Diff: art, Given: art, Digest: contract.Digest(p.Diff), Files: json.RawMessage(`[]`), Stage: "decode", Location: "sglang/a.py:1",
			Symptom: loop.Symptom{Scenario: "chat", Metric: "p50_tpot_ms"}, Rows: []string{"kernel:decode:1@0"}, Evidence: []string{"e1"}, Verdict: "v1", Predicted: 0.1, Ceiling: 0.2,
			Rationale: "Say it\x1b[2J faster", Findings: []string{"patch.harness-untouched a.py:1 adds a sleep"}, Tests: []string{}}},
	} {
		raw, err := json.Marshal(e.of)
		require.NoError(o.t, err)
		pending = append(pending, chain.Pending{Kind: e.kind, Payload: raw})
	}
	_, err = led.Append(o.t.Context(), func([]chain.Entry) ([]chain.Pending, error) { return pending, nil })
	require.NoError(o.t, err)
}

// key writes a private key and its public half, and lists it for alice.
func (o *office) key(path, options string) {
	o.t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(o.t, err)
	block, err := ssh.MarshalPrivateKey(key, "")
	require.NoError(o.t, err)
	s, err := ssh.NewSignerFromKey(key)
	require.NoError(o.t, err)
	require.NoError(o.t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	o.list(s.PublicKey(), options)
}

func (o *office) list(key ssh.PublicKey, options string) {
	o.config("allowed_signers", fmt.Sprintf("%s %s%s", alice, options, ssh.MarshalAuthorizedKey(key)))
}

// types runs a line of shell at a terminal of its own, where typed is typed. It gives what was shown.
func (o *office) types(line, typed string) (string, error) {
	o.t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(o.t, err)
	defer keyboard.Close()
	require.NoError(o.t, unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	require.NoError(o.t, err)
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(o.t, err)
	defer terminal.Close()
	var shown bytes.Buffer
	cmd := exec.CommandContext(o.t.Context(), "sh", "-ec", line)
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = o.env, o.at, terminal, &shown, &shown
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(o.t, cmd.Start())
	_, err = io.WriteString(keyboard, typed)
	require.NoError(o.t, err)
	err = cmd.Wait()
	return shown.String(), err
}

// pipes runs a line of shell without a terminal.
func (o *office) pipes(line, stdin string) (string, error) {
	o.t.Helper()
	cmd := exec.CommandContext(o.t.Context(), "sh", "-ec", line)
	cmd.Env, cmd.Dir, cmd.Stdin = o.env, o.at, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// decisions are the recorded ones.
func (o *office) decisions() []loop.ApprovalRecorded {
	o.t.Helper()
	entries, _, err := chain.Read(filepath.Join(o.home, "runs", tinyCampaign, ledger.ChainFile), loop.Kinds)
	require.NoError(o.t, err)
	var out []loop.ApprovalRecorded
	for _, e := range entries {
		if e.Kind == "approval.recorded" {
			var rec loop.ApprovalRecorded
			require.NoError(o.t, json.Unmarshal(e.Payload, &rec))
			out = append(out, rec)
		}
	}
	return out
}

// documented are the commands of a block of docs/APPROVING.md, one a line.
func documented(t *testing.T, block string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.FromSlash("../../docs/APPROVING.md"))
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(raw), "<!-- run: "+block+" -->\n```sh\n")
	require.True(t, ok, block)
	commands, _, ok := strings.Cut(rest, "```")
	require.True(t, ok, block)
	return commands
}

const fastPatch = "diff --git a/python/sglang/a.py b/python/sglang/a.py\n--- a/python/sglang/a.py\n+++ b/python/sglang/a.py\n@@ -1 +1 @@\n-slow()\n+fast() # \u202eevil\x1b[2K\n"

// TestTheDocumentedWaysToApprove runs every command of docs/APPROVING.md.
func TestTheDocumentedWaysToApprove(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	raw, err := os.ReadFile(filepath.FromSlash("../../docs/APPROVING.md"))
	require.NoError(t, err)
	blocks := regexp.MustCompile(`<!-- run: (\w+) -->`).FindAllStringSubmatch(string(raw), -1)
	require.Len(t, blocks, strings.Count(string(raw), "```sh"), "every command is run by a test")
	ways := map[string]func(*testing.T, *office, string){"terminal": terminalWay, "token": tokenWay, "elsewhere": elsewhereWay, "show": showWay, "reject": rejectWay}
	require.Len(t, blocks, len(ways))
	for _, b := range blocks {
		t.Run(b[1], func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, fastPatch)
			o.key(filepath.Join(o.user, ".ssh", "id_ed25519"), `namespaces="sotaloop-approval" `)
			ways[b[1]](t, o, documented(t, b[1]))
		})
	}
}

func terminalWay(t *testing.T, o *office, commands string) {
	out, err := o.types(commands, "patch-1\n")
	require.NoError(t, err, out)
	require.Contains(t, out, "+fast() # <U+202E>evil<U+001B>[2K", "nothing hides")
	require.Contains(t, out, "Say it<U+001B>[2J faster")
	require.NotContains(t, out, "\x1b")
	require.Contains(t, out, "adds a sleep")
	require.Contains(t, out, "The approval of patch-1 is agent-reachable")
	require.Contains(t, out, "An approver's key is within this account's reach")
	d := o.decisions()
	require.Len(t, d, 1)
	require.Equal(t, loop.OriginTerminal, d[0].Origin)
	require.Contains(t, d[0].LevelWhy, "key file ~/.ssh/id_ed25519")
	require.NotContains(t, d[0].LevelWhy, o.user, "no path of this machine")
	require.Contains(t, out, fmt.Sprintf("sha256 %x", sha256.Sum256(d[0].Statement)), "what was shown is what was signed")

	b, err := o.apply()
	require.NoError(t, err)
	require.Equal(t, loop.LevelAgentReachable, b.Level)
	raw, err := os.ReadFile(filepath.Join(o.home, "runs", tinyCampaign, "patches", "patch-1.commit"))
	require.NoError(t, err)
	c, err := gitops.ReadCommit(raw)
	require.NoError(t, err)
	require.Equal(t, b.Commit, c.ID)
	require.Equal(t, fmt.Sprintf("%x", sha256.Sum256(d[0].Statement)), c.Trailer(loop.TrailerStatement))
}

func (o *office) apply() (loop.Branch, error) {
	ctx, stop := context.WithCancel(o.t.Context())
	defer stop()
	p, err := compose(ctx, home{state: o.home, config: filepath.Join(o.home, "config"), user: o.user}, "", io.Discard)
	require.NoError(o.t, err)
	defer p.close()
	return p.loop.Apply(ctx, tinyCampaign, "patch-1")
}

func tokenWay(t *testing.T, o *office, commands string) {
	for _, flags := range []byte{0, 1} {
		token := newToken(t, flags)
		require.NoError(t, os.WriteFile(filepath.Join(o.user, ".ssh", "approver_sk.pub"), ssh.MarshalAuthorizedKey(token.public), 0o644))
		o.list(token.public, `namespaces="sotaloop-approval" `)
		o.env = append(o.env, "SSH_AUTH_SOCK="+token.socket)
		out, err := o.types(commands, "patch-1\n")
		if flags == 0 {
			require.Error(t, err)
			require.Contains(t, out, "nobody touched the security key")
			continue
		}
		require.NoError(t, err, out)
		require.Contains(t, out, "is independent: a security key was touched")
	}
	d := o.decisions()
	require.Len(t, d, 1)
	require.True(t, d[0].Touched)
}

func elsewhereWay(t *testing.T, o *office, commands string) {
	out, err := o.pipes(commands, "")
	require.NoError(t, err, out)
	require.Contains(t, out, "agent-reachable: this server's account can use the key: key file ~/.ssh/id_ed25519", "the key lies here all the same")
	require.Equal(t, loop.OriginImported, o.decisions()[0].Origin)
	out, err = o.pipes("sotaloop approve --import patch-1.json.sig", "")
	require.Error(t, err)
	require.Contains(t, out, "its nonce was used before, by ledger entry 4")
	out, err = o.pipes("sotaloop approve "+tinyCampaign+" patch-1 --export patch-1.json", "")
	require.Error(t, err)
	require.Contains(t, out, "never written over another")
	raw, err := os.ReadFile(filepath.Join(o.at, "patch-1.json"))
	require.NoError(t, err)
	require.Equal(t, string(raw), gitops.Printable(raw), "less shows what is signed")

	// One diff is shown, another is signed.
	out, err = o.pipes(`sotaloop approve `+tinyCampaign+` patch-1 --export b.json
sed 's/fast()/evil()/' b.json > c.json
ssh-keygen -Y sign -n sotaloop-approval -f ~/.ssh/id_ed25519 c.json
sotaloop approve --import c.json.sig`, "")
	require.Error(t, err)
	require.Contains(t, out, "its diff is not the one that was signed")
	out, err = o.pipes("sotaloop approve --import c.json.sig --statement b.json", "")
	require.Error(t, err)
	require.Contains(t, out, "not over these bytes")
	require.Len(t, o.decisions(), 1)
}

func showWay(t *testing.T, o *office, commands string) {
	out, err := o.pipes("sotaloop approve "+tinyCampaign+" patch-1 --export patch-1.json\n"+commands, "")
	require.NoError(t, err, out)
	require.Contains(t, out, "<U+202E>evil")
	require.Empty(t, o.decisions(), "showing decides nothing")
}

func rejectWay(t *testing.T, o *office, commands string) {
	out, err := o.pipes(commands, "")
	require.NoError(t, err, out)
	require.Contains(t, out, "Nobody signed it")
	require.Equal(t, "breaks the fallback for head_dim 96", o.decisions()[0].Reason)
	_, err = o.apply()
	require.ErrorContains(t, err, "breaks the fallback for head_dim 96")
	out, err = o.types("sotaloop reject "+tinyCampaign+" patch-1 --reason 'still breaks it' --key ~/.ssh/id_ed25519", "patch-1\n")
	require.NoError(t, err, out)
	require.Contains(t, out, "Decision   reject still breaks it")
	require.Contains(t, out, "Signed by "+alice)
	require.NotEmpty(t, o.decisions()[1].Signature)
}

// TestKeysOfEveryKindSign signs with a passphrase, with a key of the agent that the SSH configuration names, and with a security
// key's handle, for which ssh-keygen speaks to the token.
func TestKeysOfEveryKindSign(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	line := "sotaloop approve " + tinyCampaign + " patch-1"
	t.Run("passphrase", func(t *testing.T) {
		t.Parallel()
		o := newOffice(t, fastPatch)
		_, key, err := ed25519.GenerateKey(nil)
		require.NoError(t, err)
		block, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte("open sesame"))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(o.at, "locked"), pem.EncodeToMemory(block), 0o600))
		s, err := ssh.NewSignerFromKey(key)
		require.NoError(t, err)
		o.list(s.PublicKey(), "")
		out, err := o.types(line+" --key locked", "wrong\n")
		require.Error(t, err)
		require.Contains(t, out, "Passphrase of locked:")
		require.NotContains(t, out, "sesame")
		out, err = o.types("stty -echo; "+line+" --key locked", "open sesame\npatch-1\n")
		require.NoError(t, err, out)
		require.Contains(t, o.decisions()[0].LevelWhy, "made the signature")
	})
	t.Run("the configuration's agent", func(t *testing.T) {
		t.Parallel()
		o := newOffice(t, fastPatch)
		token := newToken(t, 1)
		o.list(token.public, "")
		require.NoError(t, os.WriteFile(filepath.Join(o.user, ".ssh", "config"), []byte("Host *\n  IdentityAgent "+token.socket+"\n"), 0o600))
		out, err := o.types(line, "patch-1\n")
		require.NoError(t, err, out)
		require.True(t, o.decisions()[0].Touched)
		require.Equal(t, loop.LevelIndependent, o.decisions()[0].Level)
	})
	t.Run("handle", func(t *testing.T) {
		t.Parallel()
		o := newOffice(t, fastPatch)
		token := newToken(t, 1)
		o.list(token.public, "")
		handle := append([]byte("openssh-key-v1\x00"), ssh.Marshal(struct {
			Cipher, KDF, Options string
			N                    uint32
			Public, Private      string
		}{"none", "none", "", 1, string(token.public.Marshal()), "handle"})...)
		path := filepath.Join(o.user, ".ssh", "id_sk")
		require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "OPENSSH PRIVATE KEY", Bytes: handle}), 0o600))
		require.NoError(t, os.WriteFile(path+".pub", ssh.MarshalAuthorizedKey(token.public), 0o600))
		out, err := o.types(line+" --key "+path, "patch-1\n")
		require.Error(t, err, "no token is there")
		require.Contains(t, out, "ssh-keygen did not sign")
		o.env = append(o.env, "SSH_AUTH_SOCK="+token.socket) // ssh-keygen asks the agent before the token
		out, err = o.types(line+" --key "+path, "patch-1\n")
		require.NoError(t, err, out)
		require.Contains(t, out, "is independent: a security key was touched")
	})
}

// TestOnlyAPersonAnswers tries what an agent's shell would.
func TestOnlyAPersonAnswers(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not installed")
	}
	o := newOffice(t, fastPatch)
	o.key(filepath.Join(o.user, ".ssh", "id_ed25519"), "")
	line := "sotaloop approve " + tinyCampaign + " patch-1 --key ~/.ssh/id_ed25519"
	for name, c := range map[string]struct{ line, says string }{
		"a pipe":         {"yes patch-1 | " + line, "needs a terminal"},
		"a yes":          {line + " --yes", "flag provided but not defined"},
		"nothing to do":  {"sotaloop approve", "takes a campaign"},
		"no signature":   {"sotaloop approve --import none.sig", "none"},
		"not a .sig":     {"sotaloop approve --import none", ".sig"},
		"not a campaign": {"sotaloop approve ../../etc patch-1 --export x", "no campaign"},
	} {
		out, err := o.pipes(c.line, "patch-1\n")
		require.Error(t, err, name)
		require.Contains(t, out, c.says, name)
	}
	out, err := o.types(line, "yes\n")
	require.Error(t, err)
	require.Contains(t, out, "not signed")
	require.Empty(t, o.decisions())

	// A revoked key signs no more, and a KRL is refused in words.
	pub, err := o.pipes("ssh-keygen -y -f ~/.ssh/id_ed25519", "")
	require.NoError(t, err, pub)
	o.config("revoked_keys", "# lost\n"+pub)
	out, err = o.types(line, "patch-1\n")
	require.Error(t, err)
	require.Contains(t, out, "may sign no more")
	o.config("revoked_keys", "SSHKRL\n\x00")
	out, err = o.types(line, "patch-1\n")
	require.Error(t, err)
	require.Contains(t, out, "key revocation list")
	require.NoError(t, os.Remove(filepath.Join(o.home, "config", "revoked_keys")))

	// With a terminal that the agent makes itself, a plain key that it can reach signs: that is what the level says.
	o.config("policy.yaml", "require_independent: true\n")
	out, err = o.types(line, "patch-1\n")
	require.Error(t, err)
	require.Contains(t, out, "the policy demands an independent approval, this one is agent-reachable")
	require.Empty(t, o.decisions())
}

// token is a security key in software behind an ssh-agent: the bytes that a FIDO token would give.
type token struct {
	sshagent.Agent
	public ssh.PublicKey
	socket string
	key    ed25519.PrivateKey
	flags  byte
}

func newToken(t *testing.T, flags byte) *token {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	public, err := ssh.ParsePublicKey(ssh.Marshal(struct{ T, K, A string }{ssh.KeyAlgoSKED25519, string(pub), "ssh:"}))
	require.NoError(t, err)
	k := &token{Agent: sshagent.NewKeyring(), public: public, key: key, flags: flags}
	k.socket = hoststest.ServeAgent(t, k)
	return k
}

func (k *token) List() ([]*sshagent.Key, error) {
	return []*sshagent.Key{{Format: k.public.Type(), Blob: k.public.Marshal(), Comment: "token"}}, nil
}

func (k *token) Sign(_ ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	app, sum := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	tail := []byte{k.flags, 0, 0, 0, 7}
	return &ssh.Signature{Format: k.public.Type(), Blob: ed25519.Sign(k.key, append(append(app[:], tail...), sum[:]...)), Rest: tail}, nil
}
