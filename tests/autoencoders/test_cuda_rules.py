"""CUDA's rules on the meta device, against torch's own autocast, which chooses precisions for tensors that are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from regionloss.autoencoders.cuda_rules import CudaRules
from regionloss.compat.torch import MostBytes

HALF, WHOLE = torch.bfloat16, torch.float32
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "conv2d": lambda x: F.conv2d(x, x.new_ones(4, 4, 3, 3)),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, x.new_ones(4, 4, 3, 3)),
    "linear": lambda x: F.linear(x, x.new_ones(2, 8)),
    "matmul": lambda x: x @ x.transpose(2, 3),
    "bmm": lambda x: torch.bmm(x[0], x[0]),
    "einsum": lambda x: torch.einsum("bchw,bchv->bcwv", x, x),
    "baddbmm": lambda x: torch.baddbmm(x[0], x[0], x[0]),
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
    "prelu": lambda x: F.prelu(x, x.new_ones(1)),
    "group_norm": lambda x: F.group_norm(x, 2, x.new_ones(4)),
    "layer_norm": lambda x: F.layer_norm(x, (8,)),
    "softmax": lambda x: x.softmax(-1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "sum": lambda x: x.sum(),
    "norm": lambda x: x.norm(dim=1),
    "pow": lambda x: x**2,
    "power": lambda x: x.pow(2),
    "exp": lambda x: x.exp(),
    "rsqrt": lambda x: x.rsqrt(),
    "mse": lambda x: F.mse_loss(x, x),
    "l1": lambda x: F.l1_loss(x, x),
    "cross_entropy": lambda x: F.cross_entropy(x.flatten(1), torch.zeros(2, dtype=torch.int64, device=x.device)),
    "softplus": lambda x: F.softplus(x),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "normalize": lambda x: F.normalize(x, dim=1),
    "silu": lambda x: F.silu(x),
    "gelu": lambda x: F.gelu(x),
    "batch_norm": lambda x: F.batch_norm(x, x.new_zeros(4, dtype=WHOLE), x.new_ones(4, dtype=WHOLE)),
    "mean": lambda x: x.mean(),
    "add": lambda x: x + x,
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
}


@pytest.fixture
def autocast() -> Iterator[None]:
    """Torch's own rules for CUDA, which need no device to choose."""
    before = torch.get_autocast_dtype("cuda")
    torch.set_autocast_dtype("cuda", HALF)
    torch.set_autocast_enabled("cuda", True)
    yield
    torch.set_autocast_enabled("cuda", False)
    torch.set_autocast_dtype("cuda", before)


@pytest.mark.parametrize("dtype", [HALF, WHOLE])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_precisions_are_those_that_autocast_chooses(name: str, dtype: torch.dtype, autocast: None) -> None:
    with FakeTensorMode(), torch.device("cuda"):
        theirs = FUNCTIONS[name](torch.ones(2, 4, 8, 8, dtype=dtype))
    with CudaRules():
        ours = FUNCTIONS[name](torch.ones(2, 4, 8, 8, dtype=dtype, device="meta"))
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)


def test_without_bf16_precisions_stay() -> None:
    with CudaRules(bf16=False):
        assert F.linear(torch.ones(2, 3, device="meta"), torch.ones(2, 3, device="meta")).dtype == WHOLE


def test_attention_keeps_no_matrix_of_weights() -> None:
    """Queries, keys, values and the result in bf16, and a float32 number a query (of 32 they are padded to)."""
    given = [torch.empty(2, 4, 1024, 64, device="meta", requires_grad=True) for _ in range(3)]
    with MostBytes() as counted, CudaRules():
        result = F.scaled_dot_product_attention(*given)
        one, number = 2 * 4 * 1024 * 64 * 2, 2 * 4 * 1024 * 4
        assert counted.now - number == pytest.approx(4 * one, abs=100)
        result.backward(torch.empty_like(result))
    assert given[0].grad is not None
    assert given[0].grad.shape == given[0].shape


def test_what_is_computed_again_is_computed_by_the_same_rules() -> None:
    from torch.utils.checkpoint import checkpoint

    layer, x = torch.nn.Linear(8, 8, device="meta"), torch.empty(2, 8, device="meta", requires_grad=True)
    seen: list[torch.dtype] = []

    def step(given: Tensor) -> Tensor:
        seen.append(layer(given).dtype)
        return layer(given)

    with CudaRules():
        checkpoint(step, x, use_reentrant=False).sum().backward()
    assert seen == [HALF, HALF]


def test_a_condition_on_values_counts_as_not_met() -> None:
    with CudaRules():
        assert not torch.empty(2, device="meta").isfinite().all()
