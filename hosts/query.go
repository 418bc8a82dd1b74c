package hosts

import (
	"context"

	"github.com/sotaloop/sotaloop/internal/fault"
)

// QueryGPUs asks nvidia-smi on the host for its GPUs and the compute processes on them. A host without
// nvidia-smi is a [fault.NotFound]; one whose driver does not answer is a [fault.HostUnreachable].
func QueryGPUs(ctx context.Context, conn Conn) ([]GPU, []GPUProcess, error) {
	text, err := nvidiaSMI(ctx, conn, queryGPUs)
	if err != nil {
		return nil, nil, err
	}
	gpus, err := ParseNvidiaSMI(text)
	if err != nil {
		return nil, nil, err
	}
	text, err = nvidiaSMI(ctx, conn, queryProcesses)
	if err != nil {
		return nil, nil, err
	}
	processes, err := ParseComputeApps(text)
	if err != nil {
		return nil, nil, err
	}
	return gpus, processes, nil
}

// What nvidia-smi is asked.
const (
	queryGPUs      = "--query-gpu=index,uuid,name,driver_version,utilization.gpu,memory.used,memory.total,clocks.sm"
	queryProcesses = "--query-compute-apps=gpu_uuid,pid,process_name,used_memory"
)

// GPUQueries are the command lines by which GPUs are asked for their state.
func GPUQueries() [][]string {
	return [][]string{gpuQuery(queryGPUs), gpuQuery(queryProcesses), gpuQuery(queryClocks())}
}

func gpuQuery(query string) []string {
	return []string{"nvidia-smi", query, "--format=csv,noheader,nounits"}
}

// nvidiaSMI gives the rows of one query.
func nvidiaSMI(ctx context.Context, conn Conn, query string) ([]byte, error) {
	res, err := conn.Run(ctx, Cmd{Argv: gpuQuery(query)})
	if fault.CodeOf(err) == fault.NotFound {
		return nil, fault.Wrap(fault.NotFound, err, "no GPU state").
			Hint("install the NVIDIA driver on the host, or set device: %s in its entry", DeviceCPU)
	}
	if err != nil {
		return nil, err
	}
	if !res.IsSuccess() || res.Truncated {
		// A driver that does not answer says so on standard output.
		said := fault.Foreign(string(append(res.Stdout, res.Stderr...)), maxExcerpt)
		return nil, fault.New(fault.HostUnreachable, "nvidia-smi ended with %d: %s", res.ExitCode, said).
			Hint("run nvidia-smi on the host; a driver that was updated needs a restart")
	}
	return res.Stdout, nil
}
