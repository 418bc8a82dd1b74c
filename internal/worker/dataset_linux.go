package worker

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// Names below the workdir.
const (
	datasetsDir     = "datasets"
	incomingDir     = "incoming"
	datasetsLock    = ".lock"
	indexSuffix     = ".index.jsonl.gz"
	describedSuffix = ".description.json"
)

// datasets is the store of one workdir.
type datasets struct{ dir string }

// serveDataset answers VerbDataset.
func serveDataset(ctx context.Context, o HostOptions) (any, error) {
	r, err := request[datasetRequest](o)
	if err != nil {
		return nil, err
	}
	if r.Do == datasetCount {
		return countTexts(ctx, o, r)
	}
	workdir, err := expand(r.Workdir, o.Home)
	if err != nil {
		return nil, err
	}
	s := datasets{dir: filepath.Join(workdir, datasetsDir)}
	if r.Do == datasetList {
		return s.list()
	}
	if !dataset.IsDigest(r.Digest) {
		return nil, fault.New(fault.InvalidInput, "%q is no digest of a dataset", cleanLine(r.Digest, 80)).At("dataset", cleanLine(r.Digest, 80)).Hint("give sha256: and 64 hexadecimal digits")
	}
	switch r.Do {
	case datasetShow:
		return s.show(o, r)
	case datasetBegin:
		return s.begin(r)
	case datasetStore:
		return s.store(ctx, o, r)
	}
	return nil, fault.New(fault.InvalidInput, "unknown request %q about a dataset", r.Do).At("do", r.Do, datasetList, datasetShow, datasetBegin, datasetStore, datasetCount)
}

// base is the path of everything of one dataset, without its suffix.
func (s datasets) base(digest string) string {
	return filepath.Join(s.dir, strings.Replace(digest, ":", "-", 1))
}

func (s datasets) list() (any, error) {
	names, err := filepath.Glob(filepath.Join(globQuote(s.dir), "*"+describedSuffix))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	out := []dataset.Description{}
	for _, name := range names {
		var d dataset.Description
		if readJSON(name, &d) == nil {
			out = append(out, d)
		}
	}
	return out, nil
}

// described reads a stored dataset's description; what has none was never stored to its end.
func (s datasets) described(digest string) (dataset.Description, error) {
	var d dataset.Description
	if !exists(s.base(digest) + ".jsonl") {
		return d, fs.ErrNotExist
	}
	err := readJSON(s.base(digest)+describedSuffix, &d)
	return d, err
}

func (s datasets) show(o HostOptions, r datasetRequest) (any, error) {
	d, err := s.described(r.Digest)
	if err != nil {
		return nil, absent(r.Digest)
	}
	out := DatasetStored{Description: d}
	if d.PromptTokens == nil {
		out.Uncounted = "add it again with --model"
	}
	if r.Tokenizer != nil {
		if now := tokenizerDigest(o, r.Tokenizer.Model); d.Tokenizer == "" || now != d.Tokenizer {
			out.Uncounted = "no tokenizer of this model counted it: add it again with --model"
			out.Description.PromptTokens, out.Description.LongestTokens, out.Description.Tokenizer = nil, nil, ""
		}
	}
	out.Index, err = s.index(r.Digest)
	return out, err
}

func absent(digest string) error {
	return fault.New(fault.NotFound, "dataset %s is not on this host", digest).At("dataset", digest).
		Hint("a person adds it: sotaloop dataset add FILE --host HOST")
}

func (s datasets) index(digest string) (*fileAnswer, error) {
	name := s.base(digest) + indexSuffix
	sum, err := digestFile(name)
	if err != nil {
		return nil, fault.Wrap(fault.Corrupt, err, "dataset %s has no index", digest).Hint("add the dataset again")
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	return &fileAnswer{Path: name, SHA256: sum, Size: info.Size()}, nil
}

func (s datasets) incoming(digest string) string {
	return filepath.Join(s.dir, incomingDir, strings.TrimPrefix(digest, "sha256:"))
}

func (s datasets) begin(r datasetRequest) (any, error) {
	_, err := s.described(r.Digest)
	out := datasetBegun{Stored: err == nil, Dir: s.incoming(r.Digest), Parts: map[string]int64{}}
	if out.Stored {
		return out, nil
	}
	if err := os.MkdirAll(out.Dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Denied, err, "the dataset cannot be stored on the host").Hint("correct workdir in hosts.yaml")
	}
	entries, err := os.ReadDir(out.Dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			out.Parts[e.Name()] = info.Size()
		}
	}
	return out, err
}

