package hosts_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sotaloop/sotaloop/hosts"
	"github.com/sotaloop/sotaloop/internal/fault"
)

func TestParseNvidiaSMI(t *testing.T) {
	t.Parallel()
	gpus, err := hosts.ParseNvidiaSMI([]byte(
		"0, GPU-5f1b2c3d-0000-1111-2222-333344445555, NVIDIA H100 80GB HBM3, 550.54.15, 37, 71234, 81559, 1980\n" +
			"1, GPU-6f1b2c3d-0000-1111-2222-333344445555, Odd, name, 550.54.15, [N/A], [Not Supported], [Unknown Error], N/A\r\n\n"))
	require.NoError(t, err)
	require.Equal(t, []hosts.GPU{
		{Index: 0, UUID: "GPU-5f1b2c3d-0000-1111-2222-333344445555", Name: "NVIDIA H100 80GB HBM3", DriverVersion: "550.54.15",
			UtilizationPercent: new(37), MemoryUsedMiB: new(int64(71234)), MemoryTotalMiB: new(int64(81559)), SMClockMHz: new(1980)},
		{Index: 1, UUID: "GPU-6f1b2c3d-0000-1111-2222-333344445555", Name: "Odd, name", DriverVersion: "550.54.15"},
	}, gpus)
	for _, none := range []string{"", "\n", " \r\n"} {
		gpus, err := hosts.ParseNvidiaSMI([]byte(none))
		require.NoError(t, err)
		require.Equal(t, []hosts.GPU{}, gpus)
	}
	for name, bad := range map[string]string{
		"words":      "No devices were found\n",
		"few fields": "0, GPU-1, H100, 550, 1, 2, 3\n",
		"no index":   "x, GPU-1, H100, 550, 1, 2, 3, 4\n",
		"negative":   "-1, GPU-1, H100, 550, 1, 2, 3, 4\n",
		"no UUID":    "0, 1, H100, 550, 1, 2, 3, 4\n",
		"unit":       "0, GPU-1, H100, 550, 1 %, 2, 3, 4\n",
		"overflow":   "0, GPU-1, H100, 550, 1, 99999999999999999999, 3, 4\n",
		"header":     "index, uuid, name, driver_version, utilization.gpu [%], memory.used [MiB], memory.total [MiB], clocks.sm [MHz]\n",
	} {
		_, err := hosts.ParseNvidiaSMI([]byte(bad))
		require.Equal(t, fault.Corrupt, fault.CodeOf(err), name)
		require.ErrorContains(t, err, "line 1", name)
	}
}

func TestParseComputeApps(t *testing.T) {
	t.Parallel()
	apps, err := hosts.ParseComputeApps([]byte("GPU-1, 4242, python, -m, sglang, 70012\nGPU-1, [N/A], [Not Found], [N/A]\nGPU-2, 7, evil\x1b[2J\u202ename, 1\n"))
	require.NoError(t, err)
	require.Equal(t, []hosts.GPUProcess{
		{GPUUUID: "GPU-1", PID: 4242, Name: "python, -m, sglang", MemoryUsedMiB: new(int64(70012))},
		{GPUUUID: "GPU-1", Name: "[Not Found]"},
		{GPUUUID: "GPU-2", PID: 7, Name: "evil [2J name", MemoryUsedMiB: new(int64(1))},
	}, apps)
	apps, err = hosts.ParseComputeApps(nil)
	require.NoError(t, err)
	require.Equal(t, []hosts.GPUProcess{}, apps)
	_, err = hosts.ParseComputeApps([]byte("GPU-1, pid, python, 1\n"))
	require.Equal(t, fault.Corrupt, fault.CodeOf(err))
}

func FuzzParseNvidiaSMI(f *testing.F) {
	f.Add([]byte("0, GPU-5f1b, NVIDIA H100 80GB HBM3, 550.54.15, 37, 71234, 81559, 1980\n"))
	f.Add([]byte("GPU-1, 4242, python, -m, sglang, 70012\n[N/A],[N/A],[N/A],[N/A]"))
	f.Fuzz(func(t *testing.T, csv []byte) {
		gpus, err := hosts.ParseNvidiaSMI(csv)
		require.True(t, err == nil && gpus != nil || fault.CodeOf(err) == fault.Corrupt)
		for _, g := range gpus {
			require.GreaterOrEqual(t, g.Index, 0)
			require.NotContains(t, g.Name, "\x1b")
		}
		apps, err := hosts.ParseComputeApps(csv)
		require.True(t, err == nil && apps != nil || fault.CodeOf(err) == fault.Corrupt)
		for _, a := range apps {
			require.GreaterOrEqual(t, a.PID, 0)
		}
	})
}

// TestQueryGPUs runs a stand-in for nvidia-smi on this machine.
func TestQueryGPUs(t *testing.T) {
	t.Parallel()
	conn := local(t)
	dir := t.TempDir()
	smi := func(script string) hosts.Conn {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte("#!/bin/sh\n"+script), 0o700))
		return withPath{conn, dir + ":/usr/bin:/bin"}
	}
	gpus, apps, err := hosts.QueryGPUs(t.Context(), smi(`[ "$2" = --format=csv,noheader,nounits ] || exit 9
case "$1" in
--query-gpu=index,uuid,name,driver_version,utilization.gpu,memory.used,memory.total,clocks.sm) echo "0, GPU-1, H100, 550.1, 1, 2, 3, 4" ;;
--query-compute-apps=gpu_uuid,pid,process_name,used_memory) echo "GPU-1, 5, python, 6" ;;
*) exit 8 ;;
esac`))
	require.NoError(t, err)
	require.Len(t, gpus, 1)
	require.Equal(t, []hosts.GPUProcess{{GPUUUID: "GPU-1", PID: 5, Name: "python", MemoryUsedMiB: new(int64(6))}}, apps)

	_, _, err = hosts.QueryGPUs(t.Context(), smi("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18"))
	require.Equal(t, fault.HostUnreachable, fault.CodeOf(err))
	require.ErrorContains(t, err, "nvidia-smi ended with 18: ⟪Failed to initialize NVML")

	_, _, err = hosts.QueryGPUs(t.Context(), withPath{conn, "/nowhere"})
	require.Equal(t, fault.NotFound, fault.CodeOf(err))
}
