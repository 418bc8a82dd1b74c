package genuine

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// maxRecord bounds one RECORD file in bytes; torch's is a megabyte.
const maxRecord = 64 << 20

// line is one file that a RECORD lists; sum is empty where it gives none.
type line struct{ name, sum string }

// parseRecord reads a RECORD: path, algorithm=digest, size. Every digest but SHA-256 is refused, since a weaker one proves
// nothing.
func parseRecord(text string) ([]line, error) {
	r := csv.NewReader(strings.NewReader(text))
	r.FieldsPerRecord, r.ReuseRecord = -1, true
	var out []line
	for {
		row, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return out, nil
		case err != nil:
			return nil, fmt.Errorf("RECORD: %w", err)
		case len(row) == 0 || row[0] == "":
			continue
		}
		l := line{name: strings.Clone(row[0])}
		if len(row) > 1 && row[1] != "" {
			algorithm, digest, _ := strings.Cut(row[1], "=")
			raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(digest, "="))
			if algorithm != "sha256" || err != nil || len(raw) != sha256.Size {
				return nil, fmt.Errorf("RECORD: %q has the digest %q, which is no SHA-256", plain(row[0]), plain(row[1]))
			}
			l.sum = hex.EncodeToString(raw)
		}
		out = append(out, l)
	}
}

// dist is an installed distribution with what its RECORD lists, by absolute path.
type dist struct {
	Distribution
	site  string
	info  string // its .dist-info folder
	files map[string]string
	tops  map[string]bool // first parts of the paths below site
	why   string          // why its RECORD says nothing
}

// readDist reads one .dist-info folder. Files outside the environment's prefix are nothing that an installer lists.
func readDist(prefix, site, info string) *dist {
	name, version, _ := strings.Cut(strings.TrimSuffix(filepath.Base(info), ".dist-info"), "-")
	d := &dist{Distribution: Distribution{Name: normal(name), Version: version}, site: site, info: info, files: map[string]string{}, tops: map[string]bool{}}
	var url struct {
		Dir struct {
			Editable bool `json:"editable"`
		} `json:"dir_info"`
	}
	if raw, err := os.ReadFile(filepath.Join(info, "direct_url.json")); err == nil && json.Unmarshal(raw, &url) == nil {
		d.Editable = url.Dir.Editable
	}
	raw, err := readCapped(filepath.Join(info, "RECORD"), maxRecord)
	if err != nil {
		d.why = "it has no RECORD that can be read"
		return d
	}
	sum := sha256.Sum256(raw)
	d.Record = hex.EncodeToString(sum[:])
	lines, err := parseRecord(string(raw))
	if err != nil {
		d.why = err.Error()
		return d
	}
	if len(lines) == 0 {
		d.why = "its RECORD lists nothing"
	}
	d.Content = content(lines)
	for _, l := range lines {
		at := filepath.Join(site, filepath.FromSlash(l.name))
		if filepath.IsAbs(l.name) {
			at = filepath.Clean(l.name)
		}
		if at != prefix && !strings.HasPrefix(at, prefix+string(filepath.Separator)) {
			d.why = fmt.Sprintf("its RECORD names %s, outside the environment", plain(l.name))
			continue
		}
		d.files[at] = l.sum
		if top, _, _ := strings.Cut(path.Clean(l.name), "/"); top != ".." && !strings.HasSuffix(top, ".dist-info") && top != "__pycache__" {
			d.tops[top] = true
		}
	}
	return d
}

// content is a RECORD's digest without what installers add.
func content(lines []line) string {
	var keep []string
	for _, l := range lines {
		folder, base := path.Split(path.Clean(l.name))
		added := strings.HasSuffix(strings.TrimSuffix(folder, "/"), ".dist-info") &&
			slices.Contains([]string{"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}, base)
		if l.sum == "" || added || strings.HasPrefix(l.name, "..") || strings.HasSuffix(l.name, ".pyc") {
			continue
		}
		keep = append(keep, l.name+","+l.sum)
	}
	slices.Sort(keep)
	sum := sha256.Sum256([]byte(strings.Join(keep, "\n")))
	return hex.EncodeToString(sum[:])
}

func readCapped(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	raw, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(raw)) > limit {
		err = errors.New("larger than it may be")
	}
	return raw, err
}
