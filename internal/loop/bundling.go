package loop

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sotaloop/sotaloop/internal/bundle"
	"github.com/sotaloop/sotaloop/internal/chain"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/ledger"
)

// BundleIndex is the file of a bundle that says what it is of.
const BundleIndex = "bundle.json"

// MostBundledTrace is the size in bytes above which a trace stays out of a bundle. Rows and verdicts need none.
const MostBundledTrace = 32 << 20

// Bundled says what a bundle is of.
type Bundled struct {
	Kind     string            `json:"kind"`
	V        int               `json:"v"`
	Campaign string            `json:"campaign"`
	LeftOut  []ledger.Artifact `json:"left_out"` // traces that are larger than MostBundledTrace
}

// Kind and version of a bundle's index.
const (
	BundledKind    = "sotaloop.bundle"
	BundledVersion = 1
)

// WriteBundle writes the sealed part of the run directory at dir as one file to w: the ledger up to its last seal and what
// witnesses answered to it, and every file that the seal names. The same seal gives the same bytes.
func WriteBundle(dir string, w io.Writer) (Bundled, error) {
	entries, _, err := chain.Read(filepath.Join(dir, ledger.ChainFile), Kinds)
	if err != nil {
		return Bundled{}, damagedDir(err, dir)
	}
	n := sealedLines(entries)
	if n == 0 {
		return Bundled{}, fault.New(fault.InvalidInput, "%s is not sealed", filepath.Base(dir)).
			Hint("write_report seals a campaign; a bundle holds what a report was sealed over").Then("write_report", "seals and bundles")
	}
	return bundleOf(os.DirFS(dir), entries[:n], w)
}

// sealedLines counts the ledger's lines up to its last seal and the witnesses' answers right behind it, 0 where there is none.
func sealedLines(entries []chain.Entry) int {
	for i, e := range slices.Backward(entries) {
		if e.Kind != kindSealed {
			continue
		}
		for i++; i < len(entries) && entries[i].Kind == kindWitnessed; i++ {
		}
		return i
	}
	return 0
}

// bundleOf bundles the files of a ledger's lines.
func bundleOf(dir fs.FS, lines []chain.Entry, w io.Writer) (Bundled, error) {
	st, err := Replay(lines)
	if err != nil {
		return Bundled{}, err
	}
	index := Bundled{Kind: BundledKind, V: BundledVersion, Campaign: st.Contract.Campaign, LeftOut: []ledger.Artifact{}}
	var files []bundle.File
	for _, a := range ArtifactsOf(lines) {
		if st.mayLeaveOut(a) {
			index.LeftOut = append(index.LeftOut, a)
			continue
		}
		files = append(files, bundle.File{Name: a.Name, Size: a.Size, Open: func() (io.ReadCloser, error) { return ledger.Checked(dir, a) }})
	}
	head, err := chain.HeadOf(lines).File()
	if err != nil {
		return index, err
	}
	frozen, err := contractBytes(lines)
	if err != nil {
		return index, err
	}
	about, err := json.Marshal(index)
	if err != nil {
		return index, err
	}
	files = append(files, inMemory(ledger.HeadFile, head), inMemory(contractFile, frozen), inMemory(BundleIndex, append(about, '\n')))
	if rows := st.CandidateRows(); len(rows) > 0 {
		files = append(files, inMemory(rowsFile, rows))
	}
	chainFile, err := ledgerLines(dir, len(lines))
	if err != nil {
		return index, err
	}
	return index, bundle.Write(w, append(files, chainFile))
}

// mayLeaveOut says whether an artifact is a trace that is too large for a bundle.
func (s *State) mayLeaveOut(a ledger.Artifact) bool {
	return a.Size > MostBundledTrace && slices.ContainsFunc(s.Traces, func(t TraceCaptured) bool { return t.File.Artifact == a })
}

// LeftOut says whether a bundle may lack an artifact.
func (s *State) LeftOut(a ledger.Artifact) bool { return s.mayLeaveOut(a) }

// ledgerLines is the ledger's file as far as its first lines.
func ledgerLines(dir fs.FS, lines int) (bundle.File, error) {
	f, err := dir.Open(ledger.ChainFile)
	if err != nil {
		return bundle.File{}, err
	}
	defer f.Close()
	_, size, err := ledger.Prefix(f, lines)
	return bundle.File{Name: ledger.ChainFile, Size: size, Open: func() (io.ReadCloser, error) {
		f, err := dir.Open(ledger.ChainFile)
		if err != nil {
			return nil, err
		}
		return struct {
			io.Reader
			io.Closer
		}{io.LimitReader(f, size), f}, nil
	}}, err
}

func inMemory(name string, raw []byte) bundle.File {
	return bundle.File{Name: name, Size: int64(len(raw)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil }}
}

// damagedDir says what to do about a ledger that cannot be read.
func damagedDir(err error, dir string) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.NotFound, "%q is no run directory: it holds no %s", dir, ledger.ChainFile).At("path", dir)
	}
	return fault.Wrap(fault.Corrupt, err, "the ledger of %s does not verify", filepath.Base(dir)).Hint("run `sotaloop verify %s` for the first difference", dir)
}

// BundlePath is where a campaign's bundle lies.
func (l *Loop) BundlePath(campaign string) string {
	return filepath.Join(l.opt.Home, "bundles", campaign+bundle.Ending)
}

// bundle writes the campaign's bundle beside the run directories, replacing an earlier one only when it is whole.
func (c *campaign) bundle() (path string, err error) {
	path = c.loop.BundlePath(c.id)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".making-*")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // gone already where the rename went well
	_, err = WriteBundle(c.ledger.Dir(), tmp)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return "", fmt.Errorf("bundle %s: %w", c.id, err)
	}
	return path, os.Rename(tmp.Name(), path)
}