// store puts the parts together, checks the digest, and writes index and description, the description last.
func (s datasets) store(ctx context.Context, o HostOptions, r datasetRequest) (any, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Denied, err, "the dataset cannot be stored on the host").Hint("correct workdir in hosts.yaml")
	}
	unlock, err := lockFolder(s.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	was, missing := s.described(r.Digest)
	r.Private = r.Private || was.Private // also where somebody removed the key
	set, err := s.join(r, missing == nil)
	if err != nil {
		return nil, err
	}
	if set.Format, set.Skipped = r.Format, r.Skipped; missing == nil {
		set.Format, set.Skipped = was.Format, was.Skipped
	}
	out := DatasetStored{}
	if out.Description, out.Uncounted, err = describe(ctx, o, set, r.Tokenizer, was); err != nil {
		return nil, err
	}
	if err := writeIndex(s.base(r.Digest)+indexSuffix, set.Index); err != nil {
		return nil, err
	}
	if err := replaceJSON(s.base(r.Digest)+describedSuffix, out.Description); err != nil {
		return nil, err
	}
	if out.Index, err = s.index(r.Digest); err != nil {
		return nil, err
	}
	return out, os.RemoveAll(s.incoming(r.Digest))
}

// join stores the uploaded parts as one dataset; one that is stored is opened, and made private where that is wanted.
func (s datasets) join(r datasetRequest, stored bool) (*dataset.Set, error) {
	opt := dataset.Options{Private: r.Private, Want: r.Digest, MaxLine: 1 << 30, MaxRows: 1 << 31}
	if stored {
		set, err := dataset.Open(s.dir, r.Digest)
		if err != nil || !r.Private || set.Private() {
			return set, err
		}
		f, err := os.Open(set.Path())
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		return dataset.Store(s.dir, f, opt)
	}
	var readers []io.Reader
	for i := 0; ; i++ {
		f, err := os.Open(filepath.Join(s.incoming(r.Digest), partName(i)))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		readers = append(readers, f)
	}
	set, err := dataset.Store(s.dir, io.MultiReader(readers...), opt)
	if err != nil { // whatever arrived is of no use
		return nil, errors.Join(err, os.RemoveAll(s.incoming(r.Digest)))
	}
	return set, nil
}

// describe computes the figures. Tokens that another call counted stay where this one cannot count.
func describe(ctx context.Context, o HostOptions, set *dataset.Set, t *Tokenizer, was dataset.Description) (d dataset.Description, uncounted string, err error) {
	keep := func(why string) (dataset.Description, string, error) {
		d, err := dataset.Describe(set, nil)
		d.PromptTokens, d.LongestTokens, d.Tokenizer = was.PromptTokens, was.LongestTokens, was.Tokenizer
		if d.PromptTokens != nil && t == nil {
			why = ""
		}
		return d, why, err
	}
	if t == nil {
		return keep("no model was named whose tokenizer could count")
	}
	c, err := startCounter(ctx, o, *t)
	if err != nil {
		return keep(cleanLine(err.Error(), maxReasonLine))
	}
	d, err = dataset.Describe(set, c.count)
	if failed := c.stop(); failed != nil {
		return keep(cleanLine(failed.Error(), maxReasonLine))
	}
	d.Tokenizer = c.digest
	return d, "", err
}

func writeIndex(path string, ix *dataset.Index) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := errors.Join(ix.WriteIndex(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// lockFolder waits for the store's lock, which the kernel frees with the process.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, datasetsLock), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}

// countTexts answers datasetCount.
func countTexts(ctx context.Context, o HostOptions, r datasetRequest) (any, error) {
	if r.Tokenizer == nil {
		return nil, fault.New(fault.InvalidInput, "no tokenizer is named").At("tokenizer", "")
	}
	c, err := startCounter(ctx, o, *r.Tokenizer)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "the model's tokenizer cannot count").Hint("give one --output-len for every row, or correct the model's folder and the engine's venv in hosts.yaml")
	}
	counts := []int{}
	for _, text := range r.Texts {
		counts = append(counts, c.count(text))
	}
	if err := c.stop(); err != nil {
		return nil, fault.Wrap(fault.FrameworkFailed, err, "the model's tokenizer failed").Hint("give one --output-len for every row")
	}
	return counts, nil
}
