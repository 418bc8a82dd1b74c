"""Captures decode steps as CUDA graphs and replays them."""

import bisect

import torch


class CudaGraphRunner:
    def __init__(self, model_runner, capture_bs) -> None:
        self.model_runner = model_runner
        self.capture_bs = capture_bs
        self.graphs = {}
        self.output_buffers = {}

    def can_run(self, forward_batch) -> bool:
        return (
            forward_batch.forward_mode.is_decode()
            and forward_batch.batch_size <= self.capture_bs[-1]
        )

    def replay(self, forward_batch) -> torch.Tensor:
        index = bisect.bisect_left(self.capture_bs, forward_batch.batch_size)
        bs = self.capture_bs[index]
        self.input_ids[: forward_batch.batch_size].copy_(forward_batch.input_ids)
        self.graphs[bs].replay()
        return self.output_buffers[bs][: forward_batch.batch_size]
