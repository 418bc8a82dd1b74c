"""Query/key normalisation followed by rotary embedding.

Models with per-head query and key norms (Qwen3 and its relatives) apply an RMSNorm to each head of q and k
and then rotate both. Done one after the other this takes five small launches a layer: two copies that make
the slices of the qkv projection contiguous, two norms, one rotation. At decode every one of them moves a few
kilobytes, so nearly all of their time is latency.

The fused kernel reads q and k in place, keeps the row in registers and writes the rotated result once.
"""

import torch

# The fused kernel covers bf16 and fp16 with these head sizes, in the NeoX layout.
SUPPORTED_HEAD_DIMS = (64, 128, 256)
SUPPORTED_DTYPES = ("bfloat16", "float16")

# Off until the kernel has been measured on every architecture that we release for.
ENABLE_FUSED_QK_NORM_ROPE = False


def can_fuse_qk_norm_rope(head_dim: int, dtype: torch.dtype, is_neox_style: bool) -> bool:
    """Whether one launch can replace the sequence of norms and rotation."""
    if not ENABLE_FUSED_QK_NORM_ROPE:
        return False
    name = str(dtype).removeprefix("torch.")
    return is_neox_style and head_dim in SUPPORTED_HEAD_DIMS and name in SUPPORTED_DTYPES


def fused_qk_norm_rope(
    qkv: torch.Tensor,
    num_heads: int,
    num_kv_heads: int,
    head_dim: int,
    eps: float,
    q_weight: torch.Tensor,
    k_weight: torch.Tensor,
    cos_sin_cache: torch.Tensor,
    positions: torch.Tensor,
) -> None:
    """Normalise and rotate the q and k parts of qkv in place, in one launch."""
    torch.ops.sgl_kernel.fused_qk_norm_rope.default(
        qkv,
        num_heads,
        num_kv_heads,
        num_kv_heads,
        head_dim,
        eps,
        q_weight,
        k_weight,
        cos_sin_cache,
        True,
        positions,
    )


def qk_norm_rope_reference(
    q: torch.Tensor,
    k: torch.Tensor,
    head_dim: int,
    eps: float,
    q_weight: torch.Tensor,
    k_weight: torch.Tensor,
    cos_sin_cache: torch.Tensor,
    positions: torch.Tensor,
):
    """The sequence that the fused kernel has to match: a copy and a norm for each of q and k, then the rotation."""
    q_by_head = q.contiguous().reshape(-1, head_dim)
    torch.ops.sgl_kernel.rmsnorm.default(q_by_head, q_by_head, q_weight, eps)
    k_by_head = k.contiguous().reshape(-1, head_dim)
    torch.ops.sgl_kernel.rmsnorm.default(k_by_head, k_by_head, k_weight, eps)
    q, k = q_by_head.view(q.shape), k_by_head.view(k.shape)
    torch.ops.sgl_kernel.apply_rope_pos_ids_cos_sin_cache.default(
        q, k, cos_sin_cache, positions, False
    )
    return q, k


def qk_norm_rope(
    qkv: torch.Tensor,
    num_heads: int,
    num_kv_heads: int,
    head_dim: int,
    eps: float,
    q_weight: torch.Tensor,
    k_weight: torch.Tensor,
    cos_sin_cache: torch.Tensor,
    positions: torch.Tensor,
    is_neox_style: bool = True,
):
    """Split qkv, normalise q and k a head at a time, and rotate both."""
    sizes = [num_heads * head_dim, num_kv_heads * head_dim, num_kv_heads * head_dim]
    if can_fuse_qk_norm_rope(head_dim, qkv.dtype, is_neox_style):
        fused_qk_norm_rope(
            qkv,
            num_heads,
            num_kv_heads,
            head_dim,
            eps,
            q_weight,
            k_weight,
            cos_sin_cache,
            positions,
        )
        return qkv.split(sizes, dim=-1)
    q, k, v = qkv.split(sizes, dim=-1)
    q, k = qk_norm_rope_reference(
        q, k, head_dim, eps, q_weight, k_weight, cos_sin_cache, positions
    )
    return q, k, v
