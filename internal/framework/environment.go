package framework

import (
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
)

// Distributions are the Python distributions of a framework, its own first, then those that it computes with; and the
// package that its own is imported as.
func Distributions(t contract.Framework) (names []string, importName string) {
	core := []string{"torch", "triton", "transformers", "flashinfer-python", "flashinfer-cubin", "flashinfer-jit-cache", "flash-attn", "flash-attn-4", "xgrammar", "apache-tvm-ffi", "tilelang", "nvidia-cutlass-dsl", "sgl-deep-gemm", "deep-gemm"}
	switch t {
	case contract.SGLang:
		return append([]string{"sglang", "sglang-kernel", "sgl-kernel", "sglang-router"}, core...), "sglang"
	case contract.VLLM:
		return append([]string{"vllm"}, core...), "vllm"
	case contract.TensorRTLLM:
		return append([]string{"tensorrt-llm", "tensorrt"}, core...), "tensorrt_llm"
	case contract.TokenSpeed:
		return append([]string{"tokenspeed", "tokenspeed-kernel", "tokenspeed-scheduler", "tokenspeed-smg", "tokenspeed-triton", "tokenspeed-mla"}, core...), "tokenspeed"
	}
	return []string{string(t)}, string(t)
}

// IsLoader says whether a variable of the environment lets the dynamic linker, Python, a shell or another interpreter load
// code, or decides from where: LD_PRELOAD, PYTHONPATH, BASH_ENV. Only hosts.yaml may give one.
func IsLoader(name string) bool {
	name = strings.ToUpper(name)
	for _, prefix := range []string{"LD_", "DYLD_", "PYTHON", "BASH_", "PERL", "RUBY", "NODE_", "JAVA_", "GCONV_", "GIO_", "LIBRARY_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	switch name {
	case "PATH", "ENV", "IFS", "HOME", "SHELL", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "CLASSPATH", "VIRTUAL_ENV", "CONDA_PREFIX", "TMPDIR", "HOSTALIASES", "LOCPATH", "NLSPATH", "MALLOC_CONF", "GLIBC_TUNABLES":
		return true
	}
	return false
}
