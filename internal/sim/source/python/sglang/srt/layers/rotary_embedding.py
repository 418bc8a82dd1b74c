"""Rotary position embedding."""

from typing import Tuple

import torch
from torch import nn


class RotaryEmbedding(nn.Module):
    def __init__(self, head_size: int, max_position: int, base: float, is_neox_style: bool = True) -> None:
        super().__init__()
        self.head_size = head_size
        self.is_neox_style = is_neox_style
        inv_freq = 1.0 / (base ** (torch.arange(0, head_size, 2, dtype=torch.float) / head_size))
        freqs = torch.outer(torch.arange(max_position, dtype=torch.float), inv_freq)
        self.register_buffer("cos_sin_cache", torch.cat((freqs.cos(), freqs.sin()), dim=-1))

    def forward_cuda(
        self,
        positions: torch.Tensor,
        query: torch.Tensor,
        key: torch.Tensor,
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        torch.ops.sgl_kernel.apply_rope_pos_ids_cos_sin_cache.default(
            query, key, self.cos_sin_cache, positions, not self.is_neox_style
        )
        return query, key
