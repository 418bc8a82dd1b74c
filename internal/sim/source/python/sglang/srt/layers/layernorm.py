"""Normalisation layers."""

from typing import Optional, Tuple, Union

import torch
from torch import nn


class RMSNorm(nn.Module):
    """Root-mean-square norm, with the residual addition folded in where one is given."""

    def __init__(self, hidden_size: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

    def forward_cuda(
        self,
        x: torch.Tensor,
        residual: Optional[torch.Tensor] = None,
    ) -> Union[torch.Tensor, Tuple[torch.Tensor, torch.Tensor]]:
        if residual is not None:
            torch.ops.sgl_kernel.fused_add_rmsnorm.default(
                x, residual, self.weight.data, self.variance_epsilon
            )
            return x, residual
        out = torch.empty_like(x)
        torch.ops.sgl_kernel.rmsnorm.default(
            out, x, self.weight.data, self.variance_epsilon
        )
        return out
