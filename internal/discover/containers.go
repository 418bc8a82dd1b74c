package discover

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// repositories tells engines by the last part of an image's name, as their projects and NVIDIA's catalogue publish them.
var repositories = []struct {
	kind string
	name *regexp.Regexp
}{
	{"sglang", regexp.MustCompile(`^(nightly-)?sglang([-_].*)?$`)},
	{"vllm", regexp.MustCompile(`^vllm([-_].*)?$`)},
	{"tensorrt_llm", regexp.MustCompile(`^(tensorrt[-_]?llm|trtllm)([-_].*)?$`)},
	{"tokenspeed", regexp.MustCompile(`^tokenspeed([-_].*)?$`)},
}

// engineOfImage tells which engine an image is named after, "" for any other.
func engineOfImage(repository string) string {
	parts := strings.Split(strings.ToLower(repository), "/")
	names := parts[max(0, len(parts)-1):]
	if len(parts) > 1 && parts[len(parts)-1] == "release" { // nvcr.io/nvidia/tensorrt-llm/release
		names = parts[len(parts)-2 : len(parts)-1]
	}
	for _, r := range repositories {
		if r.name.MatchString(names[0]) {
			return r.kind
		}
	}
	return ""
}

var (
	imageID     = regexp.MustCompile(`^(sha256:)?[0-9a-f]{12,64}$`)
	imageDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	revision    = regexp.MustCompile(`^[0-9a-f]{40}$`)
)

// images asks docker and podman which images and containers they have. Nothing is started or fetched.
func (s *survey) images(ctx context.Context) {
	for _, engine := range []string{"docker", "podman"} {
		if s.f.Programs[engine] == "" {
			continue
		}
		rows, err := s.run(ctx, s.query, engine, []string{engine, "images", "--digests", "--no-trunc", "--format", "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.Size}}"})
		if err != nil {
			s.add(func(f *Found) { f.Denied[engine] = fault.Foreign(err.Error(), 200) })
			continue
		}
		all, ids := readImages(rows, engine)
		if len(ids) > 0 {
			s.commits(ctx, engine, all, ids)
		}
		running, _ := s.run(ctx, s.query, engine, []string{engine, "ps", "--format", "{{.Names}}\t{{.Image}}"})
		s.add(func(f *Found) {
			f.Images = append(f.Images, all...)
			for _, row := range running {
				if len(row) == 2 && engineOfImage(repositoryOf(row[1])) != "" && len(f.Containers) < maxPartition {
					f.Containers = append(f.Containers, fmt.Sprintf("%s of %s", fault.ForeignName(row[0], 80), fault.ForeignName(row[1], 160)))
				}
			}
		})
	}
}

// repositoryOf is an image's name without tag and digest.
func repositoryOf(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return name
}

// readImages reads the list of images: one for each name and digest, and the ids by which more can be asked.
func readImages(rows [][]string, engine string) (all []image, ids map[string][]int) {
	ids = map[string][]int{}
	for _, row := range rows {
		if len(row) != 5 || len(all) >= maxImages {
			continue
		}
		kind := engineOfImage(row[0])
		if kind == "" {
			continue
		}
		i := slices.IndexFunc(all, func(x image) bool { return x.name == row[0] && x.digest == row[2] && imageDigest.MatchString(row[2]) })
		if i < 0 {
			i = len(all)
			x := image{engine: engine, kind: kind, name: row[0], size: row[4]}
			if imageDigest.MatchString(row[2]) {
				x.digest = row[2]
			}
			all = append(all, x)
			if imageID.MatchString(row[3]) {
				ids[row[3]] = append(ids[row[3]], i)
			}
		}
		if row[1] != "<none>" {
			all[i].tags = append(all[i].tags, row[1])
		}
	}
	return all, ids
}

// commits reads which commit images say that they were built from.
func (s *survey) commits(ctx context.Context, engine string, all []image, ids map[string][]int) {
	argv := []string{engine, "image", "inspect", "--format", "{{.Id}}\t{{json .Config.Labels}}"}
	for id := range ids {
		argv = append(argv, id)
	}
	slices.Sort(argv[5:])
	rows, _ := s.run(ctx, s.query, engine, argv)
	for _, row := range rows {
		if len(row) != 2 {
			continue
		}
		var labels map[string]string
		if json.Unmarshal([]byte(row[1]), &labels) != nil || !revision.MatchString(labels["org.opencontainers.image.revision"]) {
			continue
		}
		for id, list := range ids {
			if strings.TrimPrefix(id, "sha256:") == strings.TrimPrefix(row[0], "sha256:") {
				for _, i := range list {
					all[i].commit = labels["org.opencontainers.image.revision"]
				}
			}
		}
	}
}

// partitions asks Slurm what it has.
func (s *survey) partitions(ctx context.Context) {
	if s.f.Programs["sinfo"] == "" {
		return
	}
	rows, err := s.run(ctx, s.query, "partitions", []string{"sinfo", "--noheader", "--format=%P\t%a\t%l\t%D\t%G"})
	s.add(func(f *Found) {
		if err != nil {
			f.Denied["sinfo"] = fault.Foreign(err.Error(), 200)
		}
		for _, row := range rows {
			if len(row) == 5 && len(f.Partitions) < maxPartition {
				name := func(i int) string { return fault.ForeignName(strings.TrimSpace(row[i]), 60) }
				f.Partitions = append(f.Partitions, fmt.Sprintf("%s: %s, %s nodes of %s, at most %s", name(0), name(1), name(3), name(4), name(2)))
			}
		}
	})
}
