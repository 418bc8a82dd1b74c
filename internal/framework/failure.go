package framework

// commonFailures are log texts that mean the same in every framework; adapters put their own in front. The first match
// in list order wins, so that a root cause stands before what follows from it.
func commonFailures(own ...FailurePattern) []FailurePattern {
	return append(own, []FailurePattern{
		{FailUnknownFlag, "unrecognized arguments"}, {FailUnknownFlag, "no such option"}, {FailUnknownFlag, "unexpected argument"},
		{FailBadValue, "invalid choice"}, {FailBadValue, "invalid int value"}, {FailBadValue, "invalid float value"}, {FailBadValue, "invalid value for"}, {FailBadValue, "expected one argument"},
		{FailPort, "address already in use"}, {FailPort, "failed to bind socket"},
		{FailOOM, "out of memory"}, {FailOOM, "torch.outofmemoryerror"}, {FailOOM, "cudnn_status_alloc_failed"}, {FailOOM, "std::bad_alloc"},
		{FailOOM, "no available memory"}, {FailOOM, "not enough memory"}, {FailOOM, "is less than desired gpu memory utilization"}, {FailOOM, "memoryerror"},
		{FailModel, "does not appear to have a file named"}, {FailModel, "repo id must be"}, {FailModel, "no such file or directory"}, {FailModel, "is not a valid model identifier"}, {FailModel, "we couldn't connect to"},
		{FailContext, "is longer than the model's context length"}, {FailContext, "greater than the derived max_model_len"}, {FailContext, "max seq len"},
		{FailArch, "no kernel image is available"}, {FailArch, "requires compute capability"}, {FailArch, "is not supported on this"},
		{FailABI, "undefined symbol"}, {FailNCCL, "unhandled system error"}, {FailNCCL, "nccl error"},
		{FailChild, "received sigquit from a child process"}, {FailChild, "engine core initialization failed"}, {FailChild, "enginecore failed to start"}, {FailChild, "scheduler hit an exception"},
	}...)
}

// profileFiles are the names of traces, without those that are not ranks of GPU work.
var profileFiles = []string{"*.trace.json.gz", "*.trace.json", "*.pt.trace.json.gz", "*.pt.trace.json", "*-rank-*.json"}
