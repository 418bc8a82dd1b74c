// Package trace reads torch-profiler traces and says where the GPU's time (or, without one, the CPU's) went.
//
// One streaming pass over the (compressed) bytes keeps only what the tables need: GPU work, the calls
// that launched it, operators, step annotations and Python frames. Joins, stages and tables are then
// computed per file; a file is one rank. Rules that hold throughout:
//
//   - GPU work is the categories kernel, gpu_memcpy and gpu_memset, nothing else.
//   - Of a host without a GPU the tables are operators by self time of their thread, as PyTorch's profiler
//     sums it. They are marked so, and never taken together with GPU work.
//   - A GPU event belongs to the step whose CPU window contains its launch; what cannot be placed is
//     the stage "unassigned", so that stages add up to the file's total.
//   - Times are nanoseconds in int64 inside and microseconds in float64 in the results.
//   - Damaged input yields what was read, marked incomplete with the byte offset; never a guess.
package trace

import "io/fs"

// Options steer an analysis. The zero value shows every kernel row.
type Options struct {
	// MinShare hides kernel rows below this share of their stage (0.01 is one percent). Hidden rows
	// still count in totals, keep their number and are found by Row.
	MinShare float64
	// Mapping names traces (files or directories) of the same server run without CUDA graphs; they
	// give source locations for kernels that a graph replayed. Never used for timing.
	Mapping []string
	// Progress, where set, is told how many bytes of the input files were read. It is called from
	// several goroutines, never at the same time.
	Progress func(done, total int64)
	// Labels gives the stage ("prefill" or "decode") of a path where the caller knows it; a path in
	// Analyze's paths (file or directory) is the key.
	Labels map[string]string
	// Server tells what is known about the server; unknown facts leave fuse patterns undecided.
	Server Server
	// Files, where set, is where all paths are names of plain files, instead of on disk.
	Files fs.FS
	// Strip asks for the stages' strips, too; without, none is computed.
	Strip bool
}

// Server holds the server facts that gate fuse patterns. Zero values mean unknown.
type Server struct {
	Model string // model name or architecture as launched
	TP    int    // tensor-parallel size
	// Quantization is the weights' or activations' precision as launched, for example "fp8" or "none".
	Quantization string
}
