package hosts

import "context"

// QueryGPUs asks nvidia-smi on the host for its GPUs and the compute processes on them. A host without
// nvidia-smi is a [fault.NotFound]; one whose driver does not answer is a [fault.HostUnreachable].
func QueryGPUs(ctx context.Context, conn Conn) ([]GPU, []GPUProcess, error) { return nil, nil, nil }
