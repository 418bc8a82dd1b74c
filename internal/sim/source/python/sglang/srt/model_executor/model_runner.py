"""Runs forward passes of one rank."""

import torch


class ModelRunner:
    def __init__(self, model, sampler, graph_runner=None) -> None:
        self.model = model
        self.sampler = sampler
        self.graph_runner = graph_runner

    def forward_decode(self, forward_batch) -> torch.Tensor:
        return self.model.forward(
            forward_batch.input_ids, forward_batch.positions, forward_batch
        )

    def forward_extend(self, forward_batch) -> torch.Tensor:
        return self.model.forward(
            forward_batch.input_ids, forward_batch.positions, forward_batch
        )

    def forward(self, forward_batch) -> torch.Tensor:
        if self.graph_runner is not None and self.graph_runner.can_run(forward_batch):
            return self.graph_runner.replay(forward_batch)
        if forward_batch.forward_mode.is_decode():
            return self.forward_decode(forward_batch)
        return self.forward_extend(forward_batch)

    def sample(self, logits: torch.Tensor, forward_batch) -> torch.Tensor:
        return self.sampler(logits, forward_batch.sampling_info)
