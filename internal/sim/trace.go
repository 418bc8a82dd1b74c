package sim

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// writeTrace writes one rank's capture, gzipped unless the name says otherwise. The file appears complete or not at all.
func (e *engine) writeTrace(path string, records []stepRecord, opt profileOptions, rank int) (err error) {
	f, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
		if err == nil {
			err = os.Rename(path+".part", path)
		}
	}()
	if !strings.HasSuffix(path, ".gz") {
		return e.renderTrace(f, path, records, opt, rank)
	}
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if err := e.renderTrace(z, path, records, opt, rank); err != nil {
		return err
	}
	return z.Close()
}

func (e *engine) renderTrace(w io.Writer, path string, records []stepRecord, opt profileOptions, rank int) error {
	pid := os.Getpid()
	if rank < len(e.ranks) {
		pid = e.ranks[rank].cmd.Process.Pid
	}
	first := time.Now()
	if len(records) > 0 {
		first = records[0].begin
	}
	base := first.Truncate(24 * time.Hour)
	c := &capture{e: e, rank: rank, pid: pid, ids: 1000, correlation: 40000, python: 1,
		stacks: opt.WithStack == nil || *opt.WithStack, shapes: opt.Shapes != nil && *opt.Shapes,
		gpu: len(opt.Activity) == 0 || strings.Contains(strings.Join(opt.Activity, ","), "GPU")}
	head, order := e.traceHead(opt, c, base, rank)
	c.out = openTrace(w, head, order)
	c.labels(first.Sub(base))
	end := 0.0
	for _, r := range records {
		at := micros(first.Sub(base)) + micros(r.begin.Sub(first))*e.cfg.Speed
		end = c.step(r, at)
	}
	c.out.add(traceEvent{Ph: "i", Name: "Record Window End", S: "g", Pid: "", Tid: "", Ts: end + 10})
	return c.out.close(path)
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

// traceHead is the keys before the events.
func (e *engine) traceHead(opt profileOptions, c *capture, base time.Time, rank int) (map[string]any, []string) {
	g := e.cfg.GPU
	devices := []map[string]any{}
	for i := range e.set.tp {
		devices = append(devices, map[string]any{"id": i, "name": e.cfg.gpuName(), "totalGlobalMem": int64(g.bytes()), "computeMajor": 9, "computeMinor": 0,
			"maxThreadsPerBlock": 1024, "maxThreadsPerMultiprocessor": 2048, "regsPerBlock": 65536, "warpSize": 32, "sharedMemPerBlock": 49152,
			"numSms": g.SMs, "regsPerMultiprocessor": 65536, "sharedMemPerBlockOptin": 232448, "sharedMemPerMultiprocessor": 233472})
	}
	ranks := []int{}
	for i := range e.set.tp {
		ranks = append(ranks, i)
	}
	group := map[string]any{"pg_name": "0", "pg_desc": "default_pg", "backend_config": "cuda:nccl", "pg_size": e.set.tp, "ranks": ranks}
	head := map[string]any{
		"schemaVersion": 1, "simulated": true, "simulator": fmt.Sprintf("sotaloop: roofline of %s, speed %g", g.Name, e.cfg.Speed),
		"deviceProperties": devices, "trace_id": fmt.Sprintf("%016X%016X", mix(e.seed, uint64(rank)), hashString(opt.ID)),
		"with_stack": bit(c.stacks), "record_shapes": bit(c.shapes),
		"distributedInfo":     map[string]any{"backend": "nccl", "rank": rank, "world_size": e.set.tp, "pg_count": 1, "pg_config": []any{group}, "nccl_version": "2.28.9"},
		"cuda_driver_version": 13000, "cuda_runtime_version": 13000, "cupti_version": 130001, "displayTimeUnit": "ms", "baseTimeNanoseconds": base.UnixNano(),
	}
	order := []string{"schemaVersion", "simulated", "simulator", "deviceProperties", "trace_id", "with_stack", "record_shapes", "distributedInfo",
		"cuda_driver_version", "cuda_runtime_version", "cupti_version", "displayTimeUnit", "baseTimeNanoseconds"}
	return head, order
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
