package trace

import (
	"strconv"
	"strings"
)

// site is the source line of a Python frame and how well it explains GPU work.
type site struct {
	path string
	line int
	fn   string
	rank int16 // higher explains better; not positive: never shown
}

// lowSignal is taken off frames that only dispatch to the code that matters.
const lowSignal = 80

// roots are the packages whose frames explain most: framework code before its kernel libraries. path is
// the directory inside the frame's path, repo what the repository calls it.
var roots = [...]struct {
	dir, repo string
	rank      int16
}{
	{"python/sglang/", "python/sglang/", 300},
	{"sglang/", "python/sglang/", 290},
	{"vllm/", "vllm/", 285},
	{"python/tokenspeed/", "python/tokenspeed/", 283},
	{"tokenspeed/", "python/tokenspeed/", 283},
	{"tensorrt_llm/", "tensorrt_llm/", 280},
	{"sgl_kernel/", "sgl-kernel/python/sgl_kernel/", 260},
	{"flashinfer/", "flashinfer/", 230},
	{"deep_gemm/", "deep_gemm/", 225},
	{"triton_kernels/", "triton_kernels/", 220},
}

// internal are packages that launch on behalf of others: their frames never explain.
var internal = [...]string{
	"torch/", "triton/", "torchgen/", "functorch/", "nvidia/", "cuda/", "cupy/", "numpy/", "asyncio/", "concurrent/",
	"multiprocessing/", "importlib/", "logging/", "uvloop/", "uvicorn/", "fastapi/", "starlette/", "zmq/", "tvm_ffi/",
	"collections/", "ctypes/", "json/", "unittest/", "encodings/", "html/", "http/", "email/", "urllib/", "tqdm/",
}

// standard are single-file modules of Python's library that show up in stacks.
var standard = [...]string{
	"abc", "bdb", "codecs", "contextlib", "copy", "dataclasses", "enum", "functools", "genericpath", "inspect", "io",
	"operator", "os", "pickle", "posixpath", "queue", "random", "re", "runpy", "selectors", "signal", "socket", "ssl",
	"string", "subprocess", "tempfile", "textwrap", "threading", "traceback", "types", "typing", "typing_extensions",
	"warnings", "weakref", "_weakrefset", "_collections_abc",
}

// siteOf reads a frame's name, "path/file.py(12): func". Names of another form (builtins, modules) get
// a negative rank.
func siteOf(name string) site {
	none := site{rank: -1}
	head, fn, ok := strings.Cut(name, "): ")
	if !ok || strings.HasPrefix(name, "<") {
		return none
	}
	path, digits, ok := cutLast(head, "(")
	line, err := strconv.Atoi(digits)
	if !ok || err != nil || !strings.HasSuffix(path, ".py") {
		return none
	}
	s := site{path: strings.ReplaceAll(path, `\`, "/"), line: line, fn: fn}
	s.place()
	if s.rank > 0 && s.onlyDispatches() {
		s.rank = max(s.rank-lowSignal, 1)
	}
	return s
}

// place makes the path relative to its repository and ranks it.
func (s *site) place() {
	rooted := "/" + strings.TrimPrefix(s.path, "/")
	for _, r := range roots {
		if at := strings.LastIndex(rooted, "/"+r.dir); at >= 0 && !isTorchOf(rooted[:at]) {
			s.path, s.rank = r.repo+rooted[at+1+len(r.dir):], r.rank
			return
		}
	}
	absolute := strings.HasPrefix(s.path, "/")
	if at := strings.LastIndex(s.path, "-packages/"); at >= 0 { // site-packages, dist-packages
		s.path, absolute = s.path[at+len("-packages/"):], false
	} else if at := pythonLib(s.path); at > 0 {
		s.path, absolute = s.path[at:], false
	}
	s.rank = 45
	switch {
	case s.isInternal():
		s.rank = -1
	case absolute:
		s.rank = 110
	case !strings.Contains(s.path, "/"):
		s.rank = 35
	}
}

// isTorchOf keeps "torch/…/vllm/" from being taken for vLLM.
func isTorchOf(before string) bool { return strings.HasSuffix(before, "/torch") }

// pythonLib finds where a path leaves "…/lib/python3.12/", 0 when it does not.
func pythonLib(path string) int {
	at := strings.LastIndex(path, "/lib/python")
	if at < 0 {
		return 0
	}
	from := at + len("/lib/python")
	end := strings.IndexByte(path[from:], '/')
	return from + end + 1
}

// isInternal tells library code that launches on behalf of others.
func (s *site) isInternal() bool {
	for _, dir := range internal {
		if strings.HasPrefix(s.path, dir) {
			return true
		}
	}
	module := strings.TrimSuffix(s.path, ".py")
	for _, m := range standard {
		if module == m {
			return true
		}
	}
	return false
}

// onlyDispatches tells functions and files that merely pass on to the code that matters.
func (s *site) onlyDispatches() bool {
	switch s.fn {
	case "__call__", "_call_impl", "_wrapped_call_impl", "__getattr__", "inner", "wrapper", "decorate_context",
		"__torch_function__", "__torch_dispatch__", "dispatch", "_fn", "<lambda>", "<module>":
		return true
	}
	for _, part := range [...]string{"cuda_graph_runner", "cudagraph", "cuda_graph", "py_executor", "parameter.py", "custom_op.py"} {
		if strings.Contains(s.path, part) {
			return true
		}
	}
	return false
}

// isForwardStep tells TensorRT-LLM's step function, for traces without its annotations.
func (s site) isForwardStep() bool {
	return s.fn == "_forward_step" && strings.HasPrefix(s.path, "tensorrt_llm/")
}

// cutLast cuts s at the last sep.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
