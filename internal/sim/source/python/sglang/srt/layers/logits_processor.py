"""From hidden states to logits."""

import torch
from torch import nn


class LogitsProcessor(nn.Module):
    def forward(self, input_ids, hidden_states, lm_head, logits_metadata) -> torch.Tensor:
        if logits_metadata.forward_mode.is_extend():
            last = torch.cumsum(logits_metadata.extend_seq_lens, dim=0) - 1
            hidden_states = hidden_states[last]
        return self._get_logits(hidden_states, lm_head)

    def _get_logits(self, hidden_states: torch.Tensor, lm_head: nn.Module) -> torch.Tensor:
        return torch.matmul(hidden_states, lm_head.weight.T)
