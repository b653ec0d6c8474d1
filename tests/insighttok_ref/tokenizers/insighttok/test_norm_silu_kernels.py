"""Kernels of GPUs: run by Triton's interpreter on the CPU against float64, and compiled for a card."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from insighttok_ref.tokenizers.insighttok import norm_silu as step
from insighttok_ref.tokenizers.insighttok.norm_silu import norm_silu
from tests.insighttok_ref.tokenizers.insighttok.interpreted_kernels import BLOCKS, EPS, GROUPS, MEANS, example
from tests.patience import patience
from tests.sources import ROOT

pytest.importorskip("triton")
#: How far apart numbers of 8 bits lie; the interpreter rounds them towards 0.
ROUNDING = 2**-7


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[float, int], tuple[Tensor, ...]]:
    """Return statistics, what goes out and gradients, by mean and block; a process decides at import who interprets."""
    file, script = tmp_path_factory.mktemp("kernels") / "found.pt", Path(__file__).with_name("interpreted_kernels.py")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, str(script), str(file)], check=True, env=environment, timeout=patience(20))
    found: dict[tuple[float, int], tuple[Tensor, ...]] = torch.load(file, weights_only=True)
    return found


def exact(x: Tensor, weight: Tensor, bias: Tensor, gradient: Tensor) -> tuple[Tensor, ...]:
    """Return what goes out and the three gradients, in float64."""
    given = [one.detach().double().requires_grad_() for one in (x, weight, bias)]
    made = F.silu(F.group_norm(given[0], GROUPS, given[1], given[2], EPS))
    return made.detach(), *torch.autograd.grad(made, given, gradient.double())


def furthest(found: Tensor, wanted: Tensor) -> float:
    """Return the largest difference, as a share of the largest value."""
    return float((found.double() - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("mean", MEANS)
def test_statistics_are_float32_however_large_the_mean(
    interpreted: dict[tuple[float, int], tuple[Tensor, ...]], mean: float, block: int
) -> None:
    means, scales, *found = interpreted[mean, block]
    x, *others = example(mean)
    groups = x.double().view(2, GROUPS, -1)
    assert (means.dtype, scales.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(means.double(), groups.mean(2), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(scales.double(), (groups.var(2, correction=0) + EPS).rsqrt(), rtol=1e-5, atol=0)
    assert [one.dtype for one in found] == [torch.bfloat16] * 2 + [torch.float32] * 2
    for one, wanted, most in zip(found, exact(x, *others), [ROUNDING] * 2 + [1e-5] * 2, strict=True):
        assert furthest(one, wanted) < most


def test_statistics_in_the_activations_precision_would_not_do() -> None:
    """What torch returns beside weights in bfloat16, which its own kernel of GPUs wants."""
    x, weight, bias, _ = example(100.0)
    means = torch.ops.aten.native_group_norm(x, weight.bfloat16(), bias.bfloat16(), 2, 8, 63, GROUPS, EPS)[1]
    assert (means.double() - x.double().view(2, GROUPS, -1).mean(2)).abs().max() > 0.02 * 3


def test_they_compile_for_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter lets types pass that a compiler does not."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from insighttok_ref.tokenizers.insighttok import norm_silu_kernels as kernels

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    halves, numbers = ("x", "made", "gradient", "own"), ("groups", "channels", "positions")
    types = dict.fromkeys(halves, "*bf16") | dict.fromkeys(numbers, "i32") | {"eps": "fp32", "block": "constexpr"}
    told = kernels.compiled_for(256 * 256)
    block = told.pop("block")
    for kernel in (kernels.forward_kernel, kernels.backward_kernel):
        signature = {name: types.get(name, "*fp32") for name in kernel.arg_names}
        source = ASTSource(kernel, signature, constexprs={"block": block})
        assert triton.compile(source, target=GPUTarget("cuda", 80, 32), options=told).asm["cubin"]


def on(device: str, mean: float, side: int = 9) -> None:
    """Compare a step on a device with float64."""
    x, weight, bias, gradient = example(mean, side)
    norm = nn.GroupNorm(GROUPS, 8, eps=EPS).to(device)
    norm.load_state_dict({"weight": weight, "bias": bias})
    there = x.to(device).requires_grad_()
    made = norm_silu(there, norm)
    found = made, *torch.autograd.grad(made, (there, norm.weight, norm.bias), gradient.to(device))
    for one, wanted in zip(found, exact(x, weight, bias, gradient), strict=True):
        assert furthest(one.detach().cpu(), wanted) < ROUNDING


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("mean", MEANS)
def test_a_cpu_and_a_device_without_the_one_step_are_exact_to_rounding(
    monkeypatch: pytest.MonkeyPatch, mean: float, fused: bool
) -> None:
    monkeypatch.setattr(step, "fused_on", lambda device: fused)
    on("cpu", mean)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here")
@pytest.mark.parametrize("side", [9, 300])
def test_a_gpu_is_exact_to_rounding(side: int) -> None:
    for mean in MEANS:
        on("cuda", mean, side)
