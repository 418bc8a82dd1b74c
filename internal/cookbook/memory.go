package cookbook

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sotaloop/sotaloop/internal/contract"
)

const gib = 1 << 30

// fullest is the share of a GPU that weights may take at most: the rest is for the KV cache, activations and graphs.
const fullest = 0.9

// bytesPerParameter is what a stored weight takes on average, by precision: four-bit formats with their scales and with
// the layers that stay wider. Where a source gives bytes, those hold.
var bytesPerParameter = map[string]float64{"bf16": 2, "fp16": 2, "fp8": 1, "int8": 1, "int4": 0.58, "mxfp4": 0.56, "nvfp4": 0.56}

// Bytes is the size of the weights; 0 where precision or count are not known.
func (c Checkpoint) Bytes() float64 {
	if c.WeightBytes > 0 {
		return float64(c.WeightBytes)
	}
	return float64(c.Parameters) * bytesPerParameter[c.Precision]
}

// WeightsGiB is what a checkpoint's weights take of each GPU when they are divided evenly.
func (c Checkpoint) WeightsGiB(gpus int) float64 { return c.Bytes() / float64(max(1, gpus)) / gib }

// Fits says why a checkpoint cannot be served on a host, "" where it may. Of a checkpoint whose size is not known only
// the host is checked.
func (m Match) Fits(h contract.Host) string {
	e := m.Entry
	switch {
	case h.Device != "cuda" || len(h.GPUs) == 0:
		return fmt.Sprintf("%s is a starting point for GPUs", e.ID)
	case e.Hosts > 1:
		return fmt.Sprintf("%s needs %d hosts", e.ID, e.Hosts)
	}
	need, have := m.Checkpoint.WeightsGiB(len(h.GPUs)), memoryGiB(h)
	if need >= fullest*have {
		return fmt.Sprintf("the weights of %s take %.0f GiB of each of %d GPUs, more than %.0f %% of its %.0f GiB", m.Checkpoint.ID, need, len(h.GPUs), fullest*100, have)
	}
	return ""
}

// Warnings says in what a host or a checkpoint differs from what the entry's figures are of; nil where in nothing.
func (m Match) Warnings(h contract.Host) []string {
	var out []string
	e, model := m.Entry, m.Entry.Model()
	switch {
	case !m.Exact:
		out = append(out, fmt.Sprintf("%s was matched by its name: the figures are of %s in %s", m.Checkpoint.ID, model.ID, model.Precision))
	case m.Checkpoint.ID != model.ID:
		out = append(out, fmt.Sprintf("the figures are of %s in %s, this is %s in %s", model.ID, model.Precision, m.Checkpoint.ID, m.Checkpoint.Precision))
	}
	if len(h.GPUs) != e.GPUs {
		out = append(out, fmt.Sprintf("the figures are for %d GPUs, not %d", e.GPUs, len(h.GPUs)))
	}
	if have := memoryGiB(h); have < e.GPUMemoryGiB*nominal {
		out = append(out, fmt.Sprintf("the figures are for GPUs of %.0f GiB, not %.0f", e.GPUMemoryGiB, have))
	}
	return out
}

// nominal is how much of its nominal memory a GPU reports: one of 80 GB 79.6 GiB.
const nominal = 0.97

// memoryGiB is the memory of one GPU of a host.
func memoryGiB(h contract.Host) float64 { return float64(h.GPUMemory) / 1024 }

// fractions are the flags that bound what an engine takes of a GPU, weights included.
var fractions = wordSet("mem-fraction-static gpu-memory-utilization")

// weightsFit says why a side's memory fraction leaves its weights no room.
func (e Entry) weightsFit(s Side) string {
	need := e.Model().WeightsGiB(e.GPUs * max(1, e.Hosts))
	for _, flag := range slices.Sorted(maps.Keys(s.Base)) {
		share, isNumber := s.Base[flag].(float64)
		if fractions[strings.ReplaceAll(flag, "_", "-")] && isNumber && need >= share*e.GPUMemoryGiB {
			return fmt.Sprintf("%s %g of %.0f GiB is less than the %.1f GiB of weights a GPU", flag, share, e.GPUMemoryGiB, need)
		}
	}
	return ""
}
