package framework

// failures puts what argument parsers and sockets say first, then an adapter's own patterns, then those that mean the
// same in every framework. The first match in list order wins, so that a root cause stands before what follows from it.
// A pattern is looked for in the whole log: texts that healthy logs may hold too (an optional library that did not load)
// stand behind those that only a dying server prints. That a model has no generation_config.json, a healthy log says in
// the words that others use for a model without a config.json: such a pattern names the file.
func failures(own ...FailurePattern) []FailurePattern {
	of := func(class FailureClass, texts ...string) (out []FailurePattern) {
		for _, t := range texts {
			out = append(out, FailurePattern{class, t})
		}
		return out
	}
	var list []FailurePattern
	for _, group := range [][]FailurePattern{
		of(FailUnknownFlag, "unrecognized arguments:", "no such option:", "error: unexpected argument", "error: ambiguous option"),
		of(FailBadValue, "invalid choice:", "invalid int value", "invalid float value", "error: invalid value for", "expected one argument",
			"expected at least one argument", "ignored explicit argument"),
		of(FailPort, "address already in use", "failed to bind socket"),
		own,
		of(FailContext, "is longer than the model's context length"),
		of(FailOOM, "cuda out of memory", "hip out of memory", "outofmemoryerror", "cudnn_status_alloc_failed", "std::bad_alloc", "out of memory",
			"no available memory", "not enough memory", "memoryerror", "memory allocation of", "memory allocation failed",
			"cannot allocate memory"),
		of(FailModel, "does not appear to have a file named config.json", "does not appear to have a file named model.safetensors",
			"does not appear to have a file named pytorch_model.bin", "does not appear to have files named", "unrecognized model in",
			"does not recognize this architecture", "repo id must be", "is not a valid model identifier", "cannot find any model weights",
			"cannot find an appropriate cached snapshot", "can't load the configuration of", "can't load tokenizer for", "we couldn't connect to",
			"offlinemodeisenabled", "localentrynotfounderror", "trying to access a gated repo"),
		of(FailArch, "no kernel image is available", "cuda driver version is insufficient", "no cuda gpus are available", "failed to infer device type"),
		of(FailNCCL, "unhandled system error", "unhandled cuda error", "ncclsystemerror", "ncclinternalerror", "nccl error in", "distbackenderror"),
		of(FailABI, "undefined symbol", "version `glibc", "cannot open shared object file"),
		of(FailBadValue, "validation error for", "validation errors for"),
		of(FailChild, "received sigquit from a child process", "sigquit received", "died unexpectedly", "engine core initialization failed", "enginecore failed to start", "hit an exception:",
			"enginedeaderror", "during startup; see", "initialization failed. warmup error"),
	} {
		list = append(list, group...)
	}
	return list
}

// profileFiles are the names of traces, without those that are not ranks of GPU work.
var profileFiles = []string{"*.trace.json.gz", "*.trace.json", "*.pt.trace.json.gz", "*.pt.trace.json", "*-rank-*.json"}
