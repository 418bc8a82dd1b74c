package trace

import (
	"strconv"
	"strings"
)

// Analysis is everything found in a set of traces.
type Analysis struct {
	// Stages has one entry per file and stage, ordered by stage, then rank, then file.
	Stages []Stage `json:"stages"`
	// Ranks compares the ranks of each stage; empty where a stage was seen on one rank only.
	Ranks []Spread `json:"ranks"`
	// Incomplete says that at least one file could only be read in part.
	Incomplete bool `json:"incomplete"`
	// Files are the traces that were read, in the order of their paths.
	Files []File `json:"files"`
	// Notes are caveats for a person: ignored files, unknown step modes, contradictions.
	Notes []string `json:"notes"`
}

// File is one trace as it was read.
type File struct {
	Path      string `json:"path"`
	Digest    string `json:"digest"` // SHA-256 of the file's bytes, hex
	Rank      int    `json:"rank"`
	Label     string `json:"label"`     // stage the file's name, directory or caller gave it, else empty
	Framework string `json:"framework"` // sglang, vllm, tensorrt_llm, tokenspeed or empty
	Device    string `json:"device"`    // GPU name the profiler recorded, else empty
	SizeBytes int64  `json:"size_bytes"`
	Events    int64  `json:"events"`
	// TotalUS is the summed GPU time of the file (on a CPU host: operators' self time): its stages add up to it.
	TotalUS    float64 `json:"total_us"`
	Incomplete bool    `json:"incomplete"`
	// OffsetBytes is where reading stopped in the uncompressed text, -1 when the file was read whole.
	OffsetBytes int64 `json:"offset_bytes"`
	// Error says why reading stopped, else empty.
	Error string `json:"error"`
}

// Rename puts another name in the place of a file's path, in notes and errors too: tables that are kept name no folder
// of the machine that made them.
func (a *Analysis) Rename(path, to string) {
	plain := strings.NewReplacer(strconv.Quote(path), strconv.Quote(to), path, to)
	for i := range a.Notes {
		a.Notes[i] = plain.Replace(a.Notes[i])
	}
	for i := range a.Files {
		if f := &a.Files[i]; f.Path == path {
			f.Path, f.Error = to, plain.Replace(f.Error)
		}
	}
	for i := range a.Stages {
		if a.Stages[i].Path == path {
			a.Stages[i].Path = to
		}
	}
}
