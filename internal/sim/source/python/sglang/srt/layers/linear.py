"""Linear layers, split over the tensor-parallel ranks by columns or by rows."""

from typing import Optional

import torch
import torch.nn.functional as F
from torch import nn


class UnquantizedLinearMethod:
    def apply(self, layer: nn.Module, x: torch.Tensor, bias: Optional[torch.Tensor] = None) -> torch.Tensor:
        return F.linear(x, layer.weight, bias)


class ColumnParallelLinear(nn.Module):
    def __init__(self, input_size: int, output_size: int, tp_size: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(output_size // tp_size, input_size))
        self.quant_method = UnquantizedLinearMethod()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.quant_method.apply(self, x)


class RowParallelLinear(nn.Module):
    def __init__(self, input_size: int, output_size: int, tp_size: int = 1, group=None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(output_size, input_size // tp_size))
        self.quant_method = UnquantizedLinearMethod()
        self.tp_size = tp_size
        self.group = group

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.quant_method.apply(self, x)
        if self.tp_size > 1:
            torch.distributed.all_reduce(out, group=self.group)
        return out
