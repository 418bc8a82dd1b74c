"""Attention over the radix cache; the backend does the work."""

import torch
from torch import nn


class RadixAttention(nn.Module):
    def __init__(self, num_heads: int, head_dim: int, scaling: float, num_kv_heads: int, layer_id: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = head_dim
        self.scaling = scaling
        self.num_kv_heads = num_kv_heads
        self.layer_id = layer_id

    def forward(self, q, k, v, forward_batch, save_kv_cache: bool = True) -> torch.Tensor:
        if save_kv_cache:
            forward_batch.token_to_kv_pool.set_kv_buffer(self, forward_batch.out_cache_loc, k, v)
        return forward_batch.attn_backend.forward(q, k, v, self, forward_batch)
