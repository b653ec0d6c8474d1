"""Group norm and SiLU in one step, against torch's two; and what they keep, by CUDA's rules of autocast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode

from insighttok_ref.tokenizers.insighttok.model import InsightTokenizer
from insighttok_ref.tokenizers.insighttok.norm_silu import norm_silu

FORMATS = pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])


def gradients(output: Tensor, x: Tensor, norm: nn.GroupNorm) -> list[Tensor]:
    torch.manual_seed(1)
    weights = torch.randn(output.shape, dtype=torch.float64).to(output.dtype)
    return [output, *torch.autograd.grad((output * weights).sum(), [x, norm.weight, norm.bias])]


def example(memory_format: torch.memory_format, dtype: torch.dtype) -> tuple[Tensor, nn.GroupNorm]:
    torch.manual_seed(0)
    norm = nn.GroupNorm(4, 16, eps=1e-6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = (3 * torch.randn(2, 16, 9, 7) + 1).to(dtype).to(memory_format=memory_format)
    return x.requires_grad_(), norm


@FORMATS
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_it_is_torch_s_to_the_last_bit(memory_format: torch.memory_format, dtype: torch.dtype) -> None:
    x, norm = example(memory_format, dtype)
    norm = norm.double() if dtype == torch.float64 else norm
    ours, theirs = (gradients(made, x, norm) for made in (norm_silu(x, norm), F.silu(norm(x))))
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    assert ours[0].is_contiguous(memory_format=memory_format)


@FORMATS
def test_half_precision_is_the_plain_formula_to_its_rounding(memory_format: torch.memory_format) -> None:
    x, norm = example(memory_format, torch.bfloat16)
    ours = gradients(norm_silu(x, norm), x, norm)
    wide, exact = x.detach().double().requires_grad_(), norm.double()
    groups = wide.reshape(2, 4, -1)
    normed = (groups - groups.mean(2, keepdim=True)) / (groups.var(2, keepdim=True, correction=0) + 1e-6).sqrt()
    scaled = normed.view(wide.shape) * exact.weight[:, None, None] + exact.bias[:, None, None]
    for one, other in zip(ours, gradients(scaled * scaled.sigmoid(), wide, exact), strict=True):
        torch.testing.assert_close(one.double(), other, atol=0.02 * float(other.detach().abs().max()), rtol=0.02)


@FORMATS
def test_a_compiler_sees_one_formula_that_is_no_less_exact(memory_format: torch.memory_format) -> None:
    x, norm = example(memory_format, torch.bfloat16)
    torch.compiler.reset()
    compiled = torch.compile(lambda x: norm_silu(x, norm), backend="eager", fullgraph=True)(x)
    assert compiled.dtype == torch.bfloat16
    wide = x.detach().float().requires_grad_()
    exact = gradients(F.silu(norm(wide)), wide, norm)
    for ours, wanted in zip(gradients(compiled, x, norm), exact, strict=True):
        torch.testing.assert_close(ours.float(), wanted, atol=0.02 * float(wanted.detach().abs().max()), rtol=0.01)


class CudaAutocast(TorchFunctionMode):
    """What CUDA's autocast does to the functions of the autoencoder: torch/amp's lists of operations."""

    HALF = frozenset({F.conv2d, F.linear, F.scaled_dot_product_attention})

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        dtype = torch.bfloat16 if func in self.HALF else torch.float32 if func is F.group_norm else None
        cast = [one.to(dtype) if isinstance(one, Tensor) and dtype is not None else one for one in args]
        return func(*cast, **(kwargs or {}))


def test_the_published_model_keeps_less_than_half() -> None:
    """71.1 GiB with autocast's float32 norms, of 16 images of 256 pixels, without checkpointing."""
    with torch.device("meta"):
        model, images = InsightTokenizer.from_preset("insighttok-426m"), torch.zeros(16, 3, 256, 256)
    kept: dict[int, Tensor] = {}
    weights = {id(one) for one in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in weights:
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor), CudaAutocast():
        model.decoder(model.post_quant_conv(model.quant_conv(model.encoder(images))))
    bytes_by_precision = {
        dtype: sum(one.untyped_storage().nbytes() for one in kept.values() if one.dtype == dtype) / 2**30
        for dtype in (torch.bfloat16, torch.float32)
    }
    assert bytes_by_precision[torch.bfloat16] == pytest.approx(29.64, abs=0.01)
    assert bytes_by_precision[torch.float32] < 0.75
