"""What a CUDA device does otherwise than torch's meta device: autocast's choice of precision, and fused attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from regionloss.compat.torch import backward, fused_attention

#: Functions that autocast computes in 16 bits, by name: torch's AT_FORALL_LOWER_PRECISION_FP, and those built of them.
LOWER = """
conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d linear prelu matmul __matmul__
__rmatmul__ mm mv bmm addmm addmv addr addbmm baddbmm vecdot einsum chain_matmul multi_dot lstm_cell gru_cell
rnn_tanh_cell rnn_relu_cell scaled_dot_product_attention multi_head_attention_forward
"""
#: Functions that it computes in 32: AT_FORALL_FP32 and AT_FORALL_FP32_SET_OPT_DTYPE, and what is built of them.
UPPER = """
acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow __pow__ __rpow__ softplus layer_norm
group_norm norm frobenius_norm nuclear_norm cosine_similarity poisson_nll_loss cosine_embedding_loss nll_loss
hinge_embedding_loss kl_div l1_loss smooth_l1_loss huber_loss mse_loss margin_ranking_loss soft_margin_loss
triplet_margin_loss multi_margin_loss binary_cross_entropy_with_logits cross_entropy dist pdist cdist renorm logsumexp
interpolate normalize prod softmax log_softmax cumprod cumsum sum
"""
HALF, FULL = frozenset(LOWER.split()), frozenset(UPPER.split())
#: What reads a value: there are none, and a condition counts as not met.
READ = frozenset({"item", "__bool__", "__int__", "__float__"})


class CudaRules(TorchFunctionMode):
    """Lets what is computed inside on the meta device have the precisions and the kernels that it has on CUDA.

    Args:
        bf16: Whether as under `torch.autocast("cuda", torch.bfloat16)`; otherwise precisions are as they are.
    """

    def __init__(self, bf16: bool = True) -> None:
        super().__init__()
        self.bf16 = bf16

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call a function on arguments in the precision that autocast gives them."""
        name, options = getattr(func, "__name__", ""), dict(kwargs or {})
        if func is Tensor.backward:  # what is computed again in it is computed by these rules, too
            with self:
                return backward(args[0], options["gradient"], bool(options["retain_graph"]))
        if name in READ and args[0].is_meta:
            return False if name == "__bool__" else 0
        dtype = torch.bfloat16 if name in HALF else torch.float32 if name in FULL else None
        if self.bf16 and dtype is not None:
            args = [cast(one, dtype) for one in args]
            options = {key: cast(value, dtype) for key, value in options.items()}
        if name == "scaled_dot_product_attention" and args and args[0].is_meta and args[0].dim() == 4:
            return attention(*args, **options)
        return func(*args, **options)


def cast(value: Any, dtype: torch.dtype) -> Any:
    """Return a tensor of floating point numbers, or each one of a list, in a precision; float64 stays."""
    if isinstance(value, list | tuple) and any(isinstance(one, Tensor) for one in value):
        return type(value)(cast(one, dtype) for one in value)
    if isinstance(value, Tensor) and value.is_floating_point() and value.dtype != torch.float64:
        return value.to(dtype)
    return value


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Return attention by the kernel that keeps no matrix of weights; arguments are those of torch's function."""
    if enable_gqa:
        key, value = (one.repeat_interleave(query.size(-3) // key.size(-3), -3) for one in (key, value))
    if attn_mask is not None:
        shape = (*query.shape[:-1], key.size(-2))
        attn_mask = (attn_mask.to(query.dtype) if attn_mask.dtype == torch.bool else attn_mask).expand(shape)
    return fused_attention(query, key, value, attn_mask, dropout_p, is_causal, scale)
