"""From logits to the next tokens."""

import torch
from torch import nn


class Sampler(nn.Module):
    def forward(self, logits: torch.Tensor, sampling_info) -> torch.Tensor:
        if sampling_info.is_all_greedy:
            return torch.argmax(logits, -1)
        probs = torch.softmax(logits.div_(sampling_info.temperatures), dim=-1)
        return torch.multinomial(probs, num_samples=1).view(-1)
