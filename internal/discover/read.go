package discover

import (
	"context"
	"encoding/json"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/fault"
	"github.com/sotaloop/sotaloop/internal/framework"
)

// fields gives the n fields of a row that begins with tag.
func fields(row []string, tag string, n int) ([]string, bool) {
	if len(row) != n+1 || row[0] != tag {
		return nil, false
	}
	return row[1:], true
}

// machine reads machineScript's lines.
func (s *survey) machine(rows [][]string) {
	f := s.f
	texts := map[string]*string{"home": &f.Home, "realhome": &f.RealHome, "user": &f.User, "os": &f.OS, "version": &f.Version, "kernel": &f.Kernel, "machine": &f.Machine}
	for _, row := range rows {
		if v, ok := fields(row, row[0], 1); ok {
			switch row[0] {
			case "cores":
				f.Cores, _ = strconv.Atoi(v[0])
			case "memory":
				kib, _ := strconv.ParseInt(v[0], 10, 64)
				f.MemoryMiB = kib >> 10
			case "secret":
				f.Secrets = append(f.Secrets, v[0])
			case "writable":
				f.Writable[v[0]] = true
			case "path":
				f.Variable["PATH "+v[0]] = path.Dir(path.Dir(v[0]))
			default:
				if at := texts[row[0]]; at != nil {
					*at = v[0]
				}
			}
		}
		if v, ok := fields(row, "program", 2); ok {
			f.Programs[v[0]] = v[1]
		}
		if v, ok := fields(row, "variable", 2); ok && v[1] != "" {
			f.Variable[v[0]] = v[1]
		}
	}
	if !path.IsAbs(f.Home) {
		f.Home = ""
	}
}

// disks asks where there is room.
func (s *survey) disks(ctx context.Context) {
	rows, _ := s.script(ctx, s.query, "disks", disksScript, s.f.User)
	var all []disk
	for _, row := range rows {
		v, ok := fields(row, "disk", 4)
		if !ok {
			continue
		}
		df := strings.Fields(v[3]) // device blocks used available share mount
		if len(df) < 6 {
			continue
		}
		free, err := strconv.ParseInt(df[3], 10, 64)
		if err != nil {
			continue
		}
		all = append(all, disk{dir: v[0], writable: v[1] == "yes", kind: v[2], device: df[0], freeMiB: free >> 10, mount: strings.Join(df[5:], " ")})
	}
	s.add(func(f *Found) { f.Disks = all })
}

// gpus asks the driver. A host without nvidia-smi has none.
func (s *survey) gpus(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.query)
	defer cancel()
	all, _, err := hosts.QueryGPUs(ctx, s.conn)
	if fault.CodeOf(err) == fault.NotFound {
		err = nil
	}
	s.add(func(f *Found) { f.GPUs, f.GPUError = all, err })
}

// info is the name of a distribution's folder.
var info = regexp.MustCompile(`^(sglang|vllm|tensorrt_llm|tokenspeed)-(.+)\.dist-info$`)

// environments finds engines that are installed.
func (s *survey) environments(ctx context.Context) {
	var more []string
	for name, at := range s.f.Variable {
		if (strings.HasPrefix(name, "PATH ") || name == "VIRTUAL_ENV" || name == "CONDA_PREFIX") && path.IsAbs(at) && at != "/" {
			more = append(more, at)
		}
	}
	slices.Sort(more)
	rows, _ := s.script(ctx, s.search, "environments", environmentsScript, more...)
	var all []dist
	seen := map[string]bool{}
	for _, row := range rows {
		v, ok := fields(row, "dist", 5)
		if !ok || seen[v[0]+v[2]] || len(all) >= maxPrefixes {
			continue
		}
		m := info.FindStringSubmatch(v[2])
		if m == nil || !path.IsAbs(v[0]) {
			continue
		}
		seen[v[0]+v[2]] = true
		all = append(all, dist{kind: m[1], version: m[2], prefix: path.Clean(v[0]), site: v[1], python: v[3] == "yes", url: v[4]})
	}
	s.add(func(f *Found) { f.Dists = all })
}

