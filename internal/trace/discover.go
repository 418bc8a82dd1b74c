package trace

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// input is one file to read.
type input struct {
	path    string
	label   string // stage known from names or from the caller
	rank    int    // from the name, -1 unknown
	size    int64
	trusted bool // named as a trace, or given by the caller
	open    func() (io.ReadCloser, error)
}

// discover lists the trace files of paths and what was ignored in directories.
func discover(paths []string, opt Options) (list []input, notes []string, err error) {
	seen := map[string]bool{}
	for _, root := range paths {
		info, err := statIn(opt.Files, root)
		if err != nil {
			return nil, nil, missing(root, err)
		}
		found := []string{root}
		if info.IsDir() {
			var ignored []string
			if found, ignored, err = walkTraces(root); err != nil {
				return nil, nil, fault.Wrap(fault.NotFound, err, "cannot list %q", root)
			}
			notes = append(notes, ignored...)
		}
		for _, path := range found {
			if clean := filepath.Clean(path); !seen[clean] {
				seen[clean] = true
				list = append(list, newInput(path, root, opt))
			}
		}
	}
	if len(list) == 0 {
		return nil, nil, fault.New(fault.NotFound, "no traces in %q", strings.Join(paths, ", ")).
			Hint("name a torch-profiler trace (.trace.json or .trace.json.gz) or a directory that holds some")
	}
	return list, notes, nil
}

// statIn looks at a path on disk, or in files where they are given, which have no folders for us.
func statIn(files fs.FS, path string) (fs.FileInfo, error) {
	if files == nil {
		return os.Stat(path)
	}
	info, err := fs.Stat(files, path)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: path, Err: fs.ErrInvalid}
	}
	return info, err
}

// missing is the fault of a path that cannot be read.
func missing(path string, err error) error {
	code := fault.NotFound
	if errors.Is(err, fs.ErrPermission) {
		code = fault.Denied
	}
	return fault.Wrap(code, err, "cannot read %q", path).At("path", path)
}

// newInput describes one file.
func newInput(path, root string, opt Options) input {
	in := input{path: path, rank: rankOfName(filepath.Base(path)), trusted: path == root || namedTrace(filepath.Base(path))}
	in.open = func() (io.ReadCloser, error) {
		if opt.Files != nil {
			return opt.Files.Open(path)
		}
		return os.Open(path)
	}
	if info, err := statIn(opt.Files, path); err == nil {
		in.size = info.Size()
	}
	for _, key := range []string{path, root} {
		if l, ok := opt.Labels[key]; ok && stageNumber(l) != noStage {
			in.label = l
			return in
		}
	}
	in.label = labelOfPath(path)
	return in
}

// walkTraces lists the traces under a directory, in order of name.
func walkTraces(root string) (found, ignored []string, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		switch {
		case d.IsDir():
			if path != root && (name == "graph_capture_profile" || name == "capture_traces") {
				ignored = append(ignored, "ignored "+strconv.Quote(path)+": it holds graph captures, no serving")
				return fs.SkipDir
			}
		case !looksJSON(name):
		default:
			if why := notARank(name); why != "" {
				ignored = append(ignored, "ignored "+strconv.Quote(path)+": "+why)
			} else {
				found = append(found, path)
			}
		}
		return nil
	})
	slices.Sort(found)
	return found, ignored, err
}

// looksJSON tells file names that could be traces.
func looksJSON(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	return strings.HasSuffix(name, ".json")
}

// namedTrace tells names that only traces have.
func namedTrace(name string) bool {
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	return strings.HasSuffix(name, ".trace.json") || strings.Contains(name, ".pt.trace.json")
}

// partName matches files that are still being written.
var partName = regexp.MustCompile(`\.part\d+\.`)

// notARank says why a file of a capture is no rank's trace; empty when it may be one.
func notARank(name string) string {
	switch low := strings.ToLower(name); {
	case low == "server_args.json", low == "metadata.json", low == "config.json":
		return "it describes the server, it is no trace"
	case strings.Contains(low, ".async_llm."):
		return "it is the frontend's trace, no rank's"
	case strings.HasPrefix(low, "merged-"):
		return "merged ranks; read the ranks' own traces"
	case partName.MatchString(low):
		return "it is still being written"
	}
	return ""
}

// ranksInName match a rank in a file's name, the more telling first.
var ranksInName = [...]*regexp.Regexp{
	regexp.MustCompile(`(?i)(?:^|[._-])rank[-_]?(\d+)(?:[._-]|$)`),
	regexp.MustCompile(`(?i)(?:^|[._-])tp[-_]?(\d+)(?:[._-]|$)`),
	regexp.MustCompile(`(?i)(?:^|[._-])worker[-_]?(\d+)(?:[._-]|$)`),
}

// rankOfName reads the rank from a file's name, -1 when it says none.
func rankOfName(name string) int {
	for _, re := range ranksInName {
		if m := re.FindStringSubmatch(name); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil {
				return n
			}
		}
	}
	return -1
}

// labelOfPath reads the stage from a file's name or the directories right above it: SGLang's -EXTEND and
// -DECODE, or prefill and decode as a word of their own.
func labelOfPath(path string) string {
	parts := strings.Split(filepath.ToSlash(path), "/")
	last := len(parts) - 1
	for n := last; n >= 0 && n > last-6; n-- {
		text := words(strings.ToLower(parts[n]))
		prefill, decode := has(text, []string{" prefill ", " extend "}), has(text, []string{" decode "})
		if n < last { // a directory says it alone: "decode", not "decode-heavy-runs"
			text = strings.TrimSpace(text)
			prefill, decode = text == "prefill" || text == "extend", text == "decode"
		}
		switch {
		case prefill && decode:
			return ""
		case prefill:
			return Prefill
		case decode:
			return Decode
		}
	}
	return ""
}
