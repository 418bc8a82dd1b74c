package worker

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	maxConfig       = 64 << 10
	maxTensorHeader = 100 << 20 // the safetensors format's own limit
	gapAbsent       = "absent"
	gapPartial      = "partial"
)

// findModel looks for a snapshot: where hosts.yaml says, else in the Hugging Face cache. Nothing is downloaded.
func findModel(id, path, hfCache, home string) Model {
	if path == "" {
		path = cachedSnapshot(id, hfCache, home)
	}
	dir, err := expand(path, home)
	if err != nil {
		return Model{Gap: gapAbsent}
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	m := Model{Path: dir}
	config, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		m.Gap = gapAbsent
		if exists(dir) {
			m.Gap = gapPartial
		}
		return m
	}
	m.Config = string(config[:min(len(config), maxConfig)])
	files := snapshotFiles(dir)
	m.Identity, m.Bytes = identify(files)
	m.Code = codeOf(files)
	if !hasWeights(dir, files) {
		m.Gap = gapPartial
	}
	return m
}

// cachedSnapshot finds a model's snapshot in the layout of huggingface_hub: the one that refs/main names, else the only one.
func cachedSnapshot(id, hfCache, home string) string {
	cache, err := expand(hfCache, home)
	if err != nil || strings.Contains(id, "..") {
		return ""
	}
	for _, base := range []string{filepath.Join(cache, "hub"), cache} {
		repo := filepath.Join(base, "models--"+strings.ReplaceAll(id, "/", "--"))
		if ref, err := os.ReadFile(filepath.Join(repo, "refs", "main")); err == nil {
			if dir := filepath.Join(repo, "snapshots", strings.TrimSpace(string(ref))); exists(dir) {
				return dir
			}
		}
		if all, _ := os.ReadDir(filepath.Join(repo, "snapshots")); len(all) == 1 {
			return filepath.Join(repo, "snapshots", all[0].Name())
		}
	}
	return ""
}

// snapshotFile is one file of a snapshot; blob is its name in the cache's content store.
type snapshotFile struct {
	name, path, blob string
	size             int64
}

func snapshotFiles(dir string) []snapshotFile {
	var files []snapshotFile
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // an unreadable folder has no files for us
		}
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && path != dir {
				return filepath.SkipDir
			}
			return nil
		}
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			return nil //nolint:nilerr // a link into nothing: an incomplete download
		}
		rel, _ := filepath.Rel(dir, path)
		f := snapshotFile{name: filepath.ToSlash(rel), path: path, size: info.Size()}
		if target, err := os.Readlink(path); err == nil && strings.Contains(target, "blobs/") {
			f.blob = filepath.Base(target)
		}
		files = append(files, f)
		return nil
	})
	slices.SortFunc(files, func(a, b snapshotFile) int { return strings.Compare(a.name, b.name) })
	return files
}

// codeOf digests a snapshot's Python files; one that cannot be read has no digest.
func codeOf(files []snapshotFile) map[string]string {
	out := map[string]string{}
	for _, f := range files {
		if strings.HasSuffix(f.name, ".py") {
			out[f.name], _ = digestFile(f.path)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// identify digests a snapshot without reading its weights: names, sizes, the cache's blob names, and for plain files the
// header of each safetensors file and the whole of small ones.
func identify(files []snapshotFile) (identity string, bytes int64) {
	h := sha256.New()
	for _, f := range files {
		bytes += f.size
		content := f.blob
		switch {
		case content != "":
		case strings.HasSuffix(f.name, ".safetensors"):
			content = tensorHeader(f.path)
		case f.size <= 1<<20:
			content, _ = digestFile(f.path)
		}
		fmt.Fprintf(h, "%q %d %s\n", f.name, f.size, content)
	}
	return hex.EncodeToString(h.Sum(nil)), bytes
}

// tensorHeader is the SHA-256 of a safetensors header: eight bytes of length, then JSON.
func tensorHeader(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	var size [8]byte
	if _, err := io.ReadFull(f, size[:]); err != nil {
		return ""
	}
	n := binary.LittleEndian.Uint64(size[:])
	if n > maxTensorHeader {
		return ""
	}
	h := sha256.New()
	h.Write(size[:])
	if _, err := io.CopyN(h, f, int64(n)); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// hasWeights says whether the weights that the index names are there; without an index, whether any are. A file that is
// still being written has a name ending in .incomplete and is no weight file.
func hasWeights(dir string, files []snapshotFile) bool {
	have := map[string]bool{}
	weights := false
	for _, f := range files {
		have[f.name] = true
		weights = weights || slices.Contains([]string{".safetensors", ".bin", ".pt", ".gguf"}, filepath.Ext(f.name))
	}
	for _, index := range []string{"model.safetensors.index.json", "pytorch_model.bin.index.json"} {
		var listed struct {
			Map map[string]string `json:"weight_map"`
		}
		raw, err := os.ReadFile(filepath.Join(dir, index))
		if err != nil || json.Unmarshal(raw, &listed) != nil {
			continue
		}
		for _, file := range listed.Map {
			if !have[file] {
				return false
			}
		}
	}
	return weights
}
