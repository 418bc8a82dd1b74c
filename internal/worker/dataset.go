package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path"

	"github.com/sotaloop/sotaloop/internal/dataset"
	"github.com/sotaloop/sotaloop/internal/fault"
)

// DatasetDraw says which rows of a stored dataset a point sends. The worker draws them where the dataset lies: plans stay
// small, and private text never leaves the host.
type DatasetDraw struct {
	Dataset string       `json:"dataset"` // sha256:…
	By      dataset.By   `json:"by"`
	Draw    dataset.Draw `json:"draw"`
	Private bool         `json:"private,omitempty"` // the contract says so: without its key the dataset is not sent
}

// Tokenizer is where a model's tokenizer.json lies on the host, and interpreters that may have the library to read it.
type Tokenizer struct {
	Model   string   `json:"model"`   // folder
	Pythons []string `json:"pythons"` // tried in order
}

// AddDataset is a normalised dataset on its way to a host.
type AddDataset struct {
	Digest    string
	Size      int64
	Format    dataset.Format // how it came
	Skipped   []dataset.Skip
	Private   bool
	Tokenizer *Tokenizer // nil: lengths in characters alone
	Open      Opener     // canonical lines
	Progress  func(done int64)
	PartSize  int64 // bytes sent at once: what a broken connection costs; 0 is 32 MiB
}

// DatasetStored is a dataset on a host.
type DatasetStored struct {
	Description dataset.Description `json:"description"`
	Index       *fileAnswer         `json:"index"`
	Uncounted   string              `json:"uncounted,omitempty"` // why there are no lengths in tokens
}

// What VerbDataset may be asked to do.
const (
	datasetList  = "list"
	datasetShow  = "show"
	datasetBegin = "begin" // what of an upload is there
	datasetStore = "store" // put the uploaded parts together
	datasetCount = "count" // tokens of texts
)

type datasetRequest struct {
	Workdir   string         `json:"workdir"`
	Do        string         `json:"do"`
	Digest    string         `json:"digest,omitempty"`
	Format    dataset.Format `json:"format,omitempty"`
	Skipped   []dataset.Skip `json:"skipped,omitempty"`
	Private   bool           `json:"private,omitempty"`
	Tokenizer *Tokenizer     `json:"tokenizer,omitempty"`
	Texts     []string       `json:"texts,omitempty"`
}

// datasetBegun answers datasetBegin.
type datasetBegun struct {
	Stored bool             `json:"stored"`
	Dir    string           `json:"dir"`   // absolute, where parts go
	Parts  map[string]int64 `json:"parts"` // name → bytes
}

const defaultPartSize = 32 << 20

func partName(i int) string { return fmt.Sprintf("part-%06d", i) }

// Datasets lists what is stored on the host.
func (c *Client) Datasets(ctx context.Context) ([]dataset.Description, error) {
	list := []dataset.Description{}
	err := c.call(ctx, VerbDataset, datasetRequest{Workdir: c.workdir, Do: datasetList}, &list)
	return list, err
}

// Dataset finds one dataset. Its lengths in tokens are there if the tokenizer of that model counted them.
func (c *Client) Dataset(ctx context.Context, digest, model string) (DatasetStored, error) {
	var out DatasetStored
	r := datasetRequest{Workdir: c.workdir, Do: datasetShow, Digest: digest}
	if model != "" {
		r.Tokenizer = &Tokenizer{Model: model}
	}
	return out, c.call(ctx, VerbDataset, r, &out)
}

// FetchIndex copies a dataset's index and checks it against the digest taken on the host.
func (c *Client) FetchIndex(ctx context.Context, d DatasetStored, w io.Writer) error {
	if d.Index == nil {
		return fault.New(fault.NotFound, "the host has no index of dataset %s", d.Description.Digest).Hint("add the dataset again")
	}
	sum := sha256.New()
	if err := c.conn.Download(ctx, d.Index.Path, io.MultiWriter(w, sum)); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != d.Index.SHA256 {
		return fault.New(fault.Corrupt, "the index of dataset %s arrived with another digest than it has on the host", d.Description.Digest).At("sha256", got, d.Index.SHA256).Hint("call again")
	}
	return nil
}

// StoreDataset brings a dataset to the host. It may be called again after any failure: parts that arrived are not sent
// again, and storing what is stored changes nothing but, where it was not yet, makes it private or counts its tokens.
func (c *Client) StoreDataset(ctx context.Context, a AddDataset) (DatasetStored, error) {
	var out DatasetStored
	r := datasetRequest{Workdir: c.workdir, Do: datasetBegin, Digest: a.Digest, Format: a.Format, Skipped: a.Skipped, Private: a.Private, Tokenizer: a.Tokenizer}
	var begun datasetBegun
	if err := c.call(ctx, VerbDataset, r, &begun); err != nil {
		return out, err
	}
	if !begun.Stored {
		if err := c.uploadParts(ctx, a, begun); err != nil {
			return out, err
		}
	}
	r.Do = datasetStore
	return out, c.call(ctx, VerbDataset, r, &out)
}

func (c *Client) uploadParts(ctx context.Context, a AddDataset, begun datasetBegun) error {
	src, err := a.Open()
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	size := a.PartSize
	if size <= 0 {
		size = defaultPartSize
	}
	for i, done := 0, int64(0); done < a.Size; i++ {
		n := min(size, a.Size-done)
		part := io.LimitReader(src, n)
		if begun.Parts[partName(i)] == n {
			_, err = io.CopyN(io.Discard, part, n)
		} else {
			err = c.conn.Upload(ctx, part, path.Join(begun.Dir, partName(i)), 0o600)
		}
		if err != nil {
			return err
		}
		if done += n; a.Progress != nil {
			a.Progress(done)
		}
	}
	return nil
}

// CountTokens counts the tokens of texts by a model's tokenizer, without the special ones that a request adds.
func (c *Client) CountTokens(ctx context.Context, t Tokenizer, texts []string) ([]int, error) {
	var counts []int
	if err := c.call(ctx, VerbDataset, datasetRequest{Workdir: c.workdir, Do: datasetCount, Tokenizer: &t, Texts: texts}, &counts); err != nil {
		return nil, err
	}
	if len(counts) != len(texts) {
		return nil, fault.New(fault.Internal, "the tokenizer counted %d of %d texts", len(counts), len(texts))
	}
	return counts, nil
}
