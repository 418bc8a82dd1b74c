package framework_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/internal/contract"
	"github.com/sotaloop/sotaloop/internal/framework"
)

func realLog(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "logs", name+".log"))
	require.NoError(t, err)
	return string(raw)
}

// realFailures are logs of launches that real engines could not make, or died of (testdata/logs/README.md).
var realFailures = []struct {
	log  string
	want framework.FailureClass // empty: the log has no words for it
	last string                 // LastError's answer begins so
}{
	{"sglang.unknown_flag", framework.FailUnknownFlag, "sglang serve: error: unrecognized arguments: --no-such-flag 8"},
	{"sglang.bad_type", framework.FailBadValue, "sglang serve: error: argument --max-running-requests: invalid int value: 'many'"},
	{"sglang.bad_enum", framework.FailBadValue, "sglang serve: error: argument --attention-backend: invalid choice: 'nonsense'"},
	{"sglang.no_value", framework.FailBadValue, "sglang serve: error: argument --max-running-requests: expected one argument"},
	{"sglang.bad_range", "", "ZeroDivisionError: integer modulo by zero"},
	{"sglang.model_absent", framework.FailModel, "OSError: Repo id must be in the form"},
	{"sglang.model_empty", framework.FailModel, "ValueError: Unrecognized model in /captures/models/empty."},
	{"sglang.model_strange", framework.FailModel, "ValueError: The checkpoint you are trying to load has model type `no_such`"},
	{"sglang.context", framework.FailContext, "ValueError: Warning: User-specified context_length (1000000) is greater than"},
	{"sglang.address_space", framework.FailChild, "RuntimeError: Resource temporarily unavailable"},
	{"sglang.port", framework.FailPort, "error while attempting to bind on address"},
	{"sglang.memory_group", "", ""}, // the kernel killed it: a log has no words for that
	{"sglang.dead_schedul", framework.FailChild, "Subprocess scheduler_0 (pid=24301) crashed with exit code -9."},
	{"sglang.dead_detoken", framework.FailChild, "Subprocess detokenizer (pid=25441) crashed with exit code -9."},
	{"sglang.dead_unknown_id", framework.FailChild, "IndexError: index out of range in self"},

	{"vllm.unknown_flag", framework.FailUnknownFlag, "vllm: error: unrecognized arguments: --no-such-flag 8"},
	{"vllm.bad_type", framework.FailBadValue, "vllm serve: error: argument --max-num-seqs: invalid int value: 'many'"},
	{"vllm.bad_enum", framework.FailBadValue, "ValueError: Unknown attention backend: 'NONSENSE'."},
	{"vllm.no_value", framework.FailBadValue, "vllm serve: error: argument --max-num-seqs: expected one argument"},
	{"vllm.bad_range", framework.FailBadValue, "pydantic_core._pydantic_core.ValidationError: 2 validation errors for SchedulerConfig"},
	{"vllm.model_absent", framework.FailModel, "huggingface_hub.errors.HFValidationError: Repo id must be in the form"},
	{"vllm.model_empty", framework.FailModel, "Value error, Invalid repository ID or local directory specified: '/captures/models/empty'."},
	{"vllm.model_strange", framework.FailModel, "Value error, The checkpoint you are trying to load has model type `no_such`"},
	{"vllm.context", framework.FailContext, "Value error, User-specified max_model_len (1000000) is greater than the derived max_model_len"},
	{"vllm.memory_automatic", framework.FailOOM, "ValueError: Available memory on node 0 (9.68/23.54 GiB) on startup is less than desired CPU memory utilization"},
	{"vllm.memory_space", framework.FailOOM, "RuntimeError: Worker failed with error 'Available memory on node 0"},
	{"vllm.memory_utilization", framework.FailOOM, "RuntimeError: Worker failed with error 'Available memory on node 0"},
	{"vllm.address_space", framework.FailOOM, "OSError: [Errno 12] Cannot allocate memory"},
	{"vllm.port", framework.FailPort, "OSError: [Errno 98] Address already in use"},
	{"vllm.dead_EngineCor", framework.FailChild, "MPClient: engine core exited unexpectedly"},
	{"vllm.dead_Worker", framework.FailChild, "Worker proc VllmWorker-0 died unexpectedly"},
	{"vllm.memory_group", "", ""},
	{"vllm.memory_share", framework.FailContext, "ValueError: To serve at least one request with the model's max seq len (2048), (0.01 GiB KV cache is needed"},
}

// TestRealFailures classifies them, and finds the error that matters.
func TestRealFailures(t *testing.T) {
	t.Parallel()
	for _, c := range realFailures {
		t.Run(c.log, func(t *testing.T) {
			t.Parallel()
			of, _, _ := strings.Cut(c.log, ".")
			log := realLog(t, c.log)
			require.Equal(t, c.want, classify(log, adapter(t, contract.Framework(of)).Protocol(framework.Spec{Device: "cpu"}).Failures))
			last := framework.LastError(log)
			require.True(t, strings.HasPrefix(last, c.last), last)
			require.Equal(t, c.last == "", last == "", last)
		})
	}
}

// TestCPUCaptures classifies logs that e2e/cpu/capture took on this machine as it does the checked-in ones.
func TestCPUCaptures(t *testing.T) {
	dir := os.Getenv("SOTALOOP_CPU")
	if dir == "" {
		t.Skip("real engines: make e2e-cpu")
	}
	fresh := 0
	for _, c := range realFailures {
		raw, err := os.ReadFile(filepath.Join(dir, "captures", "failures", c.log+".log"))
		if err != nil {
			continue
		}
		fresh++
		of, _, _ := strings.Cut(c.log, ".")
		require.Equal(t, c.want, classify(string(raw), adapter(t, contract.Framework(of)).Protocol(framework.Spec{Device: "cpu"}).Failures), c.log)
	}
	require.GreaterOrEqual(t, fresh, 10, "captures of %s", dir)
}

// TestRealStarts finds readiness and phases in logs of real starts on a CPU, and no failure.
func TestRealStarts(t *testing.T) {
	t.Parallel()
	for of, want := range map[contract.Framework][]string{
		contract.SGLang: {"distributed", "weights", "ready"}, contract.VLLM: {"weights", "jit", "ready"},
	} {
		log := realLog(t, string(of)+".healthy")
		p := adapter(t, of).Protocol(framework.Spec{Device: "cpu"})
		require.Empty(t, classify(log, p.Failures), of)
		require.Empty(t, framework.LastError(log), of)
		require.Contains(t, log, p.ReadyLog)
		var got []string
		for line := range strings.Lines(log) {
			for _, phase := range p.Phases {
				if strings.Contains(line, phase.Contains) {
					got = append(got, phase.Name)
				}
			}
		}
		require.Equal(t, want, got, of)
	}
}