// models finds checkpoints.
func (s *survey) models(ctx context.Context) {
	rows, _ := s.script(ctx, s.search, "models", modelsScript, s.f.Variable["HF_HUB_CACHE"], s.f.Variable["HF_HOME"])
	var all []model
	var hubs []cache
	seen := map[string]bool{}
	for _, row := range rows {
		if v, ok := fields(row, "model", 4); ok && !seen[v[0]] && path.IsAbs(v[0]) {
			m := model{dir: path.Clean(v[0])}
			m.files, _ = strconv.Atoi(v[1])
			m.bytes, _ = strconv.ParseInt(v[2], 10, 64)
			m.absent, _ = strconv.Atoi(v[3])
			seen[v[0]], all = true, append(all, m)
		}
		if v, ok := fields(row, "cached", 3); ok && !seen[v[0]+"\t"+v[1]] && path.IsAbs(v[0]) {
			seen[v[0]+"\t"+v[1]] = true
			hubs = addCached(hubs, strings.TrimSuffix(path.Clean(v[0]), "/hub"), v[1], v[2] == "yes")
		}
	}
	s.add(func(f *Found) { f.Models, f.Caches = all, hubs })
}

func addCached(all []cache, dir, repo string, whole bool) []cache {
	i := slices.IndexFunc(all, func(c cache) bool { return c.dir == dir })
	if i < 0 {
		all, i = append(all, cache{dir: dir}), len(all)
	}
	if whole {
		all[i].complete = append(all[i].complete, strings.ReplaceAll(strings.TrimPrefix(repo, "models--"), "--", "/"))
	} else {
		all[i].partial++
	}
	return all
}

// second asks about what the first look gave: which programs are there, and of which commit editable installs are.
func (s *survey) second(ctx context.Context) {
	var args []string
	folders := map[string][]int{}
	for i, d := range s.f.Dists {
		if len(args) > 2*maxProbed {
			break
		}
		if program := programOf(d); program != "" {
			args = append(args, "p", program)
		}
		if dir := editableFolder(d.url); dir != "" {
			folders[dir] = append(folders[dir], i)
			args = append(args, "d", dir)
		}
	}
	if len(args) == 0 {
		return
	}
	rows, _ := s.script(ctx, s.query, "checkouts", secondScript, args...)
	for _, row := range rows {
		if v, ok := fields(row, "runs", 1); ok {
			for i, d := range s.f.Dists {
				s.f.Dists[i].runs = d.runs || programOf(d) == v[0]
			}
		}
		if v, ok := fields(row, "checkout", 3); ok {
			for _, i := range folders[v[0]] {
				s.f.Dists[i].checkout, s.f.Dists[i].commit = v[1], v[2]
			}
		}
	}
}

// programOf is what an adapter starts to ask an engine for its flags, "" where it is not known.
func programOf(d dist) string {
	e := framework.Engine{Type: contract.Framework(d.kind), Venv: d.prefix}
	fw, err := framework.Of(e.Type)
	if err != nil {
		return ""
	}
	argv, err := fw.HelpCommand(e, "serve")
	if err != nil || len(argv) == 0 {
		return ""
	}
	return argv[0]
}

// directURL is what installers write into direct_url.json.
type directURL struct {
	URL string `json:"url"`
	Dir struct {
		Editable bool `json:"editable"`
	} `json:"dir_info"`
	VCS struct {
		Commit string `json:"commit_id"`
	} `json:"vcs_info"`
}

func readDirectURL(text string) directURL {
	var u directURL
	_ = json.Unmarshal([]byte(text), &u) // what is no JSON says nothing
	return u
}

// editableFolder is where the source of an editable install lies, "" where it is none.
func editableFolder(text string) string {
	u := readDirectURL(text)
	at, err := url.Parse(u.URL)
	if !u.Dir.Editable || err != nil || at.Scheme != "file" || !path.IsAbs(at.Path) || strings.ContainsAny(at.Path, "\n\t\x00") {
		return ""
	}
	return path.Clean(at.Path)
}
