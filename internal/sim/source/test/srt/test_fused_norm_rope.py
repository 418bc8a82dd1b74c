"""The switch of the fused query/key norm and rotary embedding, and what it may be used for."""

from sglang.srt.layers import fused_norm_rope


def test_switch_is_a_bool():
    assert isinstance(fused_norm_rope.ENABLE_FUSED_QK_NORM_ROPE, bool)


def test_head_dims_of_released_models_are_supported():
    assert 64 in fused_norm_rope.SUPPORTED_HEAD_DIMS
    assert 128 in fused_norm_rope.SUPPORTED_HEAD_DIMS


def test_full_precision_is_left_to_the_reference():
    assert "float32" not in fused_norm_rope.SUPPORTED_DTYPES
